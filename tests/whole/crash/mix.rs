//! Buyers who keep what they ordered, who cancel it at once or late, and those whose money an admin gives back. Each asks until
//! there is an answer, whatever happens to the shop meanwhile; and what they were told is held against the books.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use selvage_proto::checkout::v1::PlaceOrderRequest;
use selvage_status::reason;
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::ledger::Ledger;
use selvage_tests::shop::Tokens;
use tonic::{Code, Status};

use super::LONG;

/// What everybody buys.
pub(super) const SKU: &str = "FRAGILE";
/// Between two attempts at an answer.
const AGAIN: Duration = Duration::from_millis(20);

/// What is wanted of an order once it is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// The goods.
    Keep,
    /// To stop it, as soon as it is placed: often before the relay has begun with it.
    CancelAtOnce,
    /// To stop it when there is a parcel.
    CancelLate,
    /// Its money, which an admin gives back.
    Refund,
}

impl Wish {
    /// Of order `number`. Half of them are cancelled, as cancelling is what goes wrong.
    pub(super) fn of(number: u64) -> Self {
        let wishes = [Self::CancelAtOnce, Self::Keep, Self::Refund, Self::CancelAtOnce, Self::CancelLate, Self::Keep];
        wishes[usize::try_from(number).expect("a small number") % wishes.len()]
    }

    /// The same where no relay works: nobody waits for a parcel.
    pub(super) fn without_parcel(self) -> Self {
        if self == Self::CancelLate { Self::CancelAtOnce } else { self }
    }
}

/// A buyer with a packed bag.
#[derive(Clone)]
pub(super) struct Ready {
    buyer: Buyer,
    intent: PlaceOrderRequest,
    wish: Wish,
    tokens: Tokens,
    clients: Clients,
}

/// What somebody knows of their order in the end: its id, if it was placed, and that it is too late to stop it.
pub(super) struct Told {
    wish: Wish,
    order_id: Option<String>,
    too_late: bool,
}

impl Ready {
    /// Packs a bag while nothing disturbs the shop.
    pub(super) async fn pack(clients: &Clients, tokens: &Tokens, name: &str, number: u64, wish: Wish) -> Self {
        let buyer = Buyer::new(clients, tokens);
        let added = answered("the bag takes it", || buyer.add(SKU, 1)).await;
        added.expect("there is enough");
        let key = format!("{name}-{number:012}");
        let intent = answered("a preview", || buyer.intent(&key, "tok_succeeds")).await;
        Self { buyer, intent: intent.expect("all is given"), wish, tokens: tokens.clone(), clients: clients.clone() }
    }

    /// Buys it and does what is wished; `placed` counts the order when it is.
    pub(super) async fn live(self, placed: &AtomicU64) -> Told {
        let Self { buyer, intent, wish, tokens, clients } = self;
        let order = match answered("placing", || buyer.place(intent.clone())).await {
            Ok(order) => order.order_id,
            Err(status) => {
                assert_eq!(reason(&status).as_deref(), Some("ORDER_UNDONE"), "{status:?}");
                return Told { wish, order_id: None, too_late: false };
            }
        };
        placed.fetch_add(1, Ordering::SeqCst);
        if wish == Wish::CancelLate {
            let parcel = async || {
                let found = buyer.shipment(&order).await;
                // Not yet is no answer that is waited for here.
                found.map_err(
                    |status| if status.code() == Code::NotFound { Status::unavailable("none yet") } else { status },
                )
            };
            answered("a parcel", parcel).await.expect("it is the buyer's own");
        }
        let asked = match wish {
            Wish::Keep => Ok(()),
            Wish::CancelAtOnce | Wish::CancelLate => answered("cancelling", || buyer.cancel(&order)).await.map(drop),
            Wish::Refund => answered("paying back", || clients.refund(&tokens, &order)).await.map(drop),
        };
        let too_late = asked.is_err_and(|status| {
            assert_eq!(reason(&status).as_deref(), Some("TOO_LATE_TO_CANCEL"), "{wish:?}: {status:?}");
            true
        });
        Told { wish, order_id: Some(order), too_late }
    }
}

/// Asks until there is an answer. What a shop says that is struck is none; nor is it one that somebody else has just changed
/// the order, for that was an attempt of the same caller's whose answer was lost.
async fn answered<T, A>(what: &str, mut ask: impl FnMut() -> A) -> Result<T, Status>
where
    A: Future<Output = Result<T, Status>>,
{
    let began = Instant::now();
    loop {
        let status = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        let no_answer = match status.code() {
            Code::Aborted | Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => true,
            Code::FailedPrecondition => reason(&status).as_deref() == Some("WRONG_STATE"),
            _ => false,
        };
        if !no_answer {
            return Err(status);
        }
        assert!(began.elapsed() < LONG, "{what}: asked for {LONG:?} in vain, at last: {status:?}");
        tokio::time::sleep(AGAIN).await;
    }
}

/// How many orders came to which end.
#[derive(Default)]
pub(super) struct Ends {
    states: BTreeMap<String, i64>,
}

impl Ends {
    /// How many ended in `state`.
    pub(super) fn of(&self, state: &str) -> i64 {
        self.states.get(state).copied().unwrap_or_default()
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let orders: i64 = self.states.values().sum();
        write!(f, "{orders} orders")?;
        let words = [
            ("confirmed", "kept"),
            ("cancelled", "cancelled and their money given back"),
            ("refunded", "paid back"),
            ("on_its_way", "too late to cancel"),
            ("undone", "undone"),
        ];
        for (at, (state, word)) in words.into_iter().enumerate() {
            write!(f, "{}{} {word}", if at == 0 { ": " } else { ", " }, self.of(state))?;
        }
        Ok(())
    }
}

/// Waits until all is settled, and holds the books against what everybody was told.
pub(super) async fn audit(ledger: &Ledger, told: &[Told], stocked: i64) -> Ends {
    ledger.settled(LONG).await;
    ledger.check().await;
    let states = ledger.states().await;
    let known: i64 = states.values().sum();
    assert_eq!(known, i64::try_from(told.len()).expect("few"), "an order each: {states:?}");
    let undone = told.iter().filter(|told| told.order_id.is_none()).count();
    assert_eq!(states.get("undone").copied().unwrap_or_default(), i64::try_from(undone).expect("few"), "{states:?}");
    for Told { wish, order_id, too_late } in told {
        let Some(id) = order_id else { continue };
        let state = ledger.state(id).await;
        let right = match (wish, too_late) {
            (Wish::Keep, _) => state == "confirmed",
            (Wish::Refund, _) => state == "refunded",
            (Wish::CancelAtOnce | Wish::CancelLate, true) => state == "on_its_way",
            (Wish::CancelAtOnce | Wish::CancelLate, false) => ["cancelled", "on_its_way"].contains(&state.as_str()),
        };
        assert!(right, "order {id} is {state}, and was to end as {wish:?} (too late: {too_late})");
    }
    let sold = ledger.sold(SKU).await;
    assert_eq!(ledger.stock(SKU).await, (stocked - sold, 0), "what wasn't sold is on the shelf");
    Ends { states }
}
