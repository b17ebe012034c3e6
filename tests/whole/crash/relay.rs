//! An order that was cancelled, and one that was paid back, before the relay came to them: all their messages are done in one
//! go. Checkout is killed at each step of that, and what was done is done again. The relay is kept from them by a fault that
//! takes the only connection of its pool, as a busy one has none to give.

use std::sync::atomic::AtomicU64;

use selvage_identity::Role;
use selvage_pool::sea_orm::{ConnectionTrait as _, Statement};
use selvage_pool::{Config, Pool};
use selvage_proto::operations::v1::fault::Kind;
use selvage_testkit::{Engine, Server, engines, eventually};
use selvage_tests::buyer::Clients;
use selvage_tests::ledger::Ledger;
use selvage_tests::metrics::Metrics;
use selvage_tests::operations;
use selvage_tests::proxy::Strike;
use selvage_tests::shop::Separate;

use super::mix::{Ready, SKU, Wish, audit};
use super::{LONG, before_database, by_form, tell};

/// More messages than two orders' messages need of the database; idle looks of relay and sweep come on top.
const MOST: u64 = 120;
const STOCKED: i32 = 10_000;
const POOL: &str = "checkout-relay";

/// Whether all connections of the relay's pool are taken.
fn is_kept(shop: &Separate) -> bool {
    let of_relay = [("db_client_connection_pool_name", POOL), ("db_client_connection_state", "used")];
    Metrics::of(shop.metrics("checkout")).sum("db_client_connection_count", &of_relay) >= 1.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_order_comes_to_its_end_wherever_the_relay_is_killed() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let server = Server::start(&[]).await;
    let mut proxy = None;
    // No parcel is picked up here, so that whatever is cancelled in time is cancelled.
    let environment = [("SELVAGE_FAULTS", "allow"), ("SELVAGE_RELAY_POOL_LIMIT", "1"), ("SELVAGE_CARRIER_STEP", "1h")];
    let through = async |name: &str, _, url: &str| {
        if name != "checkout" {
            return None;
        }
        let (before, address) = before_database(url).await;
        proxy = Some(before);
        Some(address)
    };
    let mut shop = Separate::start_several(&server, 1, through, &environment).await;
    let proxy = proxy.expect("it was asked for");
    let (clients, tokens) = (Clients::new(|name| shop.channel(name)), shop.tokens());
    let admin = tokens.of(Role::Admin, "tests");
    let [catalogue, _, checkout, delivery] = &shop.databases;
    let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;
    let books = Pool::open(Config { limit: 1, ..Config::new("tests", checkout.url()) }).await.expect("the database");
    clients.stock(&tokens, SKU, STOCKED).await;

    let stride = by_form(11, 4, 1);
    let (mut kills, mut told, placed) = (0, Vec::new(), AtomicU64::new(0));
    for strike in [Strike::Before, Strike::After] {
        let (mut quiet, mut step) = (0, 0);
        while step < MOST && quiet < 3 {
            let mut ready = Vec::new();
            for wish in [Wish::CancelAtOnce, Wish::Refund] {
                let number = u64::try_from(told.len() + ready.len()).expect("few");
                ready.push(Ready::pack(&clients, &tokens, "relay", number, wish).await);
            }
            let channel = shop.channel("checkout");
            let keeps = operations::start_fault(&channel, &admin, Kind::LeakedConnection, POOL, LONG).await;
            let keeps = keeps.expect("faults are allowed").fault_id;
            eventually(LONG, "the relay has no connection", async || is_kept(&shop)).await;
            for ready in ready {
                told.push(ready.live(&placed).await);
            }
            proxy.arm(shop.checkout_id(), step, strike);
            operations::end_fault(&channel, &admin, &keeps).await.expect("it is there");
            let struck = tokio::select! {
                biased;
                () = proxy.struck() => true,
                () = ledger.settled(LONG) => proxy.disarm().await,
            };
            if struck {
                kills += 1;
                quiet = 0;
                shop.restart("checkout");
                // The dead relay does nothing any more: what would be its claim's end after three seconds may as well come now.
                let lapse = "UPDATE outbox_messages SET next_at = 0 WHERE NOT dead";
                books.execute_raw(Statement::from_string(books.backend(), lapse)).await.expect(lapse);
            } else {
                quiet += 1;
            }
            ledger.settled(LONG).await;
            step += stride;
        }
        assert!(quiet >= 3, "the kills went on to step {step}: MOST is too small");
    }
    let ends = audit(&ledger, &told, i64::from(STOCKED)).await;
    let rounds = i64::try_from(told.len() / 2).expect("few");
    assert_eq!((ends.of("cancelled"), ends.of("refunded")), (rounds, rounds), "{ends}");
    let done = format!("checkout killed, at one in {stride} of its relay's messages to the database");
    tell("orders that were cancelled or paid back before the relay came to them", &[(done, kills)], &ends);
    // Two orders take some 30 messages, and each is killed at twice: before and after.
    assert!(kills * stride >= 40, "only {kills} kills, each {stride} steps on: the proxy doesn't see the steps");
}
