//! Placing an order.

use std::sync::Arc;
use std::time::Duration;

use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_context::deadline;
use selvage_identity::Caller;
use selvage_outbox::Kick;
use selvage_status::{Error, ErrorCode, Result};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use super::messages::{self, Decision, Undo};
use super::quote::{Destination, bag, quote};
use super::told;
use crate::domain::intent::Intent;
use crate::domain::order::{NewOrder, Order, State};
use crate::domain::recovery::{self, Authorisation};
use crate::domain::refusal::Refusal;
use crate::payment::{Answer, Authorise, Provider, ProviderError};
use crate::peers::{Reserved, Shop};
use crate::store::{Inserted, Store};

/// How long the payment provider may take to answer before it is asked by the order's id.
const AUTHORISE_BOUND: Duration = Duration::from_secs(4);
/// A caller whose order is still being placed asks again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Orders that are being placed at once. The 50 a second that the pool is made for, each as long as a payment provider
/// that is silent makes it, 4 s and a look of 1 s, are 250; more are refused before anything is begun. With a request of
/// at most 64 KiB each they hold 16 MiB.
pub(crate) const AT_ONCE: usize = 256;

/// Places orders.
#[derive(Clone)]
pub(crate) struct Placing {
    pub(crate) store: Store,
    pub(crate) shop: Shop,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) clock: Clock,
    pub(crate) kick: Kick,
    /// How long placing may take. After it, and a fifth more, the sweep takes an order up that is still pending: it can't
    /// meet the one who was placing it, who has stopped by then.
    pub(crate) bound: Duration,
    /// How long stock is set aside: far longer than placing may take, and the margin of a confirmed order.
    pub(crate) hold_seconds: i32,
    /// Room for those that are placed at once.
    pub(crate) room: Arc<Semaphore>,
    /// The process doesn't end while orders are being placed.
    pub(crate) life: Life,
}

impl Placing {
    /// Buys what is in the caller's cart, once for each key.
    ///
    /// The work goes on if the caller goes away: half an order is worse than one that nobody waits for.
    pub(crate) async fn place(&self, caller: Caller, intent: Intent, id: Uuid) -> Result<Order> {
        let room = self.room.clone().try_acquire_owned().map_err(|_| {
            Error::new(ErrorCode::ResourceExhausted, "too many orders are being placed at once").retry_after(ASK_AGAIN)
        })?;
        let this = self.clone();
        let bounded = async move {
            let _room = room;
            let work = this.place_within_bound(&caller, &intent, id);
            let work = Box::pin(deadline::scope(Instant::now() + this.bound, work));
            tokio::time::timeout(this.bound, work).await.unwrap_or_else(|_| Err(still_placing()))
        };
        self.life.carry_out(bounded).await.map_err(Error::internal)?
    }

    async fn place_within_bound(&self, caller: &Caller, intent: &Intent, id: Uuid) -> Result<Order> {
        let order = match self.order_of(caller, intent, id).await {
            Ok(order) => order,
            // A repeated call finds its cart emptied by its own order, or finds no cart service at all: it is the key that
            // counts.
            Err(refusal) => {
                return match self.store.order_get_by_key(caller.subject(), &intent.idempotency_key).await? {
                    Some(order) => replay(intent, order),
                    None => Err(refusal),
                };
            }
        };
        let now = self.clock.now_ms();
        match self.store.order_insert(&order, attempt_until(self.bound, now), now).await? {
            Inserted::Existing(existing) => replay(intent, *existing),
            Inserted::New => self.carry_out(order, &intent.payment_token, now).await,
        }
    }

    /// The order that the intent means, if the bag is the one that the buyer saw, at the price that they saw.
    async fn order_of(&self, caller: &Caller, intent: &Intent, id: Uuid) -> Result<NewOrder> {
        let bag = bag(&self.shop, caller).await?;
        if bag.etag != intent.cart_etag {
            return Err(Error::precondition("CART_CHANGED", "the bag has changed; look at it again before ordering"));
        }
        if !bag.shortages.is_empty() {
            return Err(told::refusal(&Refusal::OutOfStock { shortages: bag.shortages }, ""));
        }
        let destination = Destination::Address(&intent.address);
        let amounts = quote(&self.shop, caller, &bag, destination, intent.speed).await?.amounts;
        if (amounts.total, amounts.currency.as_str()) != (intent.expected_total, intent.currency.as_str()) {
            return Err(Error::precondition(
                "PRICE_CHANGED",
                "the total has changed; look at it again before ordering",
            )
            .with("total_minor_units", amounts.total)
            .with("currency", &amounts.currency));
        }
        Ok(NewOrder {
            id,
            owner: caller.subject().to_owned(),
            idempotency_key: intent.idempotency_key.clone(),
            fingerprint: intent.fingerprint(),
            lines: bag.lines,
            amounts,
            email: intent.email.clone(),
            address: intent.address.clone(),
            speed: intent.speed,
            grams: bag.grams,
        })
    }

    async fn carry_out(&self, what: NewOrder, token: &str, created_at: i64) -> Result<Order> {
        match self.reserve_and_pay(&what, token).await {
            Decision::Confirm => {
                if let Some(confirmed_at) = self.confirm(&what).await? {
                    return Ok(Order::confirmed(what, created_at, confirmed_at));
                }
            }
            Decision::Refuse(refusal, undo) => {
                if self.refuse(&what, refusal.clone(), undo).await? {
                    return Err(told::refusal(&refusal, &what.id.to_string()));
                }
            }
            Decision::AskAgain => return Err(still_placing()),
        }
        // Another decided before; what is stored is what counts.
        let stored = self.store.order_get(what.id).await?;
        outcome(stored.ok_or_else(|| Error::internal("an order that was placed is gone"))?)
    }

    /// Sets stock and money aside; says what is to become of the order by that.
    async fn reserve_and_pay(&self, order: &NewOrder, token: &str) -> Decision {
        let reserved_until = match self.shop.reserve(order, self.hold_seconds).await {
            Ok(Reserved::Until(until)) => until,
            Ok(Reserved::Short(shortages)) => {
                return Decision::Refuse(Refusal::OutOfStock { shortages }, Undo::Nothing);
            }
            Ok(Reserved::Released) => return Decision::Refuse(Refusal::Interrupted, Undo::Stock),
            // It may have been set aside all the same.
            Err(error) => {
                tracing::warn!(order = %order.id, error = %error, "stock can't be set aside now");
                return Decision::Refuse(Refusal::Interrupted, Undo::Stock);
            }
        };
        let authorisation = self.authorise(order, token).await;
        Decision::of(recovery::decide(authorisation, Some(reserved_until), self.clock.now_ms()))
    }

    /// Authorises the payment. No answer is no answer: the provider is asked what it knows.
    async fn authorise(&self, order: &NewOrder, token: &str) -> Authorisation {
        let request = Authorise {
            order_id: order.id,
            amount: order.amounts.total,
            currency: order.amounts.currency.clone(),
            token: token.to_owned(),
        };
        match tokio::time::timeout(authorise_bound(self.bound), self.provider.authorise(request)).await {
            Ok(Ok(Answer::Approved)) => Authorisation::Approved,
            Ok(Ok(Answer::Declined) | Err(ProviderError::Refused(_))) => Authorisation::Declined,
            Ok(Err(ProviderError::Unknown(_))) | Err(_) => self.authorisation(order.id).await,
        }
    }

    /// What the provider knows; not to be had counts as still at it, for then nothing may be undone.
    pub(super) async fn authorisation(&self, order_id: Uuid) -> Authorisation {
        self.provider.lookup(order_id).await.unwrap_or_else(|error| {
            tracing::warn!(order = %order_id, error = %error, "the payment provider can't be asked");
            Authorisation::Processing
        })
    }

    /// Confirms the order; returns when, or `None` if another has decided about it before.
    async fn confirm(&self, order: &NewOrder) -> Result<Option<i64>> {
        let now = self.clock.now_ms();
        let change = messages::confirmed(order.id);
        let advanced = self.store.order_advance(order.id, (State::Pending, State::Confirmed), &change, now).await?;
        self.kick.now();
        Ok(advanced.then_some(now))
    }

    /// Ends the order and undoes what was done; `false` if another has decided about it before.
    async fn refuse(&self, order: &NewOrder, refusal: Refusal, undo: Undo) -> Result<bool> {
        let (state, change) = messages::refused(order.id, refusal, undo);
        let now = self.clock.now_ms();
        let advanced = self.store.order_advance(order.id, (State::Pending, state), &change, now).await?;
        self.kick.now();
        Ok(advanced)
    }

    /// Takes up an order whose placing was interrupted.
    pub(super) async fn resume(&self, order: Order) -> Result<()> {
        let what = order.what;
        let authorisation = self.authorisation(what.id).await;
        // Setting the stock aside again under the same id tells whether it is.
        let reserved = if authorisation == Authorisation::Approved {
            match self.shop.reserve(&what, self.hold_seconds).await? {
                Reserved::Until(until) => Some(until),
                Reserved::Short(_) | Reserved::Released => None,
            }
        } else {
            None
        };
        let decision = Decision::of(recovery::decide(authorisation, reserved, self.clock.now_ms()));
        tracing::info!(order = %what.id, ?authorisation, ?decision, "an interrupted order is taken up");
        match decision {
            Decision::AskAgain => {}
            Decision::Confirm => drop(self.confirm(&what).await?),
            Decision::Refuse(refusal, undo) => drop(self.refuse(&what, refusal, undo).await?),
        }
        Ok(())
    }
}

/// Until when an attempt within `bound` that begins at `now_ms` keeps others off its order.
pub(super) fn attempt_until(bound: Duration, now_ms: i64) -> i64 {
    now_ms.saturating_add(i64::try_from((bound + bound / 5).as_millis()).unwrap_or(i64::MAX))
}

/// How long the payment provider may take to answer when placing may take `bound`. Of a short one that is a third, so that
/// time is left for asking again.
fn authorise_bound(bound: Duration) -> Duration {
    AUTHORISE_BOUND.min(bound / 3)
}

/// The answer to a call whose key was used before.
fn replay(intent: &Intent, order: Order) -> Result<Order> {
    if order.what.fingerprint != intent.fingerprint() {
        return Err(Error::precondition(
            "IDEMPOTENCY_KEY_REUSED",
            "this key was used for another purchase; choose a new one",
        ));
    }
    outcome(order)
}

/// What a caller is told of an order that somebody placed.
fn outcome(order: Order) -> Result<Order> {
    match &order.refusal {
        Some(refusal) => Err(told::refusal(refusal, &order.what.id.to_string())),
        None if order.state == State::Pending => Err(still_placing()),
        None => Ok(order),
    }
}

fn still_placing() -> Error {
    Error::new(ErrorCode::Aborted, "the order is still being placed; ask again with the same key")
        .reason("STILL_PLACING")
        .retry_after(ASK_AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_attempt_keeps_others_off_for_a_fifth_longer_than_it_may_take() {
        assert_eq!(attempt_until(seconds(20), 1_000), 25_000);
        assert_eq!(attempt_until(seconds(20), i64::MAX - 1), i64::MAX);
    }

    #[test]
    fn a_provider_has_four_seconds_or_a_third_of_a_shorter_bound() {
        assert_eq!(authorise_bound(seconds(20)), seconds(4));
        assert_eq!(authorise_bound(seconds(6)), seconds(2));
    }
}
