//! What the operator has decided and granted, on the operations page of a shop that has one.

use std::time::Duration;

use selvage_identity::Role;
use selvage_testkit::{Engine, eventually};
use selvage_tests::http::Client;
use selvage_tests::shop::Separate;

use super::operations::{page, sign_in};
use super::stocked;
use crate::decisions::{Operator, token_file};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn without_an_operator_nothing_of_it_is_shown() {
    let seen = page("/ops", &stocked().operator().get("/ops"));
    assert!(!seen.text().contains("Decisions and grants") && seen.text().contains("No operator runs here"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_and_grants_are_shown_live_to_who_may_look_at_the_page() {
    let operator = Operator::start();
    let folder = tempfile::tempdir().unwrap();
    let file = token_file(folder.path(), "reader");
    let shop = Separate::start(Engine::Sqlite, async |_| None).await;
    let told = [
        ("SELVAGE_OPERATOR", &*operator.address),
        ("SELVAGE_OPERATOR_TOKEN_FILE", &*file),
        ("SELVAGE_OPERATOR_NAMESPACE", "shop"),
    ];
    let pages = shop.pages(&told);
    let mut visitor = Client::new(&pages.url);
    for path in ["/ops", "/ops/events"] {
        assert_eq!(visitor.get(path).location(), "/ops/sign-in", "a stranger sees nothing of it");
    }
    sign_in(&mut visitor, &shop.tokens().of(Role::Operations, "looks"));
    let seen = page("/ops", &visitor.get("/ops"));
    let text = seen.text();
    for words in [
        "Decisions and grants",
        "main",
        "operator-1, epoch 3",
        "answers in 1.2 ms",
        "ReplicaBound",
        "1 → 2 replicas",
        "12 waiting",
        "12 callers wait, with 8 of 8",
        "It grows from 1 to 2 replicas.",
        "cart-7d9f-x2x",
        "wants 12, and has its share of what there is",
        "not PodsWithinBounds: the pod cart-7d9f-x2x",
    ] {
        assert!(text.contains(words), "{words} isn't in\n{text}");
    }
    assert!(!text.contains("No operator runs here"));
    assert!(seen.elements.iter().any(|element| element.has("id", "scaler-shop-cart")));
    let mut stream = visitor.open("/ops/events");
    let said = stream.until("12 callers wait").await;
    assert!(said.contains("event: scaling\n"), "{said}");
    operator.decides("Calm", 0);
    let said = stream.until("0 callers wait").await;
    assert!(said.contains("Calm"), "{said}");

    drop(operator);
    stream.until("The operator says nothing").await;
    let away = async || page("/ops", &visitor.get("/ops")).text().contains("The operator says nothing: it doesn");
    eventually(LONG, "the page says that it is away", away).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_whose_account_may_not_look_say_so() {
    let operator = Operator::start();
    let folder = tempfile::tempdir().unwrap();
    let file = token_file(folder.path(), "nobody");
    let shop = Separate::start(Engine::Sqlite, async |_| None).await;
    let pages = shop.pages(&[("SELVAGE_OPERATOR", &*operator.address), ("SELVAGE_OPERATOR_TOKEN_FILE", &*file)]);
    let mut visitor = Client::new(&pages.url);
    sign_in(&mut visitor, &shop.tokens().of(Role::Operations, "looks"));
    let text = page("/ops", &visitor.get("/ops")).text();
    assert!(text.contains("their service account needs a Role") && !text.contains("ReplicaBound"), "{text}");
}
