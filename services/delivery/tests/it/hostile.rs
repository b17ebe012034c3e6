//! Whatever is sent, the edge answers with a refusal that says what is wrong, or does what was asked.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use selvage_proto::delivery::v1::{Address, CreateShipmentRequest, GetShipmentRequest, QuoteDeliveryRequest};
use selvage_proto::money::v1::Money;
use selvage_testkit::{answered_or_refused, engines};
use tonic::{Code, Status};

use crate::shop::Shop;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,120}",
        Just("\0".to_owned()),
        Just("DE".to_owned()),
        Just("x".repeat(5_000)),
        Just("018f3b5e-0000-7000-8000-000000000001".to_owned()),
        Just("04109".to_owned()),
        Just("EUR".to_owned()),
    ]
}

fn address() -> impl Strategy<Value = Address> {
    let lines = prop::collection::vec(text(), 0..5);
    (text(), lines, text(), text(), text()).prop_map(|(recipient, lines, postal_code, city, country)| Address {
        recipient,
        lines,
        postal_code,
        city,
        country,
    })
}

fn creation() -> impl Strategy<Value = CreateShipmentRequest> {
    (text(), text(), prop::option::of(address()), any::<i32>(), any::<i32>()).prop_map(
        |(order_id, owner, address, speed, grams)| CreateShipmentRequest { order_id, owner, address, speed, grams },
    )
}

fn question() -> impl Strategy<Value = QuoteDeliveryRequest> {
    let subtotal = (text(), any::<i64>()).prop_map(|(currency, minor_units)| Money { currency, minor_units });
    (text(), any::<i32>(), prop::option::of(subtotal), prop::option::of(address()))
        .prop_map(|(country, grams, subtotal, address)| QuoteDeliveryRequest { country, grams, subtotal, address })
}

fn is_sound<T>(answer: Result<T, Status>) -> Result<(), TestCaseError> {
    // Exhausted is what is too long for a request at all.
    let refusals = [Code::NotFound, Code::AlreadyExists, Code::FailedPrecondition, Code::ResourceExhausted];
    answered_or_refused(answer, &refusals).map_err(TestCaseError::fail)
}

#[test]
fn no_request_breaks_the_edge() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for engine in engines() {
        let shop = runtime.block_on(Shop::open(engine));
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(128) });
        let requests = (creation(), question(), text());
        runner
            .run(&requests, |(creation, question, order_id)| {
                runtime.block_on(async {
                    let mut client = shop.client.clone();
                    is_sound(client.create_shipment(shop.service(creation)).await)?;
                    is_sound(client.quote_delivery(shop.service(question)).await)?;
                    is_sound(client.get_shipment(shop.service(GetShipmentRequest { order_id })).await)
                })
            })
            .unwrap();
    }
}
