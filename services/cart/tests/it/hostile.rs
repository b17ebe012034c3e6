//! Whatever is sent, the edge answers with a refusal that says what is wrong, or does what was asked.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use selvage_identity::Role;
use selvage_proto::cart::v1::{
    EmptyCartRequest, MergeCartsRequest, OrderedLine, RemoveItemRequest, RemoveOrderedLinesRequest, UpdateItemRequest,
};
use selvage_testkit::{answered_or_refused, engines};
use tonic::{Code, Status};

use crate::shop::Shop;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,80}",
        "[A-Z0-9]{1,64}",
        Just("\0".to_owned()),
        Just("x".repeat(5_000)),
        Just("018f3b5e-0000-7000-8000-000000000001".to_owned()),
        Just(String::new()),
    ]
}

fn quantity() -> impl Strategy<Value = i32> {
    prop_oneof![any::<i32>(), 1..=99]
}

fn removal() -> impl Strategy<Value = RemoveOrderedLinesRequest> {
    let line = (text(), quantity()).prop_map(|(sku, quantity)| OrderedLine { sku, quantity });
    (text(), text(), prop::collection::vec(line, 0..60))
        .prop_map(|(order_id, owner, lines)| RemoveOrderedLinesRequest { order_id, owner, lines })
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
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(96) });
        runner
            .run(&(text(), quantity(), text(), removal()), |(sku, quantity, etag, removal)| {
                let ours = |role| shop.tokens.of(role, "somebody");
                let (guest, customer, service) = (ours(Role::Guest), ours(Role::Customer), ours(Role::Service));
                runtime.block_on(async {
                    use selvage_rpc::with_token;
                    let mut client = shop.client.clone();
                    let update = UpdateItemRequest { sku: sku.clone(), quantity, etag: etag.clone() };
                    is_sound(client.update_item(with_token(&guest, update)).await)?;
                    let remove = RemoveItemRequest { sku: sku.clone(), etag: etag.clone() };
                    is_sound(client.remove_item(with_token(&guest, remove)).await)?;
                    is_sound(client.empty_cart(with_token(&guest, EmptyCartRequest { etag })).await)?;
                    is_sound(client.merge_carts(with_token(&customer, MergeCartsRequest { guest_token: sku })).await)?;
                    is_sound(client.remove_ordered_lines(with_token(&service, removal)).await)
                })
            })
            .unwrap();
    }
}
