//! The domain's words in delivery's.

use selvage_proto::delivery::v1 as delivery;

use crate::domain::order::{Address, Speed};

pub(crate) fn speed(speed: Speed) -> delivery::Speed {
    match speed {
        Speed::Standard => delivery::Speed::Standard,
        Speed::Express => delivery::Speed::Express,
    }
}

pub(crate) fn address(address: &Address) -> delivery::Address {
    delivery::Address {
        recipient: address.recipient.clone(),
        lines: address.lines.clone(),
        postal_code: address.postal_code.clone(),
        city: address.city.clone(),
        country: address.country.clone(),
    }
}
