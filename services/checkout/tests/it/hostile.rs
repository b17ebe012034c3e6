//! Whatever is sent, the edge answers with a refusal that says what is wrong, or does what was asked.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use selvage_identity::Role;
use selvage_proto::checkout::v1::{
    BatchGetOrderStatesRequest, CancelOrderRequest, GetOrderRequest, ListDeadLettersRequest, ListOrdersRequest,
    PlaceOrderRequest, PreviewOrderRequest, RefundOrderRequest, RetryDeadLetterRequest,
};
use selvage_proto::delivery::v1::Address;
use selvage_proto::money::v1::Money;
use selvage_rpc::with_token;
use selvage_testkit::{Engine, answered_or_refused, engines, eventually};
use tonic::{Code, Status};

use crate::shop::{PATIENCE, Shop, purchase};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,120}",
        "[A-Za-z0-9_-]{16,64}",
        "[A-Za-z0-9_-]{32}",
        Just("\0".to_owned()),
        Just("DE".to_owned()),
        Just("EUR".to_owned()),
        Just("3".to_owned()),
        Just("tok_succeeds".to_owned()),
        Just("x".repeat(5_000)),
        Just("018f3b5e-0000-7000-8000-000000000001".to_owned()),
        Just("\"a b\"@example.org".to_owned()),
        Just(String::new()),
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

/// All fields at random: wrong in many ways at once.
fn anything() -> impl Strategy<Value = PlaceOrderRequest> {
    let money = (text(), any::<i64>()).prop_map(|(currency, minor_units)| Money { currency, minor_units });
    let optional = (prop::option::of(money), prop::option::of(address()));
    ([text(), text(), text(), text()], optional, any::<i32>()).prop_map(
        |([idempotency_key, cart_etag, email, payment_token], (expected_total, address), speed)| PlaceOrderRequest {
            idempotency_key,
            cart_etag,
            expected_total,
            email,
            address,
            speed,
            payment_token,
        },
    )
}

/// Right but for one field: some of these get through, with a strange name or address.
fn nearly_right() -> impl Strategy<Value = PlaceOrderRequest> {
    ("[a-z0-9]{16}", text(), 0_usize..9).prop_map(|(key, text, field)| {
        let mut request = purchase(&key);
        let address = request.address.as_mut().unwrap();
        *match field {
            0 => &mut request.cart_etag,
            1 => &mut request.email,
            2 => &mut request.payment_token,
            3 => &mut address.recipient,
            4 => &mut address.lines[0],
            5 => &mut address.postal_code,
            6 => &mut address.city,
            7 => &mut address.country,
            _ => &mut request.expected_total.as_mut().unwrap().currency,
        } = text;
        request
    })
}

fn is_sound<T>(answer: Result<T, Status>) -> Result<(), TestCaseError> {
    // Exhausted is what is too long for a request at all.
    let refusals = [Code::NotFound, Code::Aborted, Code::FailedPrecondition, Code::ResourceExhausted];
    answered_or_refused(answer, &refusals).map_err(TestCaseError::fail)
}

#[test]
fn no_request_breaks_the_edge() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for engine in engines() {
        let shop = runtime.block_on(Shop::open(engine));
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });
        let texts = prop::collection::vec(text(), 0..103);
        runner
            .run(&(anything(), nearly_right(), text(), any::<i32>(), texts), |(wild, near, text, number, texts)| {
                let ours = |role| shop.tokens.of(role, "somebody");
                let (guest, service, admin) = (ours(Role::Guest), ours(Role::Service), ours(Role::Admin));
                runtime.block_on(async {
                    let mut client = shop.client.clone();
                    is_sound(client.place_order(with_token(&guest, wild)).await)?;
                    is_sound(client.place_order(with_token(&guest, near)).await)?;
                    let preview = PreviewOrderRequest { country: text.clone(), speed: number };
                    is_sound(client.preview_order(with_token(&guest, preview)).await)?;
                    let list = ListOrdersRequest { page_size: number, page_token: text.clone() };
                    is_sound(client.list_orders(with_token(&guest, list)).await)?;
                    let letters = ListDeadLettersRequest { page_size: number, page_token: text.clone() };
                    is_sound(client.list_dead_letters(with_token(&admin, letters)).await)?;
                    let order_id = text.clone();
                    let get = GetOrderRequest { order_id: order_id.clone() };
                    is_sound(client.get_order(with_token(&guest, get)).await)?;
                    let cancel = CancelOrderRequest { order_id: order_id.clone() };
                    is_sound(client.cancel_order(with_token(&guest, cancel)).await)?;
                    is_sound(client.refund_order(with_token(&admin, RefundOrderRequest { order_id })).await)?;
                    let states = BatchGetOrderStatesRequest { order_ids: texts };
                    is_sound(client.batch_get_order_states(with_token(&service, states)).await)?;
                    let retry = RetryDeadLetterRequest { message_id: text };
                    is_sound(client.retry_dead_letter(with_token(&admin, retry)).await)
                })
            })
            .unwrap();
        // Whatever was taken can be done: nothing waits for a second attempt, which on a standing clock never comes.
        let done = async || shop.shelf.backlog().await == (0, 0);
        runtime.block_on(eventually(PATIENCE, "all that was taken is done", done));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_larger_than_any_order_is_refused() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut huge = purchase("1");
    huge.address.as_mut().unwrap().lines = vec!["x".repeat(1_000); 100];
    assert_eq!(shop.place("guest-1", huge).await.unwrap_err().code(), Code::ResourceExhausted);
}
