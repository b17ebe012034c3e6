//! Who gets a slot, and when.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, DbErr};
use selvage_context::deadline;
use selvage_pool::{Class, Config, OpenError, Pool, Reason, refusal};
use selvage_testkit::{engines, eventually};
use tokio::sync::Notify;

use crate::entity::pool;

fn reason(error: &DbErr) -> Option<Reason> {
    refusal(error).map(|refusal| refusal.reason)
}

const LONG: Duration = Duration::from_secs(10);

/// Holds one connection in a transaction until it is told to let go.
pub(crate) fn hold(pool: &Pool, release: &Arc<Notify>) -> tokio::task::JoinHandle<Result<(), DbErr>> {
    let (pool, release) = (pool.clone(), release.clone());
    tokio::spawn(async move {
        let release = &release;
        pool.run_tx("hold", Class::Normal, |_tx| async move {
            release.notified().await;
            Ok(())
        })
        .await
    })
}

#[tokio::test]
async fn waiters_are_served_in_the_order_in_which_they_came() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| {
            config.limit = 1;
            // Twenty join one after the other, and on a busy machine that may take seconds: none may give up meanwhile.
            config.max_wait = Duration::from_secs(30);
        })
        .await;
        let release = Arc::new(Notify::new());
        let holder = hold(&pool, &release);
        eventually(LONG, "the only slot is taken", async || pool.snapshot().in_use == 1).await;

        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = Vec::new();
        for place in 0..20_u32 {
            let (pool, order) = (pool.clone(), order.clone());
            waiters.push(tokio::spawn({
                let pool = pool.clone();
                async move {
                    pool.execute_unprepared("SELECT 1").await.expect("its turn comes");
                    order.lock().unwrap().push(place);
                }
            }));
            eventually(LONG, "it has joined the queue", async || pool.snapshot().waiting == place + 1).await;
        }
        release.notify_one();
        for waiter in waiters {
            waiter.await.unwrap();
        }
        holder.await.unwrap().unwrap();
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_wait_ends_at_its_bound_or_at_the_callers_deadline() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| {
            config.limit = 1;
            config.max_wait = Duration::from_millis(300);
        })
        .await;
        let release = Arc::new(Notify::new());
        let holder = hold(&pool, &release);
        eventually(LONG, "the only slot is taken", async || pool.snapshot().in_use == 1).await;

        let began = Instant::now();
        let refused = pool.execute_unprepared("SELECT 1").await.expect_err("no slot comes back");
        assert_eq!(reason(&refused), Some(Reason::Waited), "{refused}");
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(300), "{waited:?}");

        let near = tokio::time::Instant::now() + Duration::from_millis(20);
        let began = Instant::now();
        deadline::scope(near, pool.execute_unprepared("SELECT 1")).await.expect_err("its caller is gone by then");
        assert!(began.elapsed() < waited, "the deadline was nearer than the bound");

        release.notify_one();
        holder.await.unwrap().unwrap();
        pool.execute_unprepared("SELECT 1").await.expect("it serves again");
        assert_eq!(pool.snapshot().timeouts, 2);
    }
}

#[tokio::test]
async fn never_more_connections_than_the_limit() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| {
            config.limit = 4;
            config.max_wait = Duration::from_secs(30);
        })
        .await;
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        pool.execute_unprepared("SELECT 1").await.expect("a bounded queue of 64 fits");
                        let seen = pool.snapshot();
                        assert!(seen.open <= 4 && seen.in_use <= 4, "{seen:?}");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(pool.snapshot().in_use, 0);
    }
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_at_once() {
    let (pool, _database) = pool(selvage_testkit::Engine::Sqlite, |config| {
        config.limit = 1;
        config.max_wait = Duration::from_secs(30);
    })
    .await;
    let release = Arc::new(Notify::new());
    let holder = hold(&pool, &release);
    eventually(LONG, "the only slot is taken", async || pool.snapshot().in_use == 1).await;
    let waiters: Vec<_> = (0..256)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.execute_unprepared("SELECT 1").await })
        })
        .collect();
    eventually(LONG, "the queue is full", async || pool.snapshot().waiting == 256).await;
    let refused = pool.execute_unprepared("SELECT 1").await.expect_err("one too many");
    assert_eq!(reason(&refused), Some(Reason::QueueFull), "{refused}");
    release.notify_one();
    for waiter in waiters {
        waiter.await.unwrap().expect("those who were in the queue are served");
    }
    holder.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_closed_pool_refuses_and_has_no_connection() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |_| {}).await;
        pool.close().await;
        assert_eq!(pool.snapshot().open, 0);
        let refused = pool.execute_unprepared("SELECT 1").await.expect_err("it is closed");
        assert_eq!(reason(&refused), Some(Reason::Closed), "{refused}");
    }
}

#[tokio::test]
async fn a_pool_that_closes_refuses_at_once_and_waits_for_those_inside() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| {
            config.limit = 2;
            config.max_wait = Duration::from_secs(30);
        })
        .await;
        let release = Arc::new(Notify::new());
        let holder = hold(&pool, &release);
        eventually(LONG, "a slot is taken", async || pool.snapshot().in_use == 1).await;
        let closing = tokio::spawn({
            let pool = pool.clone();
            async move { pool.close().await }
        });
        eventually(LONG, "it refuses while it waits", async || {
            let asked = Instant::now();
            let answer = pool.execute_unprepared("SELECT 1").await;
            assert!(asked.elapsed() < LONG, "refused or served, but not kept waiting");
            answer.is_err_and(|error| reason(&error) == Some(Reason::Closed))
        })
        .await;
        assert!(!closing.is_finished(), "one is still inside");
        release.notify_one();
        holder.await.unwrap().expect("who was inside comes to its end");
        closing.await.unwrap();
        assert_eq!(pool.snapshot().open, 0);
    }
}

#[tokio::test]
async fn what_can_not_be_opened_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.db");
    std::fs::write(&damaged, vec![b'x'; 8192]).unwrap();
    let in_words = async |url: String| match Pool::open(Config::new("test", url)).await {
        Err(OpenError::Connect { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    let why = in_words(format!("sqlite://{}", damaged.display())).await;
    assert!(why.contains("damaged"), "{why}");
    let why = in_words(format!("sqlite://{}/no/such/folder/x.db", folder.path().display())).await;
    assert!(why.contains("can't be opened"), "{why}");
    let why = in_words("postgres://somebody:hunter2@127.0.0.1:1/x".into()).await;
    assert!(why.contains("can't be reached") && !why.contains("hunter2"), "{why}");
    let error = Pool::open(Config::new("test", "postgres://somebody:hunter2@[::1:bad/x")).await.unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let error = Pool::open(Config::new("test", "postgress://somebody:hunter2@localhost/x")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}
