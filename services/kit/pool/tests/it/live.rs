//! A pool that changes while it is used: its limit, its age, what it keeps ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement};
use selvage_pool::{Class, Config, Grant, GrantId, LimitError, Pool};
use selvage_testkit::{Engine, engines, eventually};
use tokio::sync::Notify;

use crate::entity::pool;
use crate::gate::hold;

const LONG: Duration = Duration::from_secs(10);

/// Callers that use a pool without a pause until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<Result<(), DbErr>>>,
    served: Arc<AtomicU64>,
}

impl Load {
    fn on(pool: &Pool, callers: usize) -> Self {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers =
            (0..callers).map(|caller| {
                let (pool, stop, served) = (pool.named("load", Class::ALL[caller % 3]), stop.clone(), served.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        if caller % 2 == 0 {
                            pool.execute_unprepared("SELECT 1").await?;
                        } else {
                            pool.run_tx("load_tx", Class::Normal, |tx| async move {
                                tx.execute_unprepared("SELECT 1").await
                            })
                            .await?;
                        }
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            });
        Self { callers: callers.collect(), stop, served }
    }

    async fn serves_on(&self) {
        let before = self.served.load(Ordering::Relaxed);
        eventually(LONG, "callers are served on", async || self.served.load(Ordering::Relaxed) > before + 50).await;
    }

    /// Not one caller failed.
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.expect("no panic").expect("not one caller fails");
        }
    }
}

fn patient(config: &mut Config) {
    config.max_wait = Duration::from_secs(30);
}

async fn sessions(observer: &Pool, name: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{name}' \
         AND backend_type = 'client backend'"
    );
    let row = observer.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("an answer");
    row.expect("one row").try_get("", "n").expect("a number")
}

#[tokio::test]
async fn the_limit_changes_under_full_load_without_one_failed_caller() {
    for engine in engines() {
        let name = "cafe0003/live";
        let (pool, database) = pool(engine, |config| {
            (config.limit, config.ceiling) = (4, Some(12));
            config.application_name = name.into();
            patient(config);
        })
        .await;
        let observer = Pool::open(Config { limit: 1, ..Config::new("observer", database.url()) }).await.unwrap();
        let load = Load::on(&pool, 24);
        for limit in [12, 3, 8, 2, 12, 1, 5, 99] {
            let now = pool.set_limit(limit);
            assert_eq!(now, limit.clamp(2, 12), "within floor and ceiling");
            pool.settled().await;
            let seen = pool.snapshot();
            assert!(seen.open <= now && seen.debt == 0, "{seen:?}");
            load.serves_on().await;
            eventually(LONG, "it is used to the full", async || pool.snapshot().in_use == now).await;
            if engine == Engine::Postgres {
                let what = "the server shows no more than the limit, and what the pool says";
                eventually(Duration::from_secs(1), what, async || {
                    let there = sessions(&observer, name).await;
                    there <= i64::from(now) && there == i64::from(pool.snapshot().open)
                })
                .await;
            }
        }
        load.end().await;
        assert_eq!(pool.snapshot().timeouts, 0);
    }
}

#[tokio::test]
async fn one_is_made_ahead_of_the_next_caller_and_kept_no_longer_than_it_is_needed() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| {
            (config.floor, config.limit) = (Some(1), 4);
            config.idle_timeout = Duration::from_millis(400);
        })
        .await;
        let release = Arc::new(Notify::new());
        let holder = hold(&pool, &release);
        let spare = async || pool.snapshot().idle == 1 && pool.snapshot().in_use == 1;
        eventually(LONG, "another one is ready", spare).await;
        release.notify_one();
        holder.await.unwrap().unwrap();
        eventually(LONG, "only the floor is kept", async || pool.snapshot().open == 1).await;
        pool.execute_unprepared("SELECT 1").await.unwrap();
    }
}

#[tokio::test]
async fn connections_are_renewed_when_they_are_old_and_nobody_notices() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let (pool, _database) = pool(Engine::Postgres, |config| {
        config.limit = 3;
        config.lifetime = Duration::from_millis(100);
        patient(config);
    })
    .await;
    let load = Load::on(&pool, 6);
    let session = async || {
        let sql = "SELECT pg_backend_pid() AS pid";
        let row = pool.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("it serves");
        row.expect("one row").try_get::<i32>("", "pid").expect("a number")
    };
    let mut seen = std::collections::BTreeSet::new();
    eventually(LONG, "there were more sessions than the limit, one after the other", async || {
        assert!(pool.snapshot().open <= 3, "{:?}", pool.snapshot());
        seen.insert(session().await);
        seen.len() > 9
    })
    .await;
    load.end().await;
}

#[tokio::test]
async fn a_pool_that_may_open_more_than_the_server_gives_is_refused_with_the_sum() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let database = selvage_testkit::database(Engine::Postgres).await;
    let config = Config { limit: 8, ceiling: Some(900), ..Config::new("greedy", database.url()) };
    let why = Pool::open(config).await.unwrap_err().to_string();
    assert!(why.contains("900 connections") && why.contains("200 − 3 reserved = 197"), "{why}");
}

/// Takes as many connections as the pool has.
async fn all_held(pool: &Pool, limit: u32) -> Vec<selvage_pool::Hold> {
    let mut held = Vec::new();
    for _ in 0..limit {
        held.push(pool.hold().await.expect("there is one more"));
    }
    held
}

#[tokio::test]
async fn who_waits_for_the_limit_to_be_settled_is_woken_when_it_is_raised_again() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| config.limit = 3).await;
        let held = all_held(&pool, 3).await;
        assert_eq!(pool.set_limit(2), 2);
        let mut settled = std::pin::pin!(pool.settled());
        assert!(futures::poll!(settled.as_mut()).is_pending(), "three are in use");
        assert_eq!(pool.set_limit(3), 3);
        tokio::time::timeout(LONG, settled).await.expect("nothing came back, and nothing has to");
        assert_eq!(pool.snapshot().in_use, 3);
        drop(held);
    }
}

#[tokio::test]
async fn a_grant_counts_before_the_configuration_and_is_acknowledged_when_what_is_too_much_is_closed() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| {
            (config.limit, config.ceiling) = (4, Some(6));
        })
        .await;
        assert_eq!(pool.grant_status(), None);
        let held = all_held(&pool, 4).await;
        let grant = |epoch, sequence, limit| Grant { id: GrantId { epoch, sequence }, limit };
        pool.grant_limit(grant(3, 1, 2)).unwrap();
        let status = pool.grant_status().unwrap();
        assert!(!status.is_acknowledged() && (status.limit, status.open) == (2, 4), "{status:?}");
        assert_eq!(pool.set_limit(6), 2, "the configuration has nothing to say now");
        let refused = pool.grant_limit(grant(2, 9, 6)).unwrap_err();
        assert!(matches!(refused, LimitError::Older { .. }), "{refused}");
        drop(held);
        pool.settled().await;
        let status = pool.grant_status().unwrap();
        assert!(status.is_acknowledged() && status.id == (GrantId { epoch: 3, sequence: 1 }), "{status:?}");
        let drill = pool.override_limit(3).unwrap();
        assert_eq!(pool.snapshot().limit, 2, "a drill allows no more than was granted");
        pool.grant_limit(grant(3, 2, 5)).unwrap();
        assert_eq!(pool.snapshot().limit, 3, "the drill goes on");
        drop(drill);
        assert_eq!(pool.snapshot().limit, 5, "what was granted meanwhile");
    }
}

#[tokio::test]
async fn a_pool_that_awaits_its_first_grant_opens_nothing_before() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let name = "cafe0004/awaits";
    let database = selvage_testkit::database(Engine::Postgres).await;
    let observer = Pool::open(Config { limit: 1, ..Config::new("observer", database.url()) }).await.unwrap();
    let config = Config {
        floor: Some(1),
        limit: 4,
        max_wait: Duration::from_millis(200),
        awaits_grant: true,
        application_name: name.into(),
        ..Config::new("awaits", database.url())
    };
    let pool = Pool::unopened(config).unwrap();
    let mut reached = std::pin::pin!(pool.reach());
    assert!(futures::poll!(reached.as_mut()).is_pending());
    // It waits for as long as it can, and by then everything that is made ahead would be there.
    let refused = pool.execute_unprepared("SELECT 1").await.unwrap_err();
    assert!(selvage_pool::kind(&refused) != selvage_pool::Kind::Other, "{refused}");
    let _drill = pool.override_limit(2).unwrap();
    let seen = pool.snapshot();
    assert_eq!((seen.limit, seen.open, sessions(&observer, name).await), (0, 0, 0), "{seen:?}");

    pool.grant_limit(Grant { id: GrantId { epoch: 1, sequence: 1 }, limit: 2 }).unwrap();
    tokio::time::timeout(LONG, reached).await.expect("in time").unwrap();
    pool.execute_unprepared("SELECT 1").await.unwrap();
    let there = sessions(&observer, name).await;
    assert!((1..=2).contains(&there), "{there}");
    let uses = pool.uses();
    assert!(uses.iter().any(|used| used.operation == "pool_open" && used.count == 1), "{uses:?}");
}

#[tokio::test]
async fn that_somebody_waits_is_told_when_it_begins_and_when_it_is_over() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let (pool, _database) = pool(Engine::Postgres, |config| {
        config.limit = 1;
        patient(config);
    })
    .await;
    let told = async |what: &str| tokio::time::timeout(LONG, pool.waiting_changed()).await.expect(what);
    let held = all_held(&pool, 1).await;
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.hold().await.map(drop) }
    });
    // The first connection was waited for too, which may be told first.
    while pool.snapshot().waiting == 0 {
        told("somebody waits").await;
    }
    drop(held);
    waiting.await.unwrap().unwrap();
    told("nobody waits any more").await;
    assert_eq!(pool.snapshot().waiting, 0);
}

#[tokio::test]
async fn who_waits_right_after_another_is_told_of_even_if_the_end_of_the_first_wait_was_not() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| {
            config.limit = 1;
            patient(config);
        })
        .await;
        let mut held = all_held(&pool, 1).await;
        for round in 0..50 {
            let waiting = tokio::spawn({
                let pool = pool.clone();
                async move { pool.hold().await }
            });
            // Each ends its wait within the time that the end of a wait may take to be told.
            let began = async {
                while pool.snapshot().waiting == 0 {
                    pool.waiting_changed().await;
                }
            };
            tokio::time::timeout(LONG, began).await.unwrap_or_else(|_| panic!("that {round} waits is told"));
            drop(held);
            held = vec![waiting.await.unwrap().unwrap()];
        }
    }
}
