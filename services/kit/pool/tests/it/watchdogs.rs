//! What goes wrong around a pool is seen, named and mended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement};
use selvage_pool::{Class, Config, Kind, Pool, in_words, kind};
use selvage_testkit::{Engine, Server, database_on, engines, eventually};
use tokio::sync::Notify;
use tracing::Instrument as _;

use crate::entity::pool;
use crate::log::Log;

const LONG: Duration = Duration::from_secs(10);
/// How soon a pool serves after its server takes connections again.
const BACK: Duration = Duration::from_secs(2);

/// A server of this test's own, and the pool on it.
async fn own_server(settings: &[&str], tune: impl FnOnce(&mut Config)) -> Option<(Pool, Server, String)> {
    if !engines().contains(&Engine::Postgres) {
        return None;
    }
    let server = Server::start(settings).await;
    let database = database_on(&server).await;
    let mut config = Config::new("test", database.url());
    tune(&mut config);
    let url = config.url.clone();
    Some((Pool::open(config).await.expect("it answers"), server, url))
}

#[tokio::test]
async fn who_holds_a_connection_for_long_is_named_by_operation_place_and_span() {
    let (log, _guard) = Log::start();
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| {
            config.long_lease = Duration::from_millis(100);
            config.slow_connect = Duration::from_nanos(1);
        })
        .await;
        let told = || log.lines_with("held for long");
        let before = told().len();
        let release = Arc::new(Notify::new());
        let line = line!() + 8;
        let (its, until) = (pool.clone(), release.clone());
        let held = async move {
            let until = &until;
            let count = |_tx| async move {
                until.notified().await;
                Ok::<_, DbErr>(())
            };
            its.run_tx("count_the_stars", Class::Normal, count).await
        };
        let held = tokio::spawn(held.instrument(tracing::info_span!("observatory", night = 7)));
        eventually(LONG, "it is told", async || told().len() > before).await;
        assert_eq!(pool.snapshot().long_held, 1);
        assert_eq!(pool.long_held()[0].operation.name, "count_the_stars");
        release.notify_one();
        held.await.unwrap().unwrap();
        let said = told().pop().unwrap();
        for word in ["count_the_stars", &format!("watchdogs.rs:{line}"), "observatory", "night=7"] {
            assert!(said.contains(word), "{word} in {said}");
        }
        assert_eq!((pool.snapshot().long_held, pool.snapshot().long_leases), (0, 1));
        assert!(log.has("making a connection was slow"));
    }
}

#[tokio::test]
async fn a_server_that_restarts_is_found_within_two_seconds() {
    let (log, _guard) = Log::start();
    let Some((pool, mut server, _)) = own_server(&[], |config| config.limit = 4).await else { return };
    let all = async || {
        let statements = (0..12).map(|_| pool.execute_unprepared("SELECT pg_sleep(0.01)"));
        futures::future::join_all(statements).await
    };
    assert!(all().await.iter().all(Result::is_ok));
    server.stop().await;
    for _ in 0..3 {
        let began = Instant::now();
        for ended in all().await {
            let error = ended.expect_err("there is no server");
            assert_eq!(kind(&error), Kind::Unreachable, "{error}");
        }
        assert!(began.elapsed() < Duration::from_secs(3), "nobody waits for long: {:?}", began.elapsed());
    }
    assert!(pool.snapshot().unreachable);
    server.start_again().await;
    eventually(BACK, "the pool serves again", async || pool.execute_unprepared("SELECT 1").await.is_ok()).await;
    assert!(all().await.iter().all(Result::is_ok));
    assert!(pool.snapshot().open <= 4 && !pool.snapshot().unreachable, "{:?}", pool.snapshot());
    assert!(log.has("no connection can be made") && log.has("the database is back"), "what happened is said");
}

#[tokio::test]
async fn sessions_that_are_terminated_under_load_are_replaced_within_two_seconds() {
    let Some((pool, _server, url)) = own_server(&[], |config| config.limit = 4).await else { return };
    let observer = Pool::open(Config { limit: 1, ..Config::new("observer", url) }).await.unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (pool, stop) = (pool.clone(), stop.clone());
            tokio::spawn(async move {
                let mut failed = 0_u32;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if let Err(error) = pool.execute_unprepared("SELECT pg_sleep(0.002)").await {
                        assert_eq!(kind(&error), Kind::Unreachable, "{error}");
                        failed += 1;
                    }
                }
                failed
            })
        })
        .collect();
    for _ in 0..5 {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%0.002%'";
        observer.execute_unprepared(end).await.unwrap();
        eventually(BACK, "all places are used again", async || {
            assert!(pool.snapshot().open <= 4, "{:?}", pool.snapshot());
            pool.snapshot().in_use == 4
        })
        .await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut failed = 0;
    for caller in callers {
        failed += caller.await.unwrap();
    }
    assert!(failed <= 5 * 4, "only those fail whose statement was under way: {failed}");
}

#[tokio::test]
async fn a_server_without_room_is_served_with_what_there_is_and_used_when_there_is_more() {
    let (log, _guard) = Log::start();
    let Some((admin, server, url)) = own_server(&[], |config| config.limit = 1).await else { return };
    let role = "CREATE ROLE narrow LOGIN CONNECTION LIMIT 4";
    admin.execute_unprepared(role).await.unwrap();
    let narrow = url.replace("postgres@", "narrow@");
    let others = Config { floor: Some(3), limit: 3, ..Config::new("others", &narrow) };
    let others = Pool::open(others).await.unwrap();
    eventually(LONG, "the others are there", async || others.snapshot().idle == 3).await;
    let pool = Pool::open(Config { limit: 4, ..Config::new("test", &narrow) }).await.unwrap();
    let all = || futures::future::join_all((0..8).map(|_| pool.execute_unprepared("SELECT pg_sleep(0.01)")));
    for ended in all().await {
        ended.expect("one connection serves them all");
    }
    eventually(LONG, "it is said", async || log.has("too many connections for role")).await;
    others.close().await;
    eventually(BACK, "there is room, and it is used", async || {
        all().await.into_iter().all(|ended| ended.is_ok()) && pool.snapshot().open >= 3
    })
    .await;
    drop(server);
}

#[tokio::test]
async fn a_transaction_that_idles_for_too_long_is_ended_and_its_connection_replaced() {
    let Some((pool, _server, _)) = own_server(&[], |config| config.limit = 1).await else { return };
    let ended = pool
        .run_tx("dream", Class::Normal, |tx| async move {
            tx.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 50").await?;
            // Not a wait for a condition: to idle is what it does.
            tokio::time::sleep(Duration::from_millis(300)).await;
            tx.execute_unprepared("SELECT 1").await
        })
        .await
        .expect_err("the server has ended it");
    assert_eq!(kind(&ended), Kind::Unreachable, "{}", in_words(&ended));
    eventually(BACK, "the pool serves again", async || pool.execute_unprepared("SELECT 1").await.is_ok()).await;
}

#[tokio::test]
async fn a_password_changes_without_a_restart() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let (log, _guard) = Log::start();
    let folder = tempfile::Builder::new().prefix("selvage-hba-").tempdir().unwrap();
    let (hba, file) = (folder.path().join("hba"), folder.path().join("password"));
    std::fs::write(&hba, "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open_to_all).unwrap();
    let setting = format!("hba_file={}", hba.display());
    let Some((admin, _server, url)) = own_server(&[&setting], |config| config.limit = 2).await else { return };
    admin.execute_unprepared("CREATE ROLE shop LOGIN PASSWORD 'the first'").await.unwrap();
    std::fs::write(&file, "the first\n").unwrap();
    let url = url.replace("postgres@", "shop@");
    let config = Config { limit: 1, password_file: Some(file.clone()), ..Config::new("test", url) };
    let pool = Pool::open(config).await.expect("the file has the password");
    let session = async || {
        let sql = "SELECT pg_backend_pid() AS pid";
        let row = pool.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("it serves");
        row.expect("one row").try_get::<i32>("", "pid").expect("a number")
    };
    let first = session().await;
    admin.execute_unprepared("ALTER ROLE shop PASSWORD 'the second'").await.unwrap();
    assert_eq!(session().await, first, "sessions outlive their password");
    std::fs::write(&file, "the second\n").unwrap();
    eventually(LONG, "connections are renewed", async || session().await != first).await;
    assert!(log.has("the password changed") && !log.has("the second"));
    // Some keep the whole address in one secret.
    let second = session().await;
    admin.execute_unprepared("ALTER ROLE shop PASSWORD 'the third'").await.unwrap();
    std::fs::write(&file, "postgres://shop:the%20third@elsewhere.example.org/other\n").unwrap();
    eventually(LONG, "connections are renewed", async || session().await != second).await;
    assert!(!log.has("the third") && !log.has("the%20third"));
}

#[tokio::test]
async fn a_wrong_password_is_said_in_words() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        password_file: Some(folder.path().join("none")),
        ..Config::new("test", "postgres://shop@127.0.0.1:1/shop")
    };
    let why = Pool::open(config).await.unwrap_err().to_string();
    assert!(why.contains("password file") && why.contains("none"), "{why}");
}
