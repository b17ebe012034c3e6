//! Delivery's things as the API shows them.

use selvage_proto::delivery::v1::shipment::State as ProtoState;
use selvage_proto::delivery::v1::{
    Address as ProtoAddress, DeliveryOption as ProtoOption, Shipment as ProtoShipment, ShipmentEvent,
    Speed as ProtoSpeed,
};
use selvage_proto::money::v1::Money;
use selvage_proto::time::timestamp;

use crate::domain::address::Address;
use crate::domain::quote::DeliveryOption;
use crate::domain::shipment::{Shipment, Speed, State};

pub(super) fn option(option: &DeliveryOption, currency: &str) -> ProtoOption {
    ProtoOption {
        speed: speed(option.speed).into(),
        price: Some(Money::new(currency, option.price)),
        min_days: option.min_days,
        max_days: option.max_days,
    }
}

pub(super) fn shipment(shipment: &Shipment) -> ProtoShipment {
    let consignment = shipment.consignment.as_ref();
    ProtoShipment {
        order_id: shipment.order_id.to_string(),
        tracking_number: shipment.tracking_number.clone(),
        state: state(shipment.state).into(),
        speed: consignment.map_or(ProtoSpeed::Unspecified, |consignment| speed(consignment.speed)).into(),
        events: shipment
            .events
            .iter()
            .map(|event| ShipmentEvent {
                state: state(event.state).into(),
                time: Some(timestamp(event.at_ms)),
                place: event.place.clone(),
            })
            .collect(),
        address: consignment.map(|consignment| address(&consignment.address)),
    }
}

fn address(address: &Address) -> ProtoAddress {
    let Address { recipient, lines, postal_code, city, country } = address.clone();
    ProtoAddress { recipient, lines, postal_code, city, country }
}

fn speed(speed: Speed) -> ProtoSpeed {
    match speed {
        Speed::Standard => ProtoSpeed::Standard,
        Speed::Express => ProtoSpeed::Express,
    }
}

fn state(state: State) -> ProtoState {
    match state {
        State::LabelCreated => ProtoState::LabelCreated,
        State::InTransit => ProtoState::InTransit,
        State::OutForDelivery => ProtoState::OutForDelivery,
        State::Delivered => ProtoState::Delivered,
        State::Cancelled => ProtoState::Cancelled,
    }
}
