//! What only a server can show: what it sees of us, and what becomes of us when it goes.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Config, Kind, Pool, kind};
use selvage_testkit::{Database, Engine, Server, engines, eventually};

use crate::entity::pool;

const LONG: Duration = Duration::from_secs(10);

async fn postgres(limit: u32) -> Option<(Pool, Database, Pool)> {
    let engine = engines().into_iter().find(|engine| *engine == Engine::Postgres)?;
    let (pool, database) = pool(engine, |config| {
        config.limit = limit;
        config.max_wait = Duration::from_secs(30);
        config.application_name = "cafe0123/tested".into();
    })
    .await;
    let observer = Config { limit: 1, ..Config::new("observer", database.url()) };
    Some((pool, database, Pool::open(observer).await.expect("a second pool")))
}

async fn backends(observer: &Pool) -> i64 {
    let sql = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'cafe0123/tested'";
    let row = observer.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("an answer");
    row.expect("one row").try_get("", "n").expect("a number")
}

async fn all_at_once(pool: &Pool, count: usize) -> Vec<Result<(), sea_orm::DbErr>> {
    let statements = (0..count).map(|_| async { pool.execute_unprepared("SELECT pg_sleep(0.05)").await.map(drop) });
    futures::future::join_all(statements).await
}

#[tokio::test]
async fn the_server_sees_what_the_pool_says() {
    let Some((pool, _database, observer)) = postgres(3).await else { return };
    for result in all_at_once(&pool, 12).await {
        result.unwrap();
    }
    assert_eq!(pool.snapshot().open, 3);
    assert_eq!(backends(&observer).await, 3);
    pool.close().await;
    eventually(Duration::from_secs(1), "no backend is left", async || backends(&observer).await == 0).await;
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced() {
    let Some((pool, _database, observer)) = postgres(3).await else { return };
    for result in all_at_once(&pool, 12).await {
        result.unwrap();
    }
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'cafe0123/tested'";
    observer.execute_unprepared(end).await.unwrap();
    eventually(LONG, "the server has ended them", async || backends(&observer).await == 0).await;
    // What may be several statements isn't done again: some may have been done. Only the first fails, for the other sessions
    // are asked whether they live before they are handed out.
    let dead = pool.execute_unprepared("SELECT 1").await.expect_err("it is dead");
    assert_eq!(kind(&dead), Kind::Unreachable, "{dead}");
    for result in all_at_once(&pool, 12).await {
        result.expect("it serves again");
    }
    assert!(pool.snapshot().open <= 3);
    // A transaction needn't fail at all: its BEGIN can be said again to another connection.
    observer.execute_unprepared(end).await.unwrap();
    eventually(LONG, "the server has ended them", async || backends(&observer).await == 0).await;
    pool.run_tx("again", selvage_pool::Class::Normal, |tx| async move { tx.execute_unprepared("SELECT 1").await })
        .await
        .expect("a transaction begins on a live connection");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_and_its_connection_lives() {
    let Some((_, database, _)) = postgres(1).await else { return };
    let config =
        Config { limit: 1, statement_timeout: Duration::from_millis(50), ..Config::new("impatient", database.url()) };
    let pool = Pool::open(config).await.unwrap();
    let error = pool.execute_unprepared("SELECT pg_sleep(5)").await.expect_err("it takes too long");
    assert!(error.to_string().contains("statement timeout"), "{error}");
    assert_eq!(kind(&error), Kind::Timeout);
    pool.execute_unprepared("SELECT 1").await.expect("the same connection serves on");
    assert_eq!(pool.snapshot().open, 1);
}

/// Statements whose callers are gone end on the server too, long before their time-out of 5 s.
#[tokio::test]
async fn a_dropped_statement_leaves_no_more_backends_than_the_limit() {
    let Some((pool, _database, observer)) = postgres(2).await else { return };
    for _ in 0..5 {
        let slow = (0..2).map(|_| pool.execute_unprepared("SELECT pg_sleep(4)"));
        let dropped = tokio::time::timeout(Duration::from_millis(50), futures::future::join_all(slow)).await;
        assert!(dropped.is_err());
        assert!(pool.snapshot().open <= 2);
        pool.execute_unprepared("SELECT 1").await.expect("a slot is free as soon as its connection is closed");
    }
    eventually(Duration::from_secs(2), "the server is rid of them", async || backends(&observer).await <= 2).await;
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "a skip is said")]
async fn a_server_is_reached_by_an_address_of_ip_version_6() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("!! SKIPPED: a server at [::1]. To run it: have an IPv6 loopback address");
        return;
    }
    let server = Server::start(&["listen_addresses=127.0.0.1,::1"]).await;
    let url = server.url().replace("127.0.0.1", "[::1]");
    let pool = Pool::open(Config { limit: 1, ..Config::new("test", &url) }).await.expect("it answers there");
    let statement = Statement::from_string(DbBackend::Postgres, "SELECT host(inet_server_addr())");
    let row = pool.query_one_raw(statement).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<String>(0).unwrap(), "::1");
    assert_eq!(selvage_pool::migrate::up::<crate::migrations::Migrations>(url.as_str()).await, Ok(1));
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_named_without_its_value() {
    let Some(engine) = engines().into_iter().find(|engine| *engine == Engine::Postgres) else { return };
    let database = selvage_testkit::database(engine).await;
    let (log, _guard) = crate::log::Log::start();
    let url = format!("{}?sslpassword=hunter2&connect_timeout=3", database.url());
    let pool = Pool::open(Config { limit: 1, ..Config::new("test", &url) }).await.expect("it answers");
    pool.execute_unprepared("SELECT 1").await.unwrap();
    assert!(log.has("sslpassword") && log.has("connect_timeout") && !log.has("hunter2"));
    let refused =
        Pool::open(Config::new("test", format!("{url}&channel_binding=require"))).await.unwrap_err().to_string();
    assert!(refused.contains("asks for channel_binding") && !refused.contains("hunter2"), "{refused}");
}

/// As on a server that shows no sessions and has no locks for us: PostgreSQL lets both be taken from a role.
#[tokio::test]
async fn what_the_server_does_not_give_is_done_without() {
    let Some(engine) = engines().into_iter().find(|engine| *engine == Engine::Postgres) else { return };
    let database = selvage_testkit::database(engine).await;
    let (role, url) = database.role().await;
    let admin = Pool::open(Config { limit: 1, ..Config::new("admin", database.url()) }).await.unwrap();
    for sql in [
        "REVOKE EXECUTE ON FUNCTION pg_stat_get_activity(INTEGER) FROM PUBLIC".to_owned(),
        "REVOKE EXECUTE ON FUNCTION pg_advisory_xact_lock(BIGINT) FROM PUBLIC".to_owned(),
        format!("GRANT CREATE ON SCHEMA public TO {role}"),
    ] {
        admin.execute_unprepared(&sql).await.expect(&sql);
    }
    assert_eq!(selvage_pool::migrate::up::<crate::migrations::Migrations>(&url).await, Ok(1));
    let pool = Pool::open(Config { limit: 2, ..Config::new("plain", &url) }).await.expect("it opens all the same");
    for result in all_at_once(&pool, 8).await {
        result.unwrap();
    }
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    admin.execute_unprepared(&end).await.unwrap();
    eventually(LONG, "what ended is replaced", async || {
        pool.execute_unprepared("SELECT 1").await.is_ok() && pool.snapshot().stranded == 0
    })
    .await;
    pool.close().await;
    assert_eq!(pool.snapshot().open, 0);
}
