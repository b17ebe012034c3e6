//! Each wrong field is named, and nothing comes of the request.

use selvage_identity::Role;
use selvage_proto::checkout::v1::{
    BatchGetOrderStatesRequest, CancelOrderRequest, GetOrderRequest, ListDeadLettersRequest, ListOrdersRequest,
    PlaceOrderRequest, PreviewOrderRequest, RefundOrderRequest, RetryDeadLetterRequest,
};
use selvage_proto::delivery::v1::Address;
use selvage_proto::money::v1::Money;
use selvage_status::{Error, field_violations};
use selvage_testkit::Engine;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::shop::{Shop, purchase};

fn names<T>(answer: Result<T, Status>) -> Vec<String> {
    let status = answer.map(drop).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    field_violations(&status).into_iter().map(|(field, _)| field).collect()
}

/// A way in which a purchase can be wrong.
type Change = fn(&mut PlaceOrderRequest);

fn address(purchase: &mut PlaceOrderRequest) -> &mut Address {
    purchase.address.as_mut().unwrap()
}

fn money(purchase: &mut PlaceOrderRequest) -> &mut Money {
    purchase.expected_total.as_mut().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_purchase_is_named_by_its_field() {
    let shop = Shop::open(Engine::Sqlite).await;
    let changes: [(&str, Change); 41] = [
        ("idempotency_key", |purchase| purchase.idempotency_key.clear()),
        ("idempotency_key", |purchase| purchase.idempotency_key = "k".repeat(15)),
        ("idempotency_key", |purchase| purchase.idempotency_key = "k".repeat(65)),
        ("idempotency_key", |purchase| purchase.idempotency_key = "sixteen letters!".into()),
        ("idempotency_key", |purchase| purchase.idempotency_key = "é".repeat(16)),
        ("cart_etag", |purchase| purchase.cart_etag.clear()),
        ("cart_etag", |purchase| purchase.cart_etag = "3".repeat(65)),
        ("payment_token", |purchase| purchase.payment_token.clear()),
        ("payment_token", |purchase| purchase.payment_token = "t".repeat(129)),
        ("payment_token", |purchase| purchase.payment_token = "tok\0".into()),
        ("email", |purchase| purchase.email.clear()),
        ("email", |purchase| purchase.email = "ada".into()),
        ("email", |purchase| purchase.email = "ada@example".into()),
        ("email", |purchase| purchase.email = "ada@@example.org".into()),
        ("email", |purchase| purchase.email = "Ada <ada@example.org>".into()),
        ("email", |purchase| purchase.email = "<ada@example.org>".into()),
        ("email", |purchase| purchase.email = "\"ada\"@example.org".into()),
        ("email", |purchase| purchase.email = " ada@example.org".into()),
        ("email", |purchase| purchase.email = "ada@example.org, bob@example.org".into()),
        ("email", |purchase| purchase.email = "ada@example.org\r\nBcc: bob@example.org".into()),
        ("email", |purchase| purchase.email = format!("{}@example.org", "a".repeat(243))),
        ("expected_total.currency", |purchase| money(purchase).currency = "eur".into()),
        ("expected_total.currency", |purchase| money(purchase).currency = "EURO".into()),
        ("expected_total.currency", |purchase| purchase.expected_total = None),
        ("expected_total.minor_units", |purchase| money(purchase).minor_units = -1),
        ("speed", |purchase| purchase.speed = 3),
        ("speed", |purchase| purchase.speed = -1),
        ("address.recipient", |purchase| address(purchase).recipient.clear()),
        ("address.recipient", |purchase| address(purchase).recipient = " \u{a0}".into()),
        ("address.recipient", |purchase| address(purchase).recipient = "a".repeat(101)),
        ("address.lines", |purchase| address(purchase).lines.clear()),
        ("address.lines", |purchase| address(purchase).lines = vec!["1".into(); 4]),
        ("address.lines[1]", |purchase| address(purchase).lines.push(String::new())),
        ("address.lines[0]", |purchase| address(purchase).lines[0] = "Ring\n1".into()),
        ("address.postal_code", |purchase| address(purchase).postal_code = "0".repeat(21)),
        ("address.city", |purchase| address(purchase).city.clear()),
        ("address.city", |purchase| address(purchase).city = "\u{7f}".into()),
        ("address.country", |purchase| address(purchase).country.clear()),
        ("address.country", |purchase| address(purchase).country = "de".into()),
        ("address.country", |purchase| address(purchase).country = "DEU".into()),
        ("address.country", |purchase| address(purchase).country = "Ö".into()),
    ];
    for (field, change) in changes {
        let mut wrong = purchase("1");
        change(&mut wrong);
        let what = format!("{wrong:?}");
        assert_eq!(names(shop.place("guest-1", wrong).await), [field], "{what}");
    }
    let missing = names(shop.place("guest-1", PlaceOrderRequest { address: None, ..purchase("1") }).await);
    assert_eq!(missing, ["address.recipient", "address.lines", "address.city", "address.country"]);
    let empty = names(shop.place("guest-1", PlaceOrderRequest::default()).await);
    assert_eq!(empty[..5], ["idempotency_key", "cart_etag", "payment_token", "email", "expected_total.currency"]);
    assert_eq!(empty[5..], missing);
    assert_eq!((shop.peers.asked("GetCart"), shop.orders("guest-1").await.len()), (0, 0), "none got further");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_number_is_no_token_and_is_not_said_again() {
    let shop = Shop::open(Engine::Sqlite).await;
    for number in [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "378282246310005",
        "6304000000000000000",
        "4242424242424242 12/27 123",
        "4242424242424243",
    ] {
        let request = PlaceOrderRequest { payment_token: number.into(), ..purchase("1") };
        let refused = shop.place("guest-1", request).await.unwrap_err();
        assert!(!format!("{refused:?}").contains("4242"), "{refused:?}");
        assert_eq!(names::<()>(Err(refused)), ["payment_token"], "{number}");
    }
    assert_eq!((shop.peers.asked("GetCart"), shop.orders("guest-1").await.len()), (0, 0));
    // Digits alone make no card number.
    for token in ["42", "tok_4242424242424242", "0192f3b5-e000-7000-8000-000000000001"] {
        let request = PlaceOrderRequest { payment_token: token.into(), ..purchase(token) };
        let request = PlaceOrderRequest { idempotency_key: format!("key-of-{token:-<16}"), ..request };
        assert_eq!(shop.place("guest-1", request).await.unwrap_err().code(), Code::FailedPrecondition, "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_tokens_and_sizes_are_checked() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    for order_id in ["", "1", "018f3b5e-0000-7000-8000-00000000000", "018f3b5e-0000-7000-8000-00000000000g", "\0"] {
        let id = || order_id.to_owned();
        let get = shop.of("guest-1", Role::Guest, GetOrderRequest { order_id: id() });
        assert_eq!(names(client.get_order(get).await), ["order_id"], "{order_id:?}");
        let cancel = shop.of("guest-1", Role::Guest, CancelOrderRequest { order_id: id() });
        assert_eq!(names(client.cancel_order(cancel).await), ["order_id"]);
        let refund = shop.of("ops", Role::Admin, RefundOrderRequest { order_id: id() });
        assert_eq!(names(client.refund_order(refund).await), ["order_id"]);
        let states = BatchGetOrderStatesRequest { order_ids: vec![Uuid::now_v7().to_string(), id()] };
        let states = client.batch_get_order_states(shop.of("catalogue", Role::Service, states)).await;
        assert_eq!(names(states), ["order_ids[1]"]);
        let retry = shop.of("ops", Role::Admin, RetryDeadLetterRequest { message_id: format!("x{order_id}") });
        assert_eq!(names(client.retry_dead_letter(retry).await), ["message_id"]);
    }
    for many in [0, 101] {
        let states = BatchGetOrderStatesRequest { order_ids: vec![Uuid::now_v7().to_string(); many] };
        let states = client.batch_get_order_states(shop.of("catalogue", Role::Service, states)).await;
        assert_eq!(names(states), ["order_ids"]);
    }
    // Of another length, not of our alphabet, with a stray bit, of the other list.
    for page_token in ["x", "!!!!", "AAAA", "AAAAAAAAAAA=", "é", "AAAAAAAAAAB", &"A".repeat(5_000)] {
        let list = ListOrdersRequest { page_size: 0, page_token: page_token.into() };
        assert_eq!(names(client.list_orders(shop.of("guest-1", Role::Guest, list)).await), ["page_token"]);
        let letters = ListDeadLettersRequest { page_size: 0, page_token: page_token.into() };
        assert_eq!(names(client.list_dead_letters(shop.of("ops", Role::Admin, letters)).await), ["page_token"]);
    }
    let list = ListOrdersRequest { page_size: -1, page_token: String::new() };
    assert_eq!(names(client.list_orders(shop.of("guest-1", Role::Guest, list)).await), ["page_size"]);
    let letters = ListDeadLettersRequest { page_size: i32::MIN, page_token: String::new() };
    assert_eq!(names(client.list_dead_letters(shop.of("ops", Role::Admin, letters)).await), ["page_size"]);
    let retry = RetryDeadLetterRequest { message_id: i64::MAX.to_string() };
    let retried = client.retry_dead_letter(shop.of("ops", Role::Admin, retry)).await;
    assert_eq!(retried.unwrap_err().code(), Code::NotFound);
    for (country, speed, field) in [("", 0, "country"), ("de", 0, "country"), ("DE", 7, "speed")] {
        let preview = PreviewOrderRequest { country: country.into(), speed };
        assert_eq!(names(client.preview_order(shop.of("guest-1", Role::Guest, preview)).await), [field]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_delivery_finds_wrong_with_an_address_the_buyer_is_told() {
    let shop = Shop::open(Engine::Sqlite).await;
    let wrong = Error::invalid("address.postal_code", "is not a postal code of DE");
    shop.peers.refuse("QuoteDelivery", wrong);
    assert_eq!(names(shop.place("guest-1", purchase("1")).await), ["address.postal_code"]);
    let asked = shop.peers.script().question.take();
    assert_eq!(asked, None, "the script answered without doing");
    shop.peers.answer("QuoteDelivery");
    shop.peers.script().options.truncate(1);
    assert!(shop.place("guest-1", PlaceOrderRequest { speed: 1, ..purchase("1") }).await.is_ok());
    assert_eq!(names(shop.place("guest-1", PlaceOrderRequest { speed: 2, ..purchase("2") }).await), ["speed"]);
    // The question had the address with it, so that what can't be delivered isn't bought.
    let asked = shop.peers.script().question.take().unwrap();
    assert_eq!(asked.address, purchase("1").address);
}
