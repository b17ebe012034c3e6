//! Several who change the same at once: one does it, the others are told so or find it done.

use std::time::Duration;

use futures::future::join_all;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, Statement};
use selvage_catalogue::plant_seed;
use selvage_catalogue::store::{Adjusted, Put, Store};
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, engines, eventually};
use uuid::Uuid;

use crate::goods::{catalogue, product, variant};

const ROUNDS: usize = 12;

fn of<'a>(answers: &'a [Put], wanted: impl Fn(&Put) -> bool + 'a) -> usize {
    answers.iter().filter(|answer| wanted(answer)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_products_with_one_slug_or_sku_one_is_created() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        for round in 0..ROUNDS {
            let created = join_all((0..6).map(|task| {
                let goods = vec![variant(&format!("S-{round}-{task}"), "M", "Ink", 100, 1)];
                let (store, shirt) = (store.clone(), product(&format!("shirt-{round}"), "Shirt", "shirts", goods));
                async move { store.product_create(&shirt, 0).await.unwrap() }
            }))
            .await;
            assert_eq!(of(&created, |put| *put == Put::Done), 1, "{engine:?} {created:?}");
            assert_eq!(of(&created, |put| *put == Put::SlugTaken), 5);

            let created = join_all((0..6).map(|task| {
                let goods = vec![variant(&format!("C-{round}"), "M", "Ink", 100, 1)];
                let (store, coat) = (store.clone(), product(&format!("coat-{round}-{task}"), "Coat", "coats", goods));
                async move { store.product_create(&coat, 0).await.unwrap() }
            }))
            .await;
            assert_eq!(of(&created, |put| *put == Put::Done), 1, "{engine:?} {created:?}");
            assert_eq!(of(&created, |put| matches!(put, Put::SkuTaken(_))), 5);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sku_becomes_one_products_and_the_others_leave_it_alone() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        for round in 0..ROUNDS {
            let bag = |task: usize| {
                let goods = vec![variant(&format!("B-{round}-{task}"), "M", "Ink", 100, 1)];
                product(&format!("bag-{round}-{task}"), "Bag", "bags", goods)
            };
            let new = format!("NEW-{round}");
            for task in 0..4 {
                assert_eq!(store.product_create(&bag(task), 0).await.unwrap(), Put::Done);
            }
            let updated = join_all((0..4).map(|task| {
                let (store, mut bag) = (store.clone(), bag(task));
                bag.variants.push(variant(&new, "M", "Oat", 200 + task as i64, 1));
                async move { store.product_update(&bag, None, 1).await.unwrap() }
            }))
            .await;
            let winner = updated.iter().position(|put| *put == Put::Done).unwrap();
            assert_eq!(of(&updated, |put| matches!(put, Put::SkuTaken(_))), 3, "{engine:?} {updated:?}");
            let found = store.variant_list(&[new]).await.unwrap();
            assert_eq!((&found[0].slug, found[0].variant.variant.price), (&bag(winner).slug, 200 + winner as i64));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adjustment_that_is_sent_twice_at_once_counts_once() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        assert_eq!(
            store.product_create(&product("a", "A", "shirts", vec![variant("A", "M", "Ink", 1, 0)]), 0).await.unwrap(),
            Put::Done
        );
        for round in 1..=ROUNDS {
            let request = Uuid::now_v7();
            let answers = join_all((0..6).map(|_| {
                let store = store.clone();
                async move { store.stock_adjust(request, "A", 3, 1).await.unwrap() }
            }))
            .await;
            for answer in answers {
                let Adjusted::Done(variant) = answer else { panic!("{engine:?} {answer:?}") };
                assert_eq!(variant.variant.stock, 3 * round as i32, "{engine:?}");
            }
        }
        // A request that was refused is free again.
        let request = Uuid::now_v7();
        assert_eq!(store.stock_adjust(request, "A", -1_000, 1).await.unwrap(), Adjusted::OutOfBounds);
        assert!(matches!(store.stock_adjust(request, "A", 1, 1).await.unwrap(), Adjusted::Done(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_plant_the_seed_once() {
    for engine in engines() {
        let (store, _pool, database) = catalogue(engine).await;
        let config = Config { max_wait: Duration::from_secs(30), ..Config::new("second", database.url()) };
        let second = Store::new(Pool::open(config).await.unwrap(), "EUR");
        let now = 1_800_000_000_000;
        let (one, two) = tokio::join!(plant_seed(&store, now), plant_seed(&second, now + 7));
        let planted = one.unwrap() + two.unwrap();
        assert_eq!(store.product_count().await.unwrap(), planted as u64, "{engine:?}");
        assert!(planted > 300 && plant_seed(&second, now).await.unwrap() == 0);
    }
}

/// Languages sort `_` before digits, bytes behind them. What changes a product waits for the row that a reservation would
/// take first, with none of the others in its hands.
#[tokio::test(flavor = "multi_thread")]
async fn variants_are_locked_as_reservations_lock_them_whatever_the_collation() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let (store, pool, database) = catalogue(Engine::Postgres).await;
    let sql = "ALTER TABLE variants ALTER COLUMN sku TYPE TEXT COLLATE \"en-x-icu\"";
    pool.execute_unprepared(sql).await.unwrap();
    let goods = vec![variant("A1", "M", "Ink", 1, 1), variant("A_1", "L", "Ink", 1, 1)];
    assert_eq!(store.product_create(&product("a", "A", "shirts", goods.clone()), 0).await.unwrap(), Put::Done);

    let mut options = ConnectOptions::new(database.url());
    options.max_connections(1).sqlx_logging(false);
    let reservation = Database::connect(options).await.unwrap();
    reservation.execute_unprepared("BEGIN; UPDATE variants SET reserved = 1 WHERE sku = 'A1'").await.unwrap();
    let changing =
        tokio::spawn(async move { store.product_update(&product("a", "B", "shirts", goods), None, 1).await });
    eventually(Duration::from_secs(20), "the change waits for the reservation", async || {
        let waiting = "SELECT 1 FROM pg_locks WHERE NOT granted";
        pool.query_one_raw(Statement::from_string(pool.backend(), waiting)).await.unwrap().is_some()
    })
    .await;
    let second = "SELECT 1 FROM variants WHERE sku = 'A_1' FOR UPDATE NOWAIT";
    reservation.execute_unprepared(second).await.expect("it is free");
    reservation.execute_unprepared("COMMIT").await.unwrap();
    assert_eq!(changing.await.unwrap().unwrap(), Put::Done);
}
