//! How fast the relay works off what waited for delivery, beside how fast the shop takes orders.

use std::time::{Duration, Instant};

use selvage_pool::sea_orm::{ConnectionTrait as _, Statement};
use selvage_pool::{Config, Pool};
use selvage_testkit::eventually;
use selvage_tests::rounds::place;

use super::{AT_ONCE, Bench, LONG};

/// Orders of each buyer while delivery takes no parcels: 12 × 170 = 2,040 in all.
const ORDERS_EACH: u32 = 170;
/// The part of the backlog in which its end is looked at: not while the first are claimed, nor the last few awaited.
const LOOKED_AT: (f64, f64) = (0.9, 0.1);

/// What was done, orders a second.
pub(super) struct Rates {
    /// Taken while delivery took no parcels, each to its payment and with its stock committed.
    pub(super) taken: f64,
    /// Handed over once it took them again, with all that follows.
    pub(super) worked_off: f64,
}

async fn number(books: &Pool, sql: &str) -> f64 {
    let row = books.query_one_raw(Statement::from_string(books.backend(), sql)).await.unwrap().unwrap();
    row.try_get_by_index::<i64>(0).unwrap() as f64
}

/// Takes orders while delivery takes no parcels, and then lets it.
pub(super) async fn measure(bench: &mut Bench) -> Rates {
    let ready = bench.rounds.ready(ORDERS_EACH).await;
    let books = Config { limit: 1, ..Config::new("books", bench.shop.databases[2].url()) };
    let books = Pool::open(books).await.unwrap();
    let orders = f64::from(AT_ONCE * ORDERS_EACH);
    // It answers what sending costs, without which nobody orders, and takes no parcel.
    let shipments = Config { limit: 1, ..Config::new("shipments", bench.shop.databases[3].url()) };
    let shipments = Pool::open(shipments).await.unwrap();
    let role = bench.shop.role("delivery").to_owned();
    shipments.execute_unprepared(&format!("REVOKE INSERT ON shipments FROM {role}")).await.unwrap();
    let began = Instant::now();
    place(ready).await;
    let postponed = "SELECT count(*) FROM outbox_messages WHERE NOT behind AND attempts > 0 AND last_error IS NOT NULL";
    eventually(LONG, "each order waits for delivery", async || number(&books, postponed).await >= orders).await;
    let taken = orders / began.elapsed().as_secs_f64();

    // After ten minutes they would be due within a minute and a quarter of each other, at ten times this rate: all are due.
    books.execute_unprepared("UPDATE outbox_messages SET next_at = created_at").await.unwrap();
    shipments.execute_unprepared(&format!("GRANT INSERT ON shipments TO {role}")).await.unwrap();
    let left = async || number(&books, "SELECT count(DISTINCT key) FROM outbox_messages").await / orders;
    let mut seen = Vec::new();
    eventually(LONG, "the backlog is worked off", async || {
        let left = left().await;
        seen.push((Instant::now(), left));
        left == 0.0
    })
    .await;
    books.close().await;
    shipments.close().await;
    let at = |part: f64| *seen.iter().find(|(_, left)| *left <= part).unwrap();
    let ((from, before), (to, after)) = (at(LOOKED_AT.0), at(LOOKED_AT.1));
    let worked_off = orders * (before - after) / (to - from).max(Duration::from_millis(1)).as_secs_f64();
    Rates { taken, worked_off }
}
