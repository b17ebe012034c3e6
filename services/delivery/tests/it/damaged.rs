//! Parcels whose rows are damaged: they stand in no other's way.

use sea_orm::{ConnectionTrait as _, Statement};
use selvage_delivery::domain::shipment::State;
use selvage_delivery::store::{CARRIER_BATCH, PASSED_OVER_MS};
use selvage_testkit::{Engine, engines, eventually};
use uuid::Uuid;

use crate::shop::{NOON, STEP_MS, Shelf, Shop, goods};

/// Ways to damage the parcel `$1`: an address that isn't one, a state that there isn't, a state that the parcel has left, and where a
/// column takes anything, what isn't even JSON.
fn damages(engine: Engine) -> Vec<&'static str> {
    let mut damages = vec![
        "UPDATE shipments SET address = '[]' WHERE order_id = $1",
        "UPDATE shipments SET state = 'lost' WHERE order_id = $1",
        "INSERT INTO shipment_events (order_id, state, number, at, place) VALUES ($1, 'in_transit', 1, 1, 'Warehouse')",
    ];
    if engine == Engine::Sqlite {
        damages.push("UPDATE shipments SET address = 'nonsense' WHERE order_id = $1");
        damages.push("UPDATE shipments SET created_at = 'noon' WHERE order_id = $1");
    }
    damages
}

async fn run(shelf: &Shelf, sql: &str, id: Uuid) {
    shelf.pool.execute_raw(Statement::from_sql_and_values(shelf.pool.backend(), sql, [id.into()])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_carrier_moves_all_parcels_but_those_that_are_damaged() {
    for engine in engines() {
        for damages in damages(engine).into_iter().map(|damage| vec![damage]).chain([damages(engine)]) {
            let shelf = Shelf::open(engine).await;
            let store = &shelf.store;
            let (bad, good) = ((0..damages.len()).map(|_| Uuid::now_v7()), (0..CARRIER_BATCH).map(|_| Uuid::now_v7()));
            let (bad, good): (Vec<_>, Vec<_>) = (bad.collect(), good.collect());
            // The damaged ones have been due for longest.
            for (order_ids, due) in [(&bad, NOON), (&good, NOON + 1)] {
                for order_id in order_ids {
                    store.shipment_create(&goods(*order_id), NOON, due).await.unwrap().unwrap();
                }
            }
            for (damage, id) in damages.iter().zip(&bad) {
                run(&shelf, damage, *id).await;
            }
            let (now, next) = (NOON + 2, NOON + STEP_MS);
            assert_eq!(store.shipment_move_due(now, next).await.unwrap(), CARRIER_BATCH, "{engine:?} {damages:?}");
            assert_eq!(store.shipment_move_due(now, next).await.unwrap(), bad.len() as u64, "{engine:?} {damages:?}");
            assert_eq!(store.shipment_move_due(now, next).await.unwrap(), 0, "{engine:?} {damages:?}");
            let moved = store.shipment_list(&good).await.unwrap();
            assert_eq!(moved.len(), good.len());
            assert!(moved.iter().all(|shipment| shipment.state == State::InTransit), "{engine:?} {damages:?}");

            // Whoever mends a row needs to do nothing else.
            for id in &bad {
                for mend in [
                    "DELETE FROM shipment_events WHERE order_id = $1",
                    "UPDATE shipments SET state = 'label_created', created_at = 1, \
                     address = (SELECT address FROM shipments WHERE next_move_at IS NOT NULL AND state = 'in_transit' LIMIT 1) \
                     WHERE order_id = $1",
                ] {
                    run(&shelf, mend, *id).await;
                }
            }
            let later = now + PASSED_OVER_MS;
            store.shipment_move_due(later, later + 1).await.unwrap();
            store.shipment_move_due(later, later + 1).await.unwrap();
            let states = store.shipment_list_states(&bad).await.unwrap();
            assert!(states.iter().all(|(_, state)| state == "in_transit"), "{engine:?}: {states:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_parcels_leaves_out_those_that_are_damaged() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let ids: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
        for id in &ids {
            shelf.store.shipment_create(&goods(*id), NOON, NOON + 1).await.unwrap().unwrap();
        }
        run(&shelf, "UPDATE shipments SET address = '[]' WHERE order_id = $1", ids[0]).await;
        let event = "INSERT INTO shipment_events (order_id, state, number, at, place) VALUES ($1, 'lost', 7, 1, 'Sea')";
        run(&shelf, event, ids[1]).await;
        let listed = shelf.store.shipment_list(&ids).await.unwrap();
        assert_eq!(listed.iter().map(|shipment| shipment.order_id).collect::<Vec<_>>(), [ids[2]], "{engine:?}");
        for id in &ids[..2] {
            assert!(shelf.store.shipment_get(*id).await.unwrap_err().is_of_one_row(), "{engine:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_carrier_goes_on_beside_a_damaged_parcel() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let shelf = shop.shelf();
        let (bad, good) = (Uuid::now_v7(), Uuid::now_v7());
        for (id, due) in [(bad, NOON), (good, NOON + 1)] {
            shelf.store.shipment_create(&goods(id), NOON, due + STEP_MS).await.unwrap().unwrap();
        }
        run(shelf, "UPDATE shipments SET address = '[]' WHERE order_id = $1", bad).await;
        shop.clock.advance_ms(2 * STEP_MS);
        eventually(std::time::Duration::from_secs(20), "the other one is moved", async || {
            shelf.store.shipment_get(good).await.unwrap().is_some_and(|shipment| shipment.state != State::LabelCreated)
        })
        .await;
        shop.life.end();
    }
}
