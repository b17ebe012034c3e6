//! The sweep takes up orders whose placing was interrupted, and those that stand still.

use std::time::Duration;

use futures::StreamExt as _;
use selvage_boot::Life;
use selvage_context::{deadline, lease};
use selvage_outbox::Waiting;
use selvage_pool::StoreError;
use tokio::time::Instant;

use super::Placing;
use super::messages;
use super::place::attempt_until;
use crate::domain::order::Order;
use crate::domain::recovery::{STANDING_AFTER_MS, remedy};

/// How often it looks: an interrupted order waits this long at the most beyond its attempt's end.
const EVERY: Duration = Duration::from_secs(1);
/// How often it looks for orders that stand still, milliseconds: they have done so for a quarter of an hour by then.
const STANDING_EVERY_MS: i64 = 10_000;
/// Orders that one look takes up, and how many of them at once: with a connection for some milliseconds each, they
/// leave the pool to those who are ordering. Of those that stand still that is 192 a minute, and 46,080 after an outage of
/// four hours, in which the relay catches up with some 10 a second in between.
const ORDERS_A_LOOK: u64 = 32;
const AT_ONCE: usize = 4;

/// Takes up orders.
pub(crate) struct Sweeper(pub(crate) Placing);

impl Sweeper {
    pub(crate) async fn run(self, life: Life) {
        let mut looked_at: Option<i64> = None;
        while life.sleep(EVERY).await {
            if let Err(error) = self.look_for_interrupted().await {
                tracing::warn!(error = %error, "interrupted orders can't be looked for; trying again");
            }
            let now = self.0.clock.now_ms();
            if looked_at.is_some_and(|looked_at| is_soon_after(looked_at, now)) {
                continue;
            }
            looked_at = Some(now);
            if let Err(error) = self.look_for_standing(now).await {
                tracing::warn!(error = %error, "orders that stand still can't be looked for; trying again");
            }
        }
    }

    async fn look_for_interrupted(&self) -> Result<(), StoreError> {
        let placing = &self.0;
        let now = placing.clock.now_ms();
        let claimed =
            placing.store.order_claim_interrupted(now, attempt_until(placing.bound, now), ORDERS_A_LOOK).await?;
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

    /// The relay isn't kicked for their messages: it looks by itself within a second.
    async fn look_for_standing(&self, now: i64) -> Result<(), StoreError> {
        let placing = &self.0;
        let claimed = placing.store.order_claim_standing(now - STANDING_AFTER_MS, now, ORDERS_A_LOOK).await?;
        futures::stream::iter(claimed)
            .for_each_concurrent(AT_ONCE, |order| async move {
                let id = order.what.id;
                if let Err(error) = self.take_up(order, now).await {
                    tracing::warn!(order = %id, error = %error, "an order that stands still can't be taken up now");
                }
            })
            .await;
        Ok(())
    }

    async fn take_up(&self, order: Order, now_ms: i64) -> Result<(), StoreError> {
        let (id, state) = (order.what.id, order.state);
        let messages = messages::remedied(id, remedy(state, order.payment));
        match self.0.store.order_take_up(&order, &messages, now_ms).await? {
            Waiting::Revived(letter) => {
                let (topic, error) = (letter.topic, letter.last_error.unwrap_or_default());
                tracing::warn!(order = %id, ?state, topic, error, "an order stands still; its dead letter is tried once more");
            }
            Waiting::Nothing if messages.is_empty() => {
                tracing::error!(order = %id, ?state, "an order stands still, and nothing is left to be done about it");
            }
            Waiting::Nothing => {
                tracing::warn!(order = %id, ?state, "an order stood still, and is given its messages anew");
            }
            Waiting::Relay => {
                tracing::warn!(order = %id, ?state, "an order stands still; the relay is at its messages");
            }
        }
        Ok(())
    }
}

/// Whether it is too soon at `now_ms` to look for orders that stand still. A clock that was set back doesn't keep it from looking.
fn is_soon_after(looked_at_ms: i64, now_ms: i64) -> bool {
    (0..STANDING_EVERY_MS).contains(&now_ms.saturating_sub(looked_at_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_stand_still_are_looked_for_every_ten_seconds_by_any_clock() {
        let noon = 1_795_521_600_000;
        assert!(is_soon_after(noon, noon) && is_soon_after(noon, noon + 9_999));
        assert!(!is_soon_after(noon, noon + 10_000) && !is_soon_after(noon, noon - 1));
    }
}
