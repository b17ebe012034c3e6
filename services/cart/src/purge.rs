//! Forgetting carts that nobody touches.

use std::time::Duration;

use selvage_boot::Host;

use crate::store::{PURGE_BATCH, Store};

/// Between two rounds. An expired cart reads as empty at once; the purge only gives its room back.
const ROUND_PAUSE: Duration = Duration::from_secs(600);
/// Between two batches of one round, so that a large one doesn't crowd buyers out.
const BATCH_PAUSE: Duration = Duration::from_millis(200);
/// How long it is remembered that an order's lines were taken out: far longer than that request can be repeated by
/// itself (ten minutes), or by an admin who looks after what was given up.
const REMOVALS_KEPT_MS: i64 = 90 * 24 * 3600 * 1000;

/// Runs until the end of `host.life`.
pub(crate) async fn run(store: Store, host: Host) {
    let mut pause = BATCH_PAUSE;
    while host.life.sleep(pause).await {
        let now_ms = host.clock.now_ms();
        pause = match store.cart_purge(now_ms, now_ms - REMOVALS_KEPT_MS).await {
            Ok(purged) if purged >= PURGE_BATCH => BATCH_PAUSE,
            Ok(_) => ROUND_PAUSE,
            Err(error) => {
                tracing::warn!(%error, "expired carts could not be purged");
                ROUND_PAUSE
            }
        };
    }
}
