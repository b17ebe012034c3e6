//! Shipments to rows and back.

use sea_orm::{NotSet, Set};
use selvage_pool::{StoreError, from_json, to_json};
use uuid::Uuid;

use super::entity::{event, shipment};
use crate::domain::address::Address;
use crate::domain::shipment::{Consignment, Event, Shipment, Speed, State, WAREHOUSE};
use crate::domain::tracking_number::tracking_number;

impl shipment::ActiveModel {
    /// A new shipment.
    pub(super) fn new(goods: &Consignment, now_ms: i64, pick_up_at: i64) -> Result<Self, StoreError> {
        Ok(Self {
            order_id: Set(goods.order_id),
            owner: Set(Some(goods.owner.clone())),
            address: Set(Some(to_json("address", &goods.address)?)),
            speed: Set(Some(goods.speed.word().to_owned())),
            grams: Set(Some(goods.grams)),
            state: Set(State::LabelCreated.word().to_owned()),
            tracking_number: Set(tracking_number(goods.order_id)),
            next_move_at: Set(Some(pick_up_at)),
            created_at: Set(now_ms),
        })
    }

    /// What is left behind for an order that must never be shipped.
    pub(super) fn tombstone(order_id: Uuid, now_ms: i64) -> Self {
        Self {
            order_id: Set(order_id),
            owner: Set(None),
            address: Set(None),
            speed: Set(None),
            grams: Set(None),
            state: Set(State::Cancelled.word().to_owned()),
            tracking_number: Set(String::new()),
            next_move_at: Set(None),
            created_at: Set(now_ms),
        }
    }
}

impl shipment::Model {
    /// Where it goes, if that is known.
    pub(super) fn address(&self) -> Result<Option<Address>, StoreError> {
        let read = |address| from_json(format!("shipment {}: its address", self.order_id), address);
        self.address.clone().map(read).transpose()
    }

    /// The shipment with its own among `events`, in the order of their numbers. They may have been read a moment after the
    /// row, so they, not the row, say where it stands. That its label was created the row says by being there; older ones
    /// have an event of it too.
    pub(super) fn into_shipment(self, events: &[event::Model]) -> Result<Shipment, StoreError> {
        let own = events.iter().filter(|row| row.order_id == self.order_id);
        let mut numbered = own.map(numbered).collect::<Result<Vec<_>, _>>()?;
        numbered.sort_by_key(|(number, _)| *number);
        let mut events: Vec<_> = numbered.into_iter().map(|(_, event)| event).collect();
        let has_label = events.first().is_some_and(|event: &Event| event.state == State::LabelCreated);
        if self.owner.is_some() && !has_label {
            events.insert(0, label_created(self.created_at));
        }
        let state = match events.last() {
            Some(event) => event.state,
            None => state(self.order_id, &self.state)?,
        };
        let address = self.address()?;
        let consignment = match (self.owner, address, self.speed, self.grams) {
            (Some(owner), Some(address), Some(word), Some(grams)) => {
                let speed = Speed::from_word(&word)
                    .ok_or_else(|| StoreError::damaged(format!("shipment {}: its speed", self.order_id), &word))?;
                Some(Consignment { order_id: self.order_id, owner, address, speed, grams })
            }
            _ => None,
        };
        Ok(Shipment { order_id: self.order_id, consignment, tracking_number: self.tracking_number, state, events })
    }
}

impl event::ActiveModel {
    /// A new event.
    pub(super) fn new(order_id: Uuid, event: &Event) -> Self {
        Self {
            id: NotSet,
            order_id: Set(order_id),
            number: Set(Some(event.state.number())),
            state: Set(event.state.word().to_owned()),
            at: Set(event.at_ms),
            place: Set(event.place.clone()),
        }
    }
}

/// A shipment's first event, made of its row.
pub(super) fn label_created(at_ms: i64) -> Event {
    Event { state: State::LabelCreated, at_ms, place: WAREHOUSE.to_owned() }
}

fn numbered(row: &event::Model) -> Result<(i32, Event), StoreError> {
    let state = state(row.order_id, &row.state)?;
    let event = Event { state, at_ms: row.at, place: row.place.clone() };
    Ok((row.number.unwrap_or_else(|| state.number()), event))
}

fn state(order_id: Uuid, word: &str) -> Result<State, StoreError> {
    State::from_word(word).ok_or_else(|| StoreError::damaged(format!("shipment {order_id}: its state"), word))
}
