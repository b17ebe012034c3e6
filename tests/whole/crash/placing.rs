//! Checkout is killed (SIGKILL) at each step of an order that nobody cancels. A proxy before its database decides when: at
//! the n-th message that checkout sends, before the database has seen it, or after it has answered. From the first message
//! of PlaceOrder to the last of the relay that is every step there is, found by counting and not by a list that can grow
//! old. The shop in one process is killed too, at moments spread over an order's time.

use std::time::Duration;

use selvage_proto::checkout::v1::Order;
use selvage_status::reason;
use selvage_testkit::{Engine, engines, eventually};
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::ledger::Ledger;
use selvage_tests::proxy::Strike;
use selvage_tests::shop::{OneProcess, Separate};
use tonic::{Code, Status};

use super::{LONG, before_database, by_form};

/// More messages than an order and what follows from it need; idle looks of relay and sweep come on top.
const MOST: u64 = 120;

/// What a repeated call says of an order: its id, `Err` if it was undone, nothing yet.
fn fate(told: Result<Order, Status>) -> Option<Result<String, ()>> {
    match told {
        Ok(order) => Some(Ok(order.order_id)),
        Err(status) => match (status.code(), reason(&status).as_deref()) {
            (Code::FailedPrecondition, Some("ORDER_UNDONE")) => Some(Err(())),
            (Code::Aborted | Code::Unavailable | Code::DeadlineExceeded, _) => None,
            _ => panic!("{status:?}"),
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_once_or_not_at_all_wherever_checkout_is_killed() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let mut proxy = None;
    let mut shop = Separate::start(Engine::Postgres, async |url: &str| {
        let (before, address) = before_database(url).await;
        proxy = Some(before);
        Some(address)
    })
    .await;
    let proxy = proxy.expect("it was asked for");
    let clients = Clients::new(|name| shop.channel(name));
    let [catalogue, _, checkout, delivery] = &shop.databases;
    let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;
    clients.stock(&shop.tokens(), "FRAGILE", 10_000).await;

    // In the quick form every seventh step, in the usual one every second, in the long one each.
    let stride = by_form(7, 2, 1);
    let (mut kills, mut placed, mut undone) = (0, 0_i64, 0_i64);
    for strike in [Strike::Before, Strike::After] {
        let mut quiet = 0;
        let mut step = 0;
        while step < MOST && quiet < 3 {
            let buyer = Buyer::new(&clients, &shop.tokens());
            buyer.add("FRAGILE", 1).await.expect("the bag takes it");
            let key = format!("{strike:?}-{step:012}");
            let intent = buyer.intent(&key, "tok_succeeds").await.expect("a preview");

            proxy.arm(shop.checkout_id(), step, strike);
            let mut first = buyer.place(intent.clone()).await;
            // The order may be confirmed and the kill yet to come, in the relay: that is awaited, as long as there is work.
            let finished = async {
                let what = format!("{strike:?} {step}: the order is placed and the relay is done");
                eventually(LONG, &what, async || {
                    if first.is_err() {
                        first = buyer.place(intent.clone()).await;
                    }
                    match &first {
                        Ok(order) => buyer.shipment(&order.order_id).await.is_ok_and(|parcel| parcel.events.len() > 1),
                        // A machine that stands still for a moment undoes an order too; that is an end as well.
                        Err(status) => reason(status).as_deref() == Some("ORDER_UNDONE"),
                    }
                })
                .await;
            };
            let struck = tokio::select! {
                biased;
                () = proxy.struck() => true,
                () = finished => proxy.disarm().await,
            };
            if struck {
                kills += 1;
                quiet = 0;
                shop.restart("checkout");
            } else {
                quiet += 1;
            }

            // The caller asks again with the same key until it is told: that is what the key is for.
            let mut known = None;
            eventually(LONG, "the caller learns what became of the order", async || {
                known = fate(buyer.place(intent.clone()).await);
                known.is_some()
            })
            .await;
            match known.expect("it was waited for") {
                Ok(id) => {
                    placed += 1;
                    if let Ok(order) = first {
                        assert_eq!(order.order_id, id, "what was confirmed once is that order for ever");
                    }
                }
                Err(()) => {
                    undone += 1;
                    assert!(first.is_err(), "a confirmed order was undone");
                }
            }
            ledger.settled(LONG).await;
            step += stride;
        }
        assert!(quiet >= 3, "the kills went on to step {step}: MOST is too small");
    }
    ledger.check().await;
    assert_eq!((ledger.orders("confirmed").await, ledger.orders("undone").await), (placed, undone));
    assert_eq!(ledger.stock("FRAGILE").await, (10_000 - placed, 0));
    println!("killed {kills} times; {placed} orders placed, {undone} undone, none lost, none twice");
    // An order takes some 28 messages of checkout's to its database, and each is killed at twice: before and after.
    assert!(kills * stride >= 40, "only {kills} kills, each {stride} steps on: the proxy doesn't see the steps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_in_one_process_loses_nothing_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = OneProcess::start(folder.path(), &[]);
    let tokens = shop.tokens();
    let at = |shop: &OneProcess| {
        let channel = shop.channel();
        Clients::new(|_| channel.clone())
    };
    at(&shop).stock(&tokens, "FRAGILE", 1_000).await;
    let mut buyers = Vec::new();
    for round in 0..16_u64 {
        let clients = at(&shop);
        let buyer = Buyer::new(&clients, &tokens);
        buyer.add("FRAGILE", 1).await.expect("the bag takes it");
        let intent = buyer.intent(&format!("one-process-{round:04}"), "tok_succeeds").await.expect("a preview");
        let (placing, sent) = (buyer.clone(), intent.clone());
        let told = tokio::spawn(async move { placing.place(sent).await });
        // An order and what follows from it take some 30 ms here; each round is killed a little later than the one before.
        tokio::time::sleep(Duration::from_millis(3 * round)).await;
        shop.process.kill();
        buyers.push((buyer, intent, told.await.unwrap()));
        shop = OneProcess::start(folder.path(), &[]);
    }
    let (clients, mut placed) = (at(&shop), 0);
    for (buyer, intent, told) in buyers {
        let (buyer, mut known) = (buyer.at(&clients), None);
        eventually(LONG, "the caller learns what became of the order", async || {
            known = fate(buyer.place(intent.clone()).await);
            known.is_some()
        })
        .await;
        match (known.expect("it was waited for"), told) {
            (Ok(id), Ok(order)) => assert_eq!(order.order_id, id),
            (Ok(_), Err(_)) => {}
            (Err(()), told) => {
                assert!(told.is_err(), "a confirmed order was undone");
                continue;
            }
        }
        placed += 1;
    }
    let ledger =
        Ledger::open(&shop.database("catalogue"), &shop.database("checkout"), &shop.database("delivery")).await;
    ledger.settled(LONG).await;
    ledger.check().await;
    assert_eq!((ledger.orders("confirmed").await, ledger.stock("FRAGILE").await), (placed, (1_000 - placed, 0)));
    println!("the shop in one process, killed 16 times: {placed} orders placed, {} undone", 16 - placed);
}
