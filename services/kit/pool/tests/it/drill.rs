//! What drills do to a pool on purpose: a delay before each statement, connections that are only held.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use sea_orm::{ConnectionTrait as _, Statement, StreamTrait as _};
use selvage_pool::{Class, Pool, kind};
use selvage_testkit::{Engine, engines, eventually};

use crate::entity::pool;

const LONG: Duration = Duration::from_secs(20);
const DELAY: Duration = Duration::from_millis(120);

fn one(pool: &Pool) -> Statement {
    Statement::from_string(pool.backend(), "SELECT 1")
}

#[tokio::test]
async fn each_statement_is_delayed_with_its_connection_held_until_it_is_taken_back() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |_| {}).await;
        assert_eq!(pool.delay_statements(DELAY), Duration::ZERO);
        for way in ["unprepared", "prepared", "one", "all", "rows", "transaction"] {
            let began = Instant::now();
            match way {
                "unprepared" => drop(pool.execute_unprepared("SELECT 1").await.unwrap()),
                "prepared" => drop(pool.execute_raw(one(&pool)).await.unwrap()),
                "one" => drop(pool.query_one_raw(one(&pool)).await.unwrap()),
                "all" => drop(pool.query_all_raw(one(&pool)).await.unwrap()),
                "rows" => {
                    let mut rows = pool.stream_raw(one(&pool)).await.unwrap();
                    assert!(rows.try_next().await.unwrap().is_some() && rows.try_next().await.unwrap().is_none());
                }
                _ => pool.run_tx("empty", Class::Normal, |_| async { Ok::<_, sea_orm::DbErr>(()) }).await.unwrap(),
            }
            assert!(began.elapsed() >= DELAY, "{way}: {:?}", began.elapsed());
        }
        let its = pool.clone();
        let delayed = tokio::spawn(async move { its.execute_unprepared("SELECT 1").await });
        eventually(LONG, "it is held meanwhile", async || pool.snapshot().in_use == 1).await;
        delayed.await.unwrap().unwrap();
        assert_eq!(pool.delay_statements(Duration::ZERO), DELAY);
    }
}

#[tokio::test]
async fn a_delay_is_a_part_of_the_statements_own_time() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let (pool, _database) =
        pool(Engine::Postgres, |config| config.statement_timeout = Duration::from_millis(200)).await;
    pool.delay_statements(LONG);
    let began = Instant::now();
    let error = pool.execute_unprepared("SELECT 1").await.expect_err("it takes too long");
    assert!(began.elapsed() < LONG / 2, "{:?}: {error}", kind(&error));
    pool.delay_statements(Duration::ZERO);
    eventually(LONG, "it serves again", async || pool.execute_unprepared("SELECT 1").await.is_ok()).await;
}

#[tokio::test]
async fn what_is_only_held_comes_back_and_waits_are_counted() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| {
            config.limit = 2;
            config.max_wait = Duration::from_millis(200);
        })
        .await;
        let before = pool.waits();
        let held = (pool.named("keep", Class::Normal).hold().await.unwrap(), pool.hold().await.unwrap());
        assert_eq!(pool.snapshot().in_use, 2);
        assert!(pool.hold().await.is_err());
        assert!(pool.waits().since(&before).percentile(1.0).unwrap() >= Duration::from_millis(100));
        assert_eq!(pool.waits().since(&before).count(), 3);
        drop(held);
        assert_eq!(pool.snapshot().in_use, 0);
    }
}
