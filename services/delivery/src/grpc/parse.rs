//! Reading requests: each wrong field is named, all at once.

use selvage_proto::delivery::v1::{
    Address as ProtoAddress, CreateShipmentRequest, QuoteDeliveryRequest, Speed as ProtoSpeed,
};
use selvage_status::{Error, FieldViolations, Result};
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

const NOT_A_UUID: &str = "must be a UUID";

pub(super) fn order_id(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| Error::invalid("order_id", NOT_A_UUID))
}

pub(super) fn goods(request: &QuoteDeliveryRequest, currency: &str) -> Result<Goods> {
    let mut violations = FieldViolations::default();
    let is_code = is_country_code(&request.country);
    violations.require(is_code, "country", "must be an ISO 3166-1 alpha-2 code, for example \"DE\"");
    grams(request.grams, &mut violations);
    // Goods without a price are not free of delivery.
    let subtotal = request.subtotal.as_ref().map_or(0, |subtotal| {
        violations.require(subtotal.currency == currency, "subtotal.currency", format!("must be {currency}"));
        violations.require(subtotal.minor_units >= 0, "subtotal.minor_units", "must not be negative");
        subtotal.minor_units
    });
    if let Some(asked) = &request.address {
        let is_there = asked.country == request.country;
        violations.require(is_there, "address.country", "must be the country that is asked for");
        address(asked.clone(), &mut violations);
    }
    violations.finish(Some(Goods { country: request.country.clone(), grams: request.grams, subtotal }))
}

pub(super) fn consignment(request: CreateShipmentRequest) -> Result<Consignment> {
    let mut violations = FieldViolations::default();
    let order_id = violations.parse("order_id", &request.order_id, NOT_A_UUID);
    let owner = request.owner;
    let is_subject = (1..=MAX_OWNER).contains(&owner.len()) && !owner.chars().any(char::is_control);
    violations.require(is_subject, "owner", format!("must have 1 to {MAX_OWNER} bytes and no control characters"));
    let address = match request.address {
        Some(given) => address(given, &mut violations),
        None => violations.value("address", None, "must be given"),
    };
    let speed = match ProtoSpeed::try_from(request.speed) {
        Ok(ProtoSpeed::Standard) => Some(Speed::Standard),
        Ok(ProtoSpeed::Express) => Some(Speed::Express),
        Ok(ProtoSpeed::Unspecified) | Err(_) => None,
    };
    let speed = violations.value("speed", speed, "must be standard or express");
    grams(request.grams, &mut violations);
    let consignment =
        || Some(Consignment { order_id: order_id?, owner, address: address?, speed: speed?, grams: request.grams });
    violations.finish(consignment())
}

fn grams(grams: i32, violations: &mut FieldViolations) {
    let right = (0..=MAX_GRAMS).contains(&grams);
    violations.require(right, "grams", format!("must be 0 to {MAX_GRAMS}, is {grams}"));
}

fn address(address: ProtoAddress, violations: &mut FieldViolations) -> Option<Address> {
    let ProtoAddress { recipient, lines, postal_code, city, country } = address;
    let checked = (Address { recipient, lines, postal_code, city, country }).check();
    checked.map_err(|wrong| violations.add_below("address", wrong)).ok()
}
