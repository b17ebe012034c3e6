//! Requests, checked: all wrong fields of a request are named at once.

use selvage_proto::checkout::v1 as api;
use selvage_proto::delivery::v1 as delivery;
use selvage_status::{Error, FieldViolations, Result};
use uuid::Uuid;

use crate::domain::intent::Intent;
use crate::domain::order::{Address, Speed};

/// By RFC 5321 no address that can be reached is longer.
const MAX_EMAIL_BYTES: usize = 254;

pub(super) fn uuid(field: &str, text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::invalid(field, "must be a UUID"))
}

pub(super) fn message_id(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::invalid("message_id", "must be one from ListDeadLetters"))
}

const COUNTRY: &str = "must be two upper-case letters (ISO 3166-1), for example DE";
const SPEED: &str = "must be SPEED_STANDARD or SPEED_EXPRESS";

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn speed(value: i32) -> Option<Speed> {
    match delivery::Speed::try_from(value) {
        Ok(delivery::Speed::Unspecified | delivery::Speed::Standard) => Some(Speed::Standard),
        Ok(delivery::Speed::Express) => Some(Speed::Express),
        Err(_) => None,
    }
}

/// Where to, and how fast.
pub(super) fn preview(request: &api::PreviewOrderRequest) -> Result<(&str, Speed)> {
    let mut violations = FieldViolations::default();
    violations.require(is_country(&request.country), "country", COUNTRY);
    let speed = violations.value("speed", speed(request.speed), SPEED);
    violations.finish(speed.map(|speed| (request.country.as_str(), speed)))
}

pub(super) fn intent(request: api::PlaceOrderRequest) -> Result<Intent> {
    let mut violations = FieldViolations::default();
    violations.require(
        is_key(&request.idempotency_key),
        "idempotency_key",
        "must be 16 to 64 of A-Z, a-z, 0-9, '-' and '_'",
    );
    text("cart_etag", &request.cart_etag, 1, 64, &mut violations);
    text("payment_token", &request.payment_token, 1, 128, &mut violations);
    let card = is_card_number(&request.payment_token);
    violations.require(!card, "payment_token", "must be the payment provider's token, and is a card number");
    violations.require(is_email(&request.email), "email", "must be an e-mail address of at most 254 characters");
    let expected = request.expected_total.unwrap_or_default();
    violations.require(
        expected.currency.len() == 3 && expected.currency.bytes().all(|byte| byte.is_ascii_uppercase()),
        "expected_total.currency",
        "must be three upper-case letters (ISO 4217), for example EUR",
    );
    violations.require(expected.minor_units >= 0, "expected_total.minor_units", "must not be negative");
    let address = address(request.address.unwrap_or_default(), &mut violations);
    let speed = violations.value("speed", speed(request.speed), SPEED);
    violations.finish(speed.map(|speed| Intent {
        idempotency_key: request.idempotency_key,
        cart_etag: request.cart_etag,
        currency: expected.currency,
        expected_total: expected.minor_units,
        email: request.email,
        address,
        speed,
        payment_token: request.payment_token,
    }))
}

/// Checks what any parcel needs; what a country's postal codes look like is delivery's to say.
fn address(address: delivery::Address, violations: &mut FieldViolations) -> Address {
    text("address.recipient", &address.recipient, 1, 100, violations);
    violations.require((1..=3).contains(&address.lines.len()), "address.lines", "must be 1 to 3 lines");
    for (index, line) in address.lines.iter().take(3).enumerate() {
        text(&format!("address.lines[{index}]"), line, 1, 100, violations);
    }
    text("address.postal_code", &address.postal_code, 0, 20, violations);
    text("address.city", &address.city, 1, 100, violations);
    violations.require(is_country(&address.country), "address.country", COUNTRY);
    Address {
        recipient: address.recipient,
        lines: address.lines,
        postal_code: address.postal_code,
        city: address.city,
        country: address.country,
    }
}

fn text(field: &str, text: &str, min: usize, max: usize, violations: &mut FieldViolations) {
    let length = text.chars().count();
    let right = (min..=max).contains(&length) && !text.chars().any(char::is_control);
    violations.require(right, field, format!("must be {min} to {max} characters without control characters"));
    if min > 0 && right {
        violations.require(!text.trim().is_empty(), field, "must not be blank");
    }
}

fn is_key(text: &str) -> bool {
    (16..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether it is what is printed on a card, however it is written, with its date or code or without: of a hash that it
/// went into it could be found again by trying.
fn is_card_number(token: &str) -> bool {
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    digits >= 12
        && token.chars().all(|letter| letter.is_ascii_digit() || letter.is_whitespace() || "-./".contains(letter))
}

/// Whether a mail could be sent there: what lettre takes as a receiver, without a name and with a domain. A quoted local
/// part (`"a b"@example.org`) is an address to it, but not one that it can write to.
fn is_email(text: &str) -> bool {
    text.len() <= MAX_EMAIL_BYTES
        && text.parse::<lettre::message::Mailbox>().is_ok_and(|mailbox| {
            mailbox.name.is_none() && mailbox.email.domain().contains('.') && mailbox.email.to_string() == text
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use selvage_proto::money::v1::Money;
    use selvage_status::field_violations;
    use tonic::Status;

    use super::*;

    fn right() -> api::PlaceOrderRequest {
        api::PlaceOrderRequest {
            idempotency_key: "0123456789abcdef".into(),
            cart_etag: "3".into(),
            expected_total: Some(Money { currency: "EUR".into(), minor_units: 3990 }),
            email: "ada@example.org".into(),
            address: Some(delivery::Address {
                recipient: "Ada".into(),
                lines: vec!["Ring 1".into()],
                postal_code: "04109".into(),
                city: "Leipzig".into(),
                country: "DE".into(),
            }),
            speed: delivery::Speed::Express.into(),
            payment_token: "tok_succeeds".into(),
        }
    }

    #[test]
    fn a_right_request_is_an_intent() {
        let intent = intent(right()).unwrap();
        assert_eq!((intent.speed, intent.expected_total), (Speed::Express, 3990));
    }

    #[test]
    fn a_preview_is_read_and_all_its_wrong_fields_are_named_at_once() {
        let request = |country: &str, speed| api::PreviewOrderRequest { country: country.into(), speed };
        let express = request("DE", delivery::Speed::Express.into());
        assert_eq!(preview(&express).unwrap(), ("DE", Speed::Express));
        assert_eq!(preview(&request("DE", 0)).unwrap(), ("DE", Speed::Standard));
        let named = |country: &str, speed| {
            let status = Status::from(preview(&request(country, speed)).unwrap_err());
            field_violations(&status).into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        assert_eq!(named("de", 9), ["country", "speed"]);
        assert_eq!(named("DEU", 1), ["country"]);
        assert_eq!(named("DE", -1), ["speed"]);
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let status = Status::from(intent(api::PlaceOrderRequest::default()).unwrap_err());
        let fields: Vec<_> = field_violations(&status).into_iter().map(|(field, _)| field).collect();
        for field in [
            "idempotency_key",
            "cart_etag",
            "email",
            "expected_total.currency",
            "address.recipient",
            "address.lines",
            "address.city",
            "address.country",
            "payment_token",
        ] {
            assert!(fields.iter().any(|named| named == field), "{field} is missing in {fields:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text_is_named_not_taken(text in "\\PC*|[\\x00-\\x1f]{1,9}|.{101,300}", which in 0_usize..7) {
            let mut request = right();
            let address = request.address.as_mut().unwrap();
            let (field, slot) = match which {
                0 => ("idempotency_key", &mut request.idempotency_key),
                1 => ("email", &mut request.email),
                2 => ("address.recipient", &mut address.recipient),
                3 => ("address.lines[0]", &mut address.lines[0]),
                4 => ("address.city", &mut address.city),
                5 => ("address.country", &mut address.country),
                _ => ("payment_token", &mut request.payment_token),
            };
            *slot = text.clone();
            match intent(request) {
                // What is taken has no control characters and is within its bound.
                Ok(_) => prop_assert!(text.chars().count() <= 254 && !text.chars().any(char::is_control)),
                Err(error) => {
                    let named = field_violations(&Status::from(error));
                    prop_assert!(named.iter().all(|(name, _)| name == field), "{:?}", named);
                    prop_assert!(!named.is_empty());
                }
            }
        }
    }
}
