//! What the looks at reservations cost among many of them.

use sea_orm::ConnectionTrait as _;
use selvage_testkit::{Engine, engines, many, shortest, times};

use crate::goods::catalogue;

const NOON: i64 = 1_795_521_600_000;
const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn a_look_for_what_lapses_or_is_forgotten_takes_as_long_among_many_as_among_few() {
    for engine in engines() {
        let (mut overdue, mut purged) = (Vec::new(), Vec::new());
        for crowded in [false, true] {
            let (store, pool, _database) = catalogue(engine).await;
            let plant = async |state: &str, expires_at: String, limit: u64| {
                let (id, numbers) = (engine.random_id(), engine.numbers());
                for sql in [
                    format!(
                        "INSERT INTO reservations (id, state, lines, expires_at) \
                         SELECT {id}, '{state}', '[]', {expires_at} FROM {numbers} LIMIT {limit}"
                    ),
                    format!(
                        "INSERT INTO stock_adjustments (request_id, sku, delta, adjusted_at) \
                         SELECT {id}, 'A', 1, {expires_at} FROM {numbers} LIMIT {limit}"
                    ),
                ] {
                    pool.execute_unprepared(&sql).await.unwrap();
                }
            };
            for _ in 0..if crowded { times() } else { 0 } {
                // Those that are overdue too: no more than a batch of them is read.
                for (state, expires_at) in
                    [("held", NOON + HOUR_MS), ("held", NOON - HOUR_MS), ("committed", NOON - HOUR_MS)]
                {
                    plant(state, format!("{expires_at} + n"), 20_000).await;
                }
            }
            plant("held", format!("{NOON} - 2 * {HOUR_MS} + n"), 100).await;
            plant("released", format!("{NOON} - 4 * {HOUR_MS} + n"), 10_000).await;
            let look = async || assert_eq!(store.reservation_list_overdue(NOON, 100).await.unwrap().len(), 100);
            overdue.push(shortest(look).await);
            let purge = async || assert_eq!(store.stock_purge(NOON - 2 * HOUR_MS, 200).await.unwrap(), 400);
            purged.push(shortest(purge).await);
        }
        for (what, took) in [("a look", overdue), ("a purge", purged)] {
            assert!(took[1] < took[0] * 5, "{engine:?}: {what} takes {took:?} among few and {} more", many());
        }
    }
}

/// What is new is found by the index alone, however much is there that was heard of, and however long something is under way.
#[tokio::test]
async fn a_look_at_the_log_takes_as_long_among_many_changes_as_among_few() {
    for engine in engines() {
        let mut looks = Vec::new();
        for crowded in [false, true] {
            let (store, pool, database) = catalogue(engine).await;
            let mut options = sea_orm::ConnectOptions::new(database.url());
            options.max_connections(1).sqlx_logging(false);
            let open = sea_orm::Database::connect(options).await.unwrap();
            if engine == Engine::Postgres {
                open.execute_unprepared("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
            }
            for round in 0..if crowded { times() } else { 0 } {
                let numbers = engine.numbers();
                let sql = format!(
                    "INSERT INTO catalogue_changes (product, listed) SELECT 'p{round}-' || n, FALSE FROM {numbers}"
                );
                pool.execute_unprepared(&sql).await.unwrap();
            }
            let position = store.change_position().await.unwrap();
            pool.execute_unprepared("INSERT INTO catalogue_changes (product, listed) VALUES ('new', FALSE)")
                .await
                .unwrap();
            let look = async || assert_eq!(store.change_list(&position).await.unwrap().changed.len(), 1);
            looks.push(shortest(look).await);
        }
        assert!(looks[1] < looks[0] * 5, "{engine:?}: a look takes {looks:?} among few and {} more", many());
    }
}
