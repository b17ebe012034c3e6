//! What the store promises, on both engines.

use futures::future::join_all;
use sea_orm::{ConnectionTrait as _, Statement};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use selvage_delivery::domain::shipment::{Consignment, OnItsWay, OtherContent, State};
use selvage_delivery::migration::Migrator;
use selvage_delivery::store::Store;
use selvage_pool::migrate::up;
use selvage_pool::{Config, Pool, is_unique_violation};
use selvage_testkit::{Engine, engines};
use uuid::Uuid;

use crate::shop::{NOON, Shelf, goods};

const LATER: i64 = NOON + 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_is_made_once_and_reads_as_it_was_made() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let goods = goods(Uuid::now_v7());
        let made = store.shipment_create(&goods, NOON, LATER).await.unwrap().unwrap();
        assert_eq!(made.consignment, Some(goods.clone()));
        assert_eq!((made.state, made.events.len()), (State::LabelCreated, 1));
        assert_eq!(store.shipment_get(goods.order_id).await.unwrap(), Some(made.clone()));
        // A repetition, later: the same shipment.
        assert_eq!(store.shipment_create(&goods, NOON + 500, LATER + 500).await.unwrap().unwrap(), made);
        assert_eq!(store.shipment_next_due().await.unwrap(), Some(LATER));

        let other = Consignment { grams: 301, ..goods };
        let refused = store.shipment_create(&other, NOON, LATER).await.unwrap();
        assert_eq!(refused, Err(OtherContent), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_shipment_made_thirty_two_times_at_once_is_one() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let goods = goods(Uuid::now_v7());
        let made = join_all((0..32).map(|_| store.shipment_create(&goods, NOON, LATER))).await;
        let first = made[0].as_ref().unwrap();
        assert!(first.is_ok(), "{engine:?}");
        assert!(made.iter().all(|shipment| shipment.as_ref().unwrap() == first), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_can_be_stopped_until_it_is_picked_up() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let (stopped, moving) = (goods(Uuid::now_v7()), goods(Uuid::now_v7()));
        store.shipment_create(&stopped, NOON, LATER).await.unwrap().unwrap();
        let cancelled = store.shipment_cancel(stopped.order_id, NOON + 1).await.unwrap().unwrap();
        assert_eq!((cancelled.state, cancelled.events.len()), (State::Cancelled, 2));
        assert_eq!(store.shipment_cancel(stopped.order_id, NOON + 2).await.unwrap().unwrap(), cancelled);
        assert_eq!(store.shipment_next_due().await.unwrap(), None, "{engine:?}: the carrier leaves it alone");

        store.shipment_create(&moving, NOON, LATER).await.unwrap().unwrap();
        assert_eq!(store.shipment_move_due(LATER, LATER + 1_000).await.unwrap(), 1);
        let refused = store.shipment_cancel(moving.order_id, LATER).await.unwrap();
        assert_eq!(refused, Err(OnItsWay), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_cancelled_first_is_never_shipped() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let goods = goods(Uuid::now_v7());
        let cancelled = store.shipment_cancel(goods.order_id, NOON).await.unwrap().unwrap();
        assert_eq!((cancelled.state, cancelled.owner()), (State::Cancelled, ""));
        assert_eq!(store.shipment_cancel(goods.order_id, NOON + 9).await.unwrap().unwrap(), cancelled);
        // The creation is answered, whatever its content, for there is nothing to ship; and nothing is.
        for goods in [goods.clone(), Consignment { grams: 301, ..goods.clone() }] {
            assert_eq!(store.shipment_create(&goods, NOON, LATER).await.unwrap().unwrap(), cancelled, "{engine:?}");
        }
        assert_eq!(store.shipment_next_due().await.unwrap(), None, "{engine:?}");
    }
}

/// The rule for whoever repeats what it asked for because it doesn't know the answer: each request is answered the second
/// time as the first, after any that may follow it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_the_second_time_as_the_first_whatever_followed_it() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        // Cancelled in between.
        let stopped = goods(Uuid::now_v7());
        store.shipment_create(&stopped, NOON, LATER).await.unwrap().unwrap();
        let cancelled = store.shipment_cancel(stopped.order_id, NOON + 1).await.unwrap().unwrap();
        for _ in 0..2 {
            assert_eq!(
                store.shipment_create(&stopped, NOON + 2, LATER + 2).await.unwrap().unwrap(),
                cancelled,
                "{engine:?}"
            );
            assert_eq!(
                store.shipment_cancel(stopped.order_id, NOON + 3).await.unwrap().unwrap(),
                cancelled,
                "{engine:?}"
            );
        }
        assert_eq!(store.shipment_next_due().await.unwrap(), None, "{engine:?}: the carrier doesn't get it again");
        // A parcel of other content is another's, cancelled or not.
        let foreign = Consignment { owner: "guest-2".into(), ..stopped };
        let refused = store.shipment_create(&foreign, NOON, LATER).await.unwrap();
        assert_eq!(refused, Err(OtherContent), "{engine:?}");

        // Moved by the carrier in between, and too late to cancel: for ever.
        let moving = goods(Uuid::now_v7());
        store.shipment_create(&moving, NOON, LATER).await.unwrap().unwrap();
        for moved in 1..4 {
            assert_eq!(store.shipment_move_due(LATER, LATER).await.unwrap(), 1);
            assert_eq!(store.shipment_create(&moving, NOON, LATER).await.unwrap().unwrap().state, State::ALL[moved]);
            let refused = store.shipment_cancel(moving.order_id, LATER).await.unwrap();
            assert_eq!(refused, Err(OnItsWay), "{engine:?}, {moved}");
        }
        assert_eq!(store.shipment_next_due().await.unwrap(), None, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_creation_and_a_cancellation_at_once_the_cancellation_stays() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        for _ in 0..20 {
            let goods = goods(Uuid::now_v7());
            let (_, cancelled) =
                futures::join!(store.shipment_create(&goods, NOON, LATER), store.shipment_cancel(goods.order_id, NOON));
            assert_eq!(cancelled.unwrap().unwrap().state, State::Cancelled, "{engine:?}");
            let found = store.shipment_get(goods.order_id).await.unwrap().unwrap();
            assert_eq!(found.state, State::Cancelled);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_carriers_move_each_parcel_through_each_state_once() {
    const PARCELS: usize = 150;
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let ids: Vec<_> = (0..PARCELS).map(|_| Uuid::now_v7()).collect();
        for id in &ids {
            store.shipment_create(&goods(*id), NOON, NOON).await.unwrap().unwrap();
        }
        // All are due at once, and again as soon as they were moved.
        let work = (0..8).map(|_| async {
            let mut moved = 0;
            while store.shipment_next_due().await.unwrap().is_some() {
                moved += store.shipment_move_due(NOON, NOON).await.unwrap();
            }
            moved
        });
        let moved: u64 = join_all(work).await.into_iter().sum();
        assert_eq!(moved, 3 * PARCELS as u64, "{engine:?}");
        for shipment in store.shipment_list(&ids).await.unwrap() {
            let states: Vec<_> = shipment.events.iter().map(|event| event.state).collect();
            assert_eq!(states, State::ALL[..4], "{engine:?}");
            assert!(shipment.events[1].place.contains("Leipzig"));
        }
    }
}

/// Ids are a sequence's: nothing says that an event has a higher one than those before it.
#[tokio::test(flavor = "multi_thread")]
async fn events_stand_in_the_order_of_their_numbers_whatever_their_ids() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let goods = goods(Uuid::now_v7());
        shelf.store.shipment_create(&goods, NOON, NOON).await.unwrap().unwrap();
        for _ in 0..3 {
            assert_eq!(shelf.store.shipment_move_due(NOON, NOON).await.unwrap(), 1);
        }
        let in_order = shelf.store.shipment_get(goods.order_id).await.unwrap().unwrap();
        shelf.pool.execute_unprepared("UPDATE shipment_events SET id = 1000 - id").await.unwrap();
        assert_eq!(shelf.store.shipment_get(goods.order_id).await.unwrap().unwrap(), in_order, "{engine:?}");
        // As a release before this one writes them, while both run.
        shelf.pool.execute_unprepared("UPDATE shipment_events SET number = NULL WHERE number > 1").await.unwrap();
        assert_eq!(shelf.store.shipment_get(goods.order_id).await.unwrap().unwrap(), in_order, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_parcel_is_picked_up_and_cancelled_at_once() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let goods = goods(Uuid::now_v7());
        shelf.store.shipment_create(&goods, NOON, NOON).await.unwrap().unwrap();
        shelf.store.shipment_move_due(NOON, NOON).await.unwrap();
        let cancelled = "INSERT INTO shipment_events (order_id, number, state, at, place) \
                         SELECT order_id, 1, 'cancelled', at, place FROM shipment_events";
        let refused = shelf.pool.execute_unprepared(cancelled).await.unwrap_err();
        assert!(is_unique_violation(&refused), "{engine:?}: {refused}");
    }
}

/// The schema before events were numbered.
struct Before;

impl MigratorTrait for Before {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Migrator::migrations().into_iter().take(1).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_from_before_are_numbered_by_the_migration() {
    for engine in engines() {
        let database = selvage_testkit::database(engine).await;
        up::<Before>(database.url()).await.unwrap();
        let pool = Pool::open(Config::new("delivery", database.url())).await.unwrap();
        let store = Store::new(pool.clone());
        let (delivered, stopped) = (goods(Uuid::now_v7()), goods(Uuid::now_v7()));
        for goods in [&delivered, &stopped] {
            store.shipment_create(goods, NOON, NOON).await.unwrap().unwrap();
        }
        let insert = |order: &Consignment, state: State| {
            let (literal, state) = (if engine == Engine::Postgres { "" } else { "X" }, state.word());
            let id = if engine == Engine::Postgres {
                order.order_id.to_string()
            } else {
                order.order_id.simple().to_string()
            };
            format!(
                "INSERT INTO shipment_events (order_id, state, at, place) VALUES ({literal}'{id}', '{state}', {NOON}, 'x')"
            )
        };
        // The label had an event of its own once.
        for state in State::ALL[..4].iter().rev() {
            pool.execute_unprepared(&insert(&delivered, *state)).await.unwrap();
        }
        pool.execute_unprepared(&insert(&stopped, State::Cancelled)).await.unwrap();
        up::<Migrator>(database.url()).await.unwrap();
        let unnumbered = pool.query_one_raw(Statement::from_string(
            pool.backend(),
            "SELECT COUNT(*) AS rows FROM shipment_events WHERE number IS NULL",
        ));
        assert_eq!(unnumbered.await.unwrap().unwrap().try_get::<i64>("", "rows").unwrap(), 0, "{engine:?}");
        let states = async |goods: &Consignment| {
            let shipment = store.shipment_get(goods.order_id).await.unwrap().unwrap();
            shipment.events.iter().map(|event| event.state).collect::<Vec<_>>()
        };
        assert_eq!(states(&delivered).await, State::ALL[..4], "{engine:?}");
        assert_eq!(states(&stopped).await, [State::LabelCreated, State::Cancelled], "{engine:?}");
        pool.close().await;
    }
}
