//! The books that other tests trust can fail: a real shop's are right, and each row that is made wrong in a copy of them is
//! found and named.

use std::path::Path;
use std::time::Duration;

use selvage_pool::sea_orm::{ConnectionTrait as _, Statement};
use selvage_pool::{Config, Pool};
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::ledger::Ledger;
use selvage_tests::shop::OneProcess;
use tempfile::TempDir;
use tokio::task::{LocalSet, spawn_local};

const LONG: Duration = Duration::from_secs(60);
const SERVICES: [&str; 3] = ["catalogue", "checkout", "delivery"];

fn url(folder: &Path, service: &str) -> String {
    format!("sqlite://{}", folder.join(format!("{service}.db")).display())
}

async fn open(folder: &Path) -> Ledger {
    let [catalogue, checkout, delivery] = SERVICES.map(|service| url(folder, service));
    Ledger::open(&catalogue, &checkout, &delivery).await
}

/// A shop's folder, ended in good order, with an order in each final state that a buyer or an admin can bring about.
async fn a_days_work(folder: &Path) {
    let shop = OneProcess::start(folder, &["--carrier-step", "1h"]);
    let (channel, tokens) = (shop.channel(), shop.tokens());
    let clients = Clients::new(|_| channel.clone());
    clients.stock(&tokens, "BOOKED", 10).await;
    clients.stock(&tokens, "KEPT", 10).await;
    let packed = async |sku: &str, key: &str, card: &str| {
        let buyer = Buyer::new(&clients, &tokens);
        buyer.add(sku, 1).await.expect("the bag takes it");
        let intent = buyer.intent(key, card).await.expect("a preview");
        (buyer, intent)
    };
    let mut orders = Vec::new();
    for (sku, key) in [("KEPT", "keeps-it-00000001"), ("BOOKED", "cancels-it-000001"), ("BOOKED", "is-paid-back-0001")]
    {
        let (buyer, intent) = packed(sku, key, "tok_succeeds").await;
        orders.push((buyer.place(intent).await.expect("placed").order_id, buyer));
    }
    let (cancelled, buyer) = &orders[1];
    buyer.cancel(cancelled).await.expect("it is in time");
    clients.refund(&tokens, &orders[2].0).await.expect("it is confirmed");
    let (poor, declined) = packed("BOOKED", "is-declined-00001", "tok_declines").await;
    poor.place(declined).await.expect_err("declined");
    let ledger = open(folder).await;
    ledger.settled(LONG).await;
    ledger.check().await;
    for state in ["confirmed", "cancelled", "refunded", "declined"] {
        assert_eq!(ledger.orders(state).await, 1, "{state}");
    }
    // Before the shop: who closes a database last moves what was written into its one file.
    ledger.close().await;
    assert!(shop.process.terminate().success());
}

/// What is made wrong: in words that the finding must have, in whose database, and how.
const WRONG: &[(&str, &str, &str)] = &[
    ("stands in cancelling", "checkout", "UPDATE orders SET state = 'cancelling' WHERE state = 'cancelled'"),
    ("stands in refunding", "checkout", "UPDATE orders SET state = 'refunding' WHERE state = 'refunded'"),
    ("stands in pending", "checkout", "UPDATE orders SET state = 'pending' WHERE state = 'declined'"),
    ("stands in mislaid", "checkout", "UPDATE orders SET state = 'mislaid' WHERE state = 'confirmed'"),
    (
        "cancelled: of",
        "checkout",
        "UPDATE provider_payments SET refunded = 0 WHERE order_id = (SELECT id FROM orders WHERE state = 'cancelled')",
    ),
    (
        "refunded: of",
        "checkout",
        "UPDATE provider_payments SET refunded = refunded - 1 WHERE order_id = (SELECT id FROM orders WHERE state = 'refunded')",
    ),
    (
        "stay set aside on the buyer's card",
        "checkout",
        "UPDATE provider_payments SET captured = 0, refunded = 0, state = 'approved' \
         WHERE order_id = (SELECT id FROM orders WHERE state = 'cancelled')",
    ),
    (
        "confirmed: of",
        "checkout",
        "UPDATE provider_payments SET captured = 0 WHERE order_id = (SELECT id FROM orders WHERE state = 'confirmed')",
    ),
    (
        "confirmed: of",
        "checkout",
        "UPDATE provider_payments SET captured = captured + 1 \
         WHERE order_id = (SELECT id FROM orders WHERE state = 'confirmed')",
    ),
    (
        "declined: of",
        "checkout",
        "UPDATE provider_payments SET captured = 5 WHERE order_id = (SELECT id FROM orders WHERE state = 'declined')",
    ),
    (
        "was never paid for",
        "checkout",
        "DELETE FROM provider_payments WHERE order_id = (SELECT id FROM orders WHERE state = 'refunded')",
    ),
    ("its payment is captured", "checkout", "UPDATE orders SET payment = 'captured' WHERE state = 'cancelled'"),
    ("a payment of order", "checkout", "DELETE FROM orders WHERE state = 'declined'"),
    (
        "has a dead letter: create_shipment, SHIPMENT_CANCELLED",
        "checkout",
        "INSERT INTO outbox_messages (key, topic, payload, created_at, next_at, dead, last_error) \
         SELECT id, 'create_shipment', x'', 0, 0, TRUE, 'SHIPMENT_CANCELLED' FROM orders WHERE state = 'cancelled'",
    ),
    (
        "waits for capture_payment",
        "checkout",
        "INSERT INTO outbox_messages (key, topic, payload, created_at, next_at) \
         SELECT id, 'capture_payment', x'', 0, 0 FROM orders WHERE state = 'confirmed'",
    ),
    (
        "cancelled: its stock is committed",
        "catalogue",
        "UPDATE reservations SET state = 'committed' WHERE state = 'released'",
    ),
    ("its stock is held", "catalogue", "UPDATE reservations SET state = 'held' WHERE state = 'committed'"),
    ("its stock is none", "catalogue", "DELETE FROM reservations WHERE state = 'committed'"),
    (
        "other pieces left the shelf",
        "catalogue",
        "UPDATE reservations SET lines = '[{\"sku\":\"KEPT\",\"quantity\":2}]' WHERE state = 'committed'",
    ),
    ("pieces of BOOKED stay set aside", "catalogue", "UPDATE variants SET reserved = 1 WHERE sku = 'BOOKED'"),
    ("cancelled: its parcel is label_created", "delivery", "UPDATE shipments SET state = 'label_created'"),
    ("confirmed: its parcel is cancelled", "delivery", "UPDATE shipments SET state = 'cancelled'"),
    ("confirmed: its parcel is none", "delivery", "DELETE FROM shipments"),
    (
        "a parcel of order",
        "delivery",
        "INSERT INTO shipments SELECT randomblob(16), owner, address, speed, grams, state, \
     tracking_number, next_move_at, created_at FROM shipments LIMIT 1",
    ),
];

/// A copy of the shop's books, with what `sql` makes of it.
async fn planted(shop: &Path, service: &str, sql: &str) -> TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for service in SERVICES {
        let name = format!("{service}.db");
        std::fs::copy(shop.join(&name), copy.path().join(&name)).expect("a copy");
    }
    let config = Config { limit: 1, ..Config::new("planted", url(copy.path(), service)) };
    let database = Pool::open(config).await.expect("the copy is a database");
    let planted = database.execute_raw(Statement::from_string(database.backend(), sql)).await.expect(sql);
    assert!(planted.rows_affected() > 0, "nothing was made wrong: {sql}");
    database.close().await;
    copy
}

/// What waiting for the end of all orders says where it is given up.
async fn said_at_last(folder: &Path, bound: Duration) -> String {
    let folder = folder.to_owned();
    let waiting = async move { open(&folder).await.settled(bound).await };
    // On a task, which takes the panic.
    let waited = LocalSet::new().run_until(async { spawn_local(waiting).await }).await;
    let panic = waited.expect_err("it can't be settled").into_panic();
    *panic.downcast::<String>().expect("words")
}

#[tokio::test]
async fn each_row_that_is_made_wrong_is_found_and_a_shop_that_is_right_has_none() {
    let shop = tempfile::tempdir().expect("a temporary folder");
    a_days_work(shop.path()).await;
    let ledger = open(shop.path()).await;
    assert_eq!(ledger.wrong().await, Vec::<String>::new());
    ledger.close().await;
    for (words, service, sql) in WRONG {
        let copy = planted(shop.path(), service, sql).await;
        let found = open(copy.path()).await.wrong().await;
        assert!(found.iter().any(|finding| finding.contains(words)), "{words}: {sql}\nfound: {found:#?}");
    }
    // Who waits for the end of all orders isn't kept waiting by what has none, and is told what that is.
    let of = |words: &str| WRONG.iter().find(|wrong| wrong.0.contains(words)).expect("it is on the list");
    let (_, service, dead) = of("dead letter");
    let said = said_at_last(planted(shop.path(), service, dead).await.path(), LONG).await;
    assert!(said.contains("given up") && said.contains("create_shipment, SHIPMENT_CANCELLED"), "{said}");
    let (_, service, standing) = of("stands in cancelling");
    let said = said_at_last(planted(shop.path(), service, standing).await.path(), Duration::from_millis(200)).await;
    assert!(said.contains("still stand or wait") && said.contains("stands in cancelling"), "{said}");
}
