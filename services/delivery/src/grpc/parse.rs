//! Reading requests: each wrong field is named, all at once.

use selvage_proto::delivery::v1::{
    Address as ProtoAddress, CreateShipmentRequest, QuoteDeliveryRequest, Speed as ProtoSpeed,
};
use selvage_status::{Error, ErrorCode, Result};
use uuid::Uuid;

use crate::domain::address::Address;
use crate::domain::country::is_country_code;
use crate::domain::quote::MAX_GRAMS;
use crate::domain::shipment::{Consignment, Speed};

/// The longest subject, in bytes, as in tokens.
const MAX_OWNER: usize = 64;

/// What a quote is asked for.
#[derive(Debug)]
pub(super) struct Goods {
    pub(super) country: String,
    pub(super) grams: i32,
    /// In minor units of the shop's currency.
    pub(super) subtotal: i64,
}

pub(super) fn order_id(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::invalid("order_id", "must be a UUID"))
}

pub(super) fn goods(request: &QuoteDeliveryRequest, currency: &str) -> Result<Goods> {
    let mut wrong = Wrong::default();
    if !is_country_code(&request.country) {
        wrong.field("country", "must be an ISO 3166-1 alpha-2 code, for example \"DE\"");
    }
    wrong.grams(request.grams);
    // Goods without a price are not free of delivery.
    let subtotal = request.subtotal.as_ref().map_or(0, |subtotal| {
        if subtotal.currency != currency {
            wrong.field("subtotal.currency", format!("must be {currency}"));
        }
        if subtotal.minor_units < 0 {
            wrong.field("subtotal.minor_units", "must not be negative");
        }
        subtotal.minor_units
    });
    if let Some(address) = &request.address {
        if address.country != request.country {
            wrong.field("address.country", "must be the country that is asked for");
        }
        wrong.address(address.clone());
    }
    wrong.none()?;
    Ok(Goods { country: request.country.clone(), grams: request.grams, subtotal })
}

pub(super) fn consignment(request: CreateShipmentRequest) -> Result<Consignment> {
    let mut wrong = Wrong::default();
    let order_id = Uuid::try_parse(&request.order_id).ok();
    if order_id.is_none() {
        wrong.field("order_id", "must be a UUID");
    }
    let owner = request.owner;
    if owner.is_empty() || owner.len() > MAX_OWNER || owner.chars().any(char::is_control) {
        wrong.field("owner", format!("must have 1 to {MAX_OWNER} bytes and no control characters"));
    }
    let address = match request.address {
        Some(address) => wrong.address(address),
        None => {
            wrong.field("address", "must be given");
            None
        }
    };
    let speed = match ProtoSpeed::try_from(request.speed) {
        Ok(ProtoSpeed::Standard) => Some(Speed::Standard),
        Ok(ProtoSpeed::Express) => Some(Speed::Express),
        Ok(ProtoSpeed::Unspecified) | Err(_) => {
            wrong.field("speed", "must be standard or express");
            None
        }
    };
    wrong.grams(request.grams);
    wrong.none()?;
    match (order_id, address, speed) {
        (Some(order_id), Some(address), Some(speed)) => {
            Ok(Consignment { order_id, owner, address, speed, grams: request.grams })
        }
        _ => Err(Error::internal("a wrong field was not noted")),
    }
}

/// Collects wrong fields.
#[derive(Default)]
struct Wrong(Option<Error>);

impl Wrong {
    fn field(&mut self, field: impl Into<String>, description: impl Into<String>) {
        let none = || Error::new(ErrorCode::InvalidArgument, "the request has wrong fields");
        self.0 = Some(self.0.take().unwrap_or_else(none).field(field, description));
    }

    fn grams(&mut self, grams: i32) {
        if !(0..=MAX_GRAMS).contains(&grams) {
            self.field("grams", format!("must be 0 to {MAX_GRAMS}, is {grams}"));
        }
    }

    fn address(&mut self, address: ProtoAddress) -> Option<Address> {
        let ProtoAddress { recipient, lines, postal_code, city, country } = address;
        match (Address { recipient, lines, postal_code, city, country }).check() {
            Ok(address) => Some(address),
            Err(fields) => {
                for wrong in fields {
                    self.field(format!("address.{}", wrong.field), wrong.description);
                }
                None
            }
        }
    }

    fn none(&mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), Err)
    }
}
