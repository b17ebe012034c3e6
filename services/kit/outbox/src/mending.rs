//! Looks again and again for messages that would wait for ever, or for hours, and lets them go on.

use std::time::Duration;

use sea_orm::DbErr;
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_pool::{Class, Pool};
use uuid::Uuid;

use crate::LONGEST_PAUSE_MS;
use crate::pace::Lease;
use crate::store::{self, Moment};

/// How often it looks: a message whose time is wrong waits no longer than this.
const EVERY: Duration = Duration::from_secs(5);
/// How far the clocks of machines are apart that are right: a sender's, or that of a relay of the version before this one.
const CLOCKS_DIFFER_MS: i64 = 15_000;

/// Mends the outbox of `pool` until the end of `life`.
pub(crate) async fn run(pool: Pool, clock: Clock, lease: Lease, life: Life) {
    let pool = pool.named("outbox_mend", Class::Sheddable);
    let mut after = None;
    while life.sleep(EVERY).await {
        match look(&pool, &clock, lease, after).await {
            Ok(next) => after = next,
            // The relay says so too, and the pool.
            Err(error) => tracing::debug!(error = %error, "the outbox can't be looked through"),
        }
    }
}

/// One look, which begins behind the key `after`; returns behind which the next one does.
async fn look(pool: &Pool, clock: &Clock, lease: Lease, after: Option<Uuid>) -> Result<Option<Uuid>, DbErr> {
    let furthest = lease.ms().max(LONGEST_PAUSE_MS).saturating_add(CLOCKS_DIFFER_MS);
    let brought = store::bring_near(pool, Moment::of(clock, pool.backend()), furthest).await?;
    if brought > 0 {
        tracing::warn!(
            messages = brought,
            "messages were due later than any clock that is right says, and are due now"
        );
    }
    let looked = store::look(pool, after, store::A_LOOK).await?;
    for key in looked.stuck {
        if store::free_first(pool, key).await? {
            tracing::warn!(%key, "a message was taken for one behind another, and is free now");
        }
    }
    Ok(looked.next)
}
