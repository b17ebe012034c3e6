//! The sweep takes up orders whose placing was interrupted.

use std::time::Duration;

use futures::StreamExt as _;
use selvage_boot::Life;
use selvage_context::{deadline, lease};
use tokio::time::Instant;

use super::Placing;

/// How often it looks: an interrupted order waits this long at the most beyond its attempt's end.
const EVERY: Duration = Duration::from_secs(1);
/// Orders that one look takes up, and how many of them at once: with a connection for some milliseconds each, they
/// leave the pool to those who are ordering.
const ORDERS_A_LOOK: u64 = 32;
const AT_ONCE: usize = 4;

/// Takes up interrupted orders.
pub(crate) struct Sweeper(pub(crate) Placing);

impl Sweeper {
    pub(crate) async fn run(self, life: Life) {
        while life.sleep(EVERY).await {
            if let Err(error) = self.look().await {
                tracing::warn!(error = %error, "interrupted orders can't be looked for; trying again");
            }
        }
    }

    async fn look(&self) -> Result<(), sea_orm::DbErr> {
        let placing = &self.0;
        let now = placing.clock.now_ms();
        let claimed = placing.store.orders_claim_interrupted(now, placing.attempt_until(now), ORDERS_A_LOOK).await?;
        futures::stream::iter(claimed)
            .for_each_concurrent(AT_ONCE, |order| async move {
                let id = order.what.id;
                // Each counts its own connections: what one holds is no reason for another not to make a call.
                let work = lease::tracked(placing.resume(order));
                let work = Box::pin(deadline::scope(Instant::now() + placing.bound, work));
                match tokio::time::timeout(placing.bound, work).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(order = %id, error = %error, "it stays pending for now"),
                    Err(_) => tracing::warn!(order = %id, "taking it up took too long; it stays pending for now"),
                }
            })
            .await;
        Ok(())
    }
}
