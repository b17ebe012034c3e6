//! An order and the states it goes through.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::number;
use super::pricing::Amounts;
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

    /// Whether it stays so for ever.
    pub fn is_final(self) -> bool {
        !Self::ALL.into_iter().any(|next| self.may_become(next))
    }

    /// Whether it was refused or undone before it was ever placed.
    pub fn was_never_placed(self) -> bool {
        matches!(self, Self::OutOfStock | Self::Declined | Self::Undone)
    }
}

/// Where an order's payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    const ALL: [Self; 5] = [Self::None, Self::Authorised, Self::Captured, Self::Voided, Self::Refunded];

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
