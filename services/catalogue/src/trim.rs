//! Trims the log of changes: what all replicas have long heard of is taken out. Each replica does, and one at a time.

use std::time::Duration;

use selvage_boot::Life;

use crate::store::Store;

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long what was committed stays in the log at the least, and twice that at the most. A replica asks each 150 ms; one that couldn't
/// for five minutes reads everything anew. With 1,000 orders a second of three rows each that are 1.8 million rows of some 100
/// bytes with their places in the index: 180 MB.
const KEPT: Duration = Duration::from_secs(300);
/// Rows in one transaction: some 20 ms of work.
const BATCH: u64 = 5_000;
/// Batches in one round: 100,000 rows in 10 s, three times what 1,000 orders a second write.
const BATCHES: u32 = 20;

/// Until the end of `life`.
pub(crate) async fn run(store: Store, life: Life) {
    while life.sleep(LOOK_EVERY).await {
        for _ in 0..BATCHES {
            match store.change_purge(KEPT, BATCH).await {
                Ok(purged) if purged < BATCH => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "the log of changes could not be trimmed");
                    break;
                }
            }
        }
    }
}
