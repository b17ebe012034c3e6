//! What the carrier's looks cost among many parcels.

use sea_orm::ConnectionTrait as _;
use selvage_delivery::store::CARRIER_BATCH;
use selvage_testkit::{engines, many, shortest, times};

use crate::shop::{NOON, Shelf};

const HOUR_MS: i64 = 3_600_000;

/// Writes down parcels that are due at `due`, an expression of the number `n`.
async fn plant(shelf: &Shelf, engine: selvage_testkit::Engine, due: &str, limit: u64) {
    let sql = format!(
        "INSERT INTO shipments (order_id, state, tracking_number, next_move_at, created_at) \
         SELECT {}, 'label_created', '', {due}, 1 FROM {} LIMIT {limit}",
        engine.random_id(),
        engine.numbers()
    );
    shelf.pool.execute_unprepared(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_for_due_parcels_takes_as_long_among_many_as_among_few() {
    for engine in engines() {
        let (mut looks, mut moves) = (Vec::new(), Vec::new());
        for crowded in [false, true] {
            let shelf = Shelf::open(engine).await;
            let store = &shelf.store;
            for _ in 0..if crowded { times() } else { 0 } {
                // Delivered, due later, and due now.
                for due in ["NULL", &format!("{NOON} + {HOUR_MS} + n"), &format!("{NOON} + n / 1000")] {
                    plant(&shelf, engine, due, 20_000).await;
                }
            }
            plant(&shelf, engine, &format!("{NOON} + n / 1000"), 30 * CARRIER_BATCH).await;
            looks.push(shortest(async || assert!(store.shipment_next_due().await.unwrap().is_some())).await);
            let move_due = async || {
                assert_eq!(store.shipment_move_due(NOON + 1_000, NOON + HOUR_MS).await.unwrap(), CARRIER_BATCH);
            };
            moves.push(shortest(move_due).await);
        }
        for (what, took) in [("a look", looks), ("a move", moves)] {
            assert!(took[1] < took[0] * 5, "{engine:?}: {what} takes {took:?} among few and {} more", many());
        }
    }
}
