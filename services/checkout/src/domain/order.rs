//! An order and the states it goes through.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::number;
use super::refusal::Refusal;

/// Where an order stands. The names are those of the API, which has no others for the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Being placed.
    Pending,
    /// Placed: stock is set aside, the payment authorised.
    Confirmed,
    /// Refused for want of stock.
    OutOfStock,
    /// Refused because the payment was declined.
    Declined,
    /// Undone after an interruption; nothing was charged.
    Undone,
    /// The buyer wants it stopped; delivery is being asked.
    Cancelling,
    /// Stopped, the money given back.
    Cancelled,
    /// The money is being given back.
    Refunding,
    /// The money was given back.
    Refunded,
    /// Confirmed, and too late to stop: delivery said so when the buyer asked.
    OnItsWay,
    /// In a state that only a newer version knows. It exists, and that is all that can be said.
    Unknown,
}

impl State {
    /// All states that this version knows.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Confirmed,
        Self::OutOfStock,
        Self::Declined,
        Self::Undone,
        Self::Cancelling,
        Self::Cancelled,
        Self::Refunding,
        Self::Refunded,
        Self::OnItsWay,
    ];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::OutOfStock => "out_of_stock",
            Self::Declined => "declined",
            Self::Undone => "undone",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::OnItsWay => "on_its_way",
            Self::Unknown => "unknown",
        }
    }

    /// The state that a stored word means.
    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.word() == word).unwrap_or(Self::Unknown)
    }

    /// Whether an order may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::Confirmed | Self::OutOfStock | Self::Declined | Self::Undone)
                | (Self::Confirmed, Self::Cancelling | Self::Refunding)
                // Asked once: a parcel that is on its way can only come back.
                | (Self::Cancelling, Self::Cancelled | Self::OnItsWay)
                | (Self::OnItsWay, Self::Refunding)
                | (Self::Refunding, Self::Refunded)
        )
    }

    /// What becomes of it when its buyer wants it stopped.
    pub fn asked_to_cancel(self) -> Asked {
        match self {
            Self::Cancelling | Self::Cancelled => Asked::Before,
            // Delivery has said so: it isn't asked again, nor the buyer written to again.
            Self::OnItsWay => Asked::TooLate,
            _ if self.may_become(Self::Cancelling) => Asked::Becomes(Self::Cancelling),
            _ => Asked::WrongState,
        }
    }

    /// What becomes of it when somebody wants its money given back.
    pub fn asked_to_refund(self) -> Asked {
        match self {
            Self::Refunding | Self::Refunded => Asked::Before,
            _ if self.may_become(Self::Refunding) => Asked::Becomes(Self::Refunding),
            _ => Asked::WrongState,
        }
    }

    /// Whether it stays so for ever.
    pub fn is_final(self) -> bool {
        !Self::ALL.into_iter().any(|next| self.may_become(next))
    }

    /// Whether it was refused or undone before it was ever placed.
    pub fn was_never_placed(self) -> bool {
        matches!(self, Self::OutOfStock | Self::Declined | Self::Undone)
    }
}

/// What becomes of an order of which something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It goes to this state.
    Becomes(State),
    /// It was asked for before: nothing changes.
    Before,
    /// It was asked for before, and couldn't be done.
    TooLate,
    /// An order in this state can't do that.
    WrongState,
}

/// Where an order's payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// Nothing is known to be authorised.
    None,
    /// Set aside on the buyer's card.
    Authorised,
    /// Taken.
    Captured,
    /// The authorisation was given up.
    Voided,
    /// Given back.
    Refunded,
}

impl PaymentState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Authorised, Self::Captured, Self::Voided, Self::Refunded];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Authorised => "authorised",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
        }
    }

    /// The state that a stored word means.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Whether an order may stand like this for as long as it likes. Else something is still to be done about it: its state
/// isn't final, an amount that is set aside is neither taken nor given up, or money that was to go back is still here.
pub fn is_at_rest(state: State, payment: PaymentState) -> bool {
    match state {
        State::Pending | State::Cancelling | State::Refunding => false,
        State::Cancelled | State::Refunded => !matches!(payment, PaymentState::Authorised | PaymentState::Captured),
        State::Confirmed | State::OnItsWay | State::OutOfStock | State::Declined | State::Undone | State::Unknown => {
            payment != PaymentState::Authorised
        }
    }
}

/// How fast a parcel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speed {
    /// The usual.
    Standard,
    /// Faster, for more.
    Express,
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Who receives it.
    pub recipient: String,
    /// Street and house, 1 to 3 lines.
    pub lines: Vec<String>,
    /// May be empty where there are none.
    pub postal_code: String,
    /// The town.
    pub city: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

/// A line of an order: a snapshot of what was bought, at the price it was bought for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Stock-keeping unit.
    pub sku: String,
    /// The product.
    pub slug: String,
    /// The product's title.
    pub title: String,
    /// The variant's size.
    pub size: String,
    /// The variant's colour.
    pub colour: String,
    /// 1 to 99.
    pub quantity: u32,
    /// Minor units.
    pub unit_price: i64,
    /// The drawn picture's key.
    pub picture_key: String,
}

/// What an order costs, in minor units of one currency. Prices include tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// ISO 4217.
    pub currency: String,
    /// The lines.
    pub subtotal: i64,
    /// The parcel.
    pub delivery: i64,
    /// The tax contained in the total.
    pub tax: i64,
    /// 1900 is 19 %.
    pub tax_basis_points: u32,
    /// What is charged.
    pub total: i64,
}

/// What an order needs to be made: everything about it but its fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Also the id of its reservation, its payment and its shipment.
    pub id: Uuid,
    /// The subject who buys.
    pub owner: String,
    /// The caller's key for this purchase.
    pub idempotency_key: String,
    /// What the key stands for.
    pub fingerprint: Vec<u8>,
    /// 1 to 50.
    pub lines: Vec<Line>,
    /// What it costs.
    pub amounts: Amounts,
    /// For the confirmation.
    pub email: String,
    /// Where it goes.
    pub address: Address,
    /// How fast.
    pub speed: Speed,
    /// What it weighs, grams.
    pub grams: i32,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What was ordered.
    pub what: NewOrder,
    /// What the buyer sees.
    pub number: String,
    /// Where it stands.
    pub state: State,
    /// Where its payment stands.
    pub payment: PaymentState,
    /// Why it was refused, if it was.
    pub refusal: Option<Refusal>,
    /// Until when whoever is placing it may go on; milliseconds since the Unix epoch.
    pub attempt_until: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
}

impl Order {
    /// An order that has just been confirmed.
    pub fn confirmed(what: NewOrder, created_at: i64, confirmed_at: i64) -> Self {
        Self {
            number: number::of(what.id),
            state: State::Confirmed,
            payment: PaymentState::Authorised,
            refusal: None,
            attempt_until: created_at,
            created_at,
            updated_at: confirmed_at,
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_order_that_was_refused_is_refused_for_ever() {
        for state in State::ALL.into_iter().filter(|state| state.was_never_placed()) {
            assert!(state.is_final(), "{state:?}");
        }
        assert!(State::Cancelled.is_final() && State::Refunded.is_final());
        assert!(!State::Pending.is_final() && !State::Confirmed.is_final());
    }

    #[test]
    fn an_order_rests_when_neither_its_state_nor_its_money_waits_for_anything() {
        use PaymentState::{Authorised, Captured, None, Refunded, Voided};
        for state in [State::Pending, State::Cancelling, State::Refunding] {
            assert!(PaymentState::ALL.into_iter().all(|payment| !is_at_rest(state, payment)), "{state:?}");
        }
        for state in State::ALL.into_iter().filter(|state| state.was_never_placed()) {
            assert!(is_at_rest(state, None) && is_at_rest(state, Voided) && !is_at_rest(state, Authorised));
        }
        for state in [State::Confirmed, State::OnItsWay] {
            assert!(is_at_rest(state, Captured) && !is_at_rest(state, Authorised));
        }
        for state in [State::Cancelled, State::Refunded] {
            assert!(is_at_rest(state, Refunded) && !is_at_rest(state, Captured) && !is_at_rest(state, Authorised));
        }
    }

    #[test]
    fn what_is_asked_of_an_order_is_done_once_if_its_state_allows_it() {
        for state in State::ALL {
            let cancel = match state {
                State::Confirmed => Asked::Becomes(State::Cancelling),
                State::Cancelling | State::Cancelled => Asked::Before,
                State::OnItsWay => Asked::TooLate,
                _ => Asked::WrongState,
            };
            assert_eq!(state.asked_to_cancel(), cancel, "{state:?}");
            let refund = match state {
                State::Confirmed | State::OnItsWay => Asked::Becomes(State::Refunding),
                State::Refunding | State::Refunded => Asked::Before,
                _ => Asked::WrongState,
            };
            assert_eq!(state.asked_to_refund(), refund, "{state:?}");
        }
    }

    #[test]
    fn words_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_word(state.word()), state);
        }
        for state in PaymentState::ALL {
            assert_eq!(PaymentState::from_word(state.word()), Some(state));
        }
        assert_eq!(State::from_word("of a newer version"), State::Unknown);
        assert!(State::Unknown.is_final(), "nobody decides about what they don't know");
    }

    proptest! {
        /// Whatever happens to an order, it isn't placed twice, delivery is asked at most once to stop it, and money goes
        /// back only after it was placed.
        #[test]
        fn no_path_places_twice(steps in prop::collection::vec(0..State::ALL.len(), 0..40)) {
            let (mut state, mut placed, mut gave_back, mut asked) = (State::Pending, 0, 0, 0);
            for next in steps.into_iter().map(|index| State::ALL[index]) {
                if state.may_become(next) {
                    placed += usize::from(state == State::Pending && next == State::Confirmed);
                    gave_back += usize::from(matches!(next, State::Cancelled | State::Refunded));
                    asked += usize::from(next == State::Cancelling);
                    state = next;
                }
            }
            prop_assert!(placed <= 1 && asked <= 1);
            prop_assert!(gave_back <= placed);
            prop_assert!(!state.was_never_placed() || placed == 0);
        }
    }
}
