//! A parcel and the states it goes through.

use uuid::Uuid;

use super::address::Address;
use super::country::Country;

/// How fast a parcel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// The usual.
    Standard,
    /// Faster, for more.
    Express,
}

impl Speed {
    /// All speeds.
    pub const ALL: [Self; 2] = [Self::Standard, Self::Express];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Express => "express",
        }
    }

    /// The speed that a stored word means.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|speed| speed.word() == word)
    }
}

/// Where a shipment stands. The names are those of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The carrier knows of it and has not picked it up.
    LabelCreated,
    /// On its way.
    InTransit,
    /// In the van.
    OutForDelivery,
    /// Handed over.
    Delivered,
    /// Stopped before the carrier picked it up.
    Cancelled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 5] =
        [Self::LabelCreated, Self::InTransit, Self::OutForDelivery, Self::Delivered, Self::Cancelled];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::LabelCreated => "label_created",
            Self::InTransit => "in_transit",
            Self::OutForDelivery => "out_for_delivery",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state that a stored word means.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Where the carrier moves it next; `None` at the end.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::LabelCreated => Some(Self::InTransit),
            Self::InTransit => Some(Self::OutForDelivery),
            Self::OutForDelivery => Some(Self::Delivered),
            Self::Delivered | Self::Cancelled => None,
        }
    }

    /// What becomes of it when it is to be stopped.
    ///
    /// # Errors
    /// [`OnItsWay`] once the carrier has it.
    pub fn cancel(self) -> Result<Self, OnItsWay> {
        match self {
            Self::LabelCreated | Self::Cancelled => Ok(Self::Cancelled),
            Self::InTransit | Self::OutForDelivery | Self::Delivered => Err(OnItsWay),
        }
    }

    /// The number of its event among those of a shipment, from 0 on: its place in the path that a parcel takes. Being picked
    /// up and being cancelled have the same one, for each parcel becomes only one of them.
    pub fn number(self) -> i32 {
        match self {
            Self::LabelCreated => 0,
            Self::InTransit | Self::Cancelled => 1,
            Self::OutForDelivery => 2,
            Self::Delivered => 3,
        }
    }

    /// Whether it stays so for ever.
    pub fn is_final(self) -> bool {
        self.next().is_none()
    }

    /// Where a parcel to `address` is when it gets here, in words.
    pub fn place(self, address: &Address) -> String {
        match self {
            Self::LabelCreated | Self::Cancelled => WAREHOUSE.to_owned(),
            Self::InTransit => match Country::served(&address.country) {
                Some(country) => format!("Parcel centre {}", country.hub),
                None => WAREHOUSE.to_owned(),
            },
            Self::OutForDelivery => format!("Delivery base {}", address.city),
            Self::Delivered => address.city.clone(),
        }
    }
}

/// Where parcels start.
pub const WAREHOUSE: &str = "Warehouse Leipzig";

/// The carrier has it already: it can't be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parcel is on its way already")]
pub struct OnItsWay;

/// The order has a shipment, and its content is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a shipment of other content for this order")]
pub struct OtherContent;

/// What is to be shipped: the content by which repeated requests are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consignment {
    /// The order.
    pub order_id: Uuid,
    /// The subject who ordered.
    pub owner: String,
    /// Where it goes.
    pub address: Address,
    /// How fast.
    pub speed: Speed,
    /// Weight.
    pub grams: i32,
}

/// A state that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which.
    pub state: State,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Where, in words.
    pub place: String,
}

/// A shipment with what happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// The order.
    pub order_id: Uuid,
    /// What is shipped; `None` if it was cancelled before anything was.
    pub consignment: Option<Consignment>,
    /// The carrier's number for it; empty if it was cancelled before anything was shipped.
    pub tracking_number: String,
    /// Where it stands.
    pub state: State,
    /// Oldest first, one of each state.
    pub events: Vec<Event>,
}

impl Shipment {
    /// The subject whose it is; empty, which is nobody's subject, if that was never said.
    pub fn owner(&self) -> &str {
        self.consignment.as_ref().map_or("", |consignment| &consignment.owner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_carrier_takes_a_parcel_through_all_states_in_order() {
        let path: Vec<_> = std::iter::successors(Some(State::LabelCreated), |state| state.next()).collect();
        assert_eq!(path, [State::LabelCreated, State::InTransit, State::OutForDelivery, State::Delivered]);
    }

    #[test]
    fn events_are_numbered_along_the_path() {
        assert_eq!(State::LabelCreated.number(), 0);
        for state in State::ALL {
            let becomes = state.next().into_iter().chain(state.cancel().ok().filter(|next| *next != state));
            assert!(becomes.into_iter().all(|next| next.number() == state.number() + 1), "{state:?}");
        }
    }

    #[test]
    fn words_survive() {
        assert!(State::ALL.iter().all(|state| State::from_word(state.word()) == Some(*state)));
        assert!(Speed::ALL.iter().all(|speed| Speed::from_word(speed.word()) == Some(*speed)));
        assert_eq!(State::from_word("lost"), None);
    }

    #[derive(Clone, Copy, Debug)]
    enum Act {
        Move,
        Cancel,
    }

    proptest! {
        #[test]
        fn whatever_happens_states_only_go_forward_and_come_once(
            acts in prop::collection::vec(prop_oneof![3 => Just(Act::Move), 1 => Just(Act::Cancel)], 0..12),
        ) {
            let mut state = State::LabelCreated;
            let mut reached = vec![state];
            for act in acts {
                let next = match act {
                    Act::Move => state.next(),
                    Act::Cancel => {
                        let outcome = state.cancel();
                        prop_assert_eq!(outcome.is_ok(), matches!(state, State::LabelCreated | State::Cancelled));
                        outcome.ok()
                    }
                };
                if let Some(next) = next.filter(|next| *next != state) {
                    prop_assert!(next > state && !state.is_final());
                    prop_assert!(!reached.contains(&next));
                    reached.push(next);
                    state = next;
                }
            }
        }
    }
}
