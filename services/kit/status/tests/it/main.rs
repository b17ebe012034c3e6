//! Databases' failures as callers get them, each from a real database.

use std::error::Error as StdError;
use std::time::Duration;

use selvage_pool::sea_orm::{ConnectionTrait as _, DbErr, RuntimeErr};
use selvage_pool::{Class, Config, Pool};
use selvage_status::{Error, ErrorCode};
use selvage_testkit::{Database, Engine, database, engines, eventually};

const LONG: Duration = Duration::from_secs(10);

async fn opened(engine: Engine, tune: impl FnOnce(&mut Config)) -> (Pool, Database) {
    let database = database(engine).await;
    let mut config = Config::new("test", database.url());
    tune(&mut config);
    (Pool::open(config).await.expect("the test's database answers"), database)
}

fn has_postgres() -> bool {
    engines().contains(&Engine::Postgres)
}

/// What the caller may know, and what only the log may.
fn told(error: DbErr) -> (ErrorCode, Option<&'static str>, String) {
    let error = Error::from(error);
    let log = StdError::source(&error).expect("the log is told").to_string();
    (error.code(), error.reason_code(), log)
}

#[tokio::test]
async fn each_failure_of_a_server_has_its_code() {
    if !has_postgres() {
        return;
    }
    let (pool, _database) = opened(Engine::Postgres, |_| {}).await;
    for (codes, code, reason) in [
        (
            &["57P01", "57P02", "57P03", "57P04", "57P05", "25P03"][..],
            ErrorCode::Unavailable,
            Some("DATABASE_UNREACHABLE"),
        ),
        (&["53300"], ErrorCode::Unavailable, Some("DATABASE_UNREACHABLE")),
        // A pooler says so of a server that it has lost, whatever that had done.
        (&["08000", "08003", "08006"], ErrorCode::Unavailable, Some("OUTCOME_UNKNOWN")),
        (&["57014"], ErrorCode::DeadlineExceeded, Some("STATEMENT_TIMEOUT")),
        (&["40001", "40P01"], ErrorCode::Aborted, Some("CONFLICT")),
        (&["53100"], ErrorCode::Unavailable, Some("NO_ROOM")),
        (&["42P01", "23505", "22012", "42501", "XX000"], ErrorCode::Internal, None),
    ] {
        for raised in codes {
            let sql = format!("DO $$ BEGIN RAISE EXCEPTION 'as it is raised' USING ERRCODE = '{raised}'; END $$");
            let found = told(pool.execute_unprepared(&sql).await.expect_err(raised));
            assert_eq!((found.0, found.1), (code, reason), "{raised}");
            assert_eq!(found.2.matches("as it is raised").count(), 1, "said once: {}", found.2);
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_server_ends_in_mid_use_is_unavailability() {
    if !has_postgres() {
        return;
    }
    let (pool, database) = opened(Engine::Postgres, |config| config.statement_timeout = Duration::from_secs(60)).await;
    let observer = Pool::open(Config { limit: 1, ..Config::new("observer", database.url()) }).await.unwrap();
    let ending = || {
        eventually(LONG, "it is seen, and ended", async || {
            let end = "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND datname = current_database();
                       IF NOT FOUND THEN RAISE 'not yet'; END IF; END $$";
            observer.execute_unprepared(end).await.is_ok()
        })
    };
    let (ended, ()) = tokio::join!(pool.execute_unprepared("SELECT pg_sleep(60)"), ending());
    let found = told(ended.expect_err("its connection went"));
    assert_eq!((found.0, found.1), (ErrorCode::Unavailable, Some("DATABASE_UNREACHABLE")), "{}", found.2);
    let within = pool.run_tx("within", Class::Normal, |tx| async move {
        tx.execute_unprepared("SELECT pg_sleep(60)").await?;
        Ok::<_, Error>(())
    });
    // It is begun once more, since nothing of it was done, and ended again.
    let every_time = async {
        loop {
            ending().await;
        }
    };
    let ended = tokio::select! {
        ended = within => ended,
        () = every_time => unreachable!("it goes on for ever"),
    };
    assert_eq!(ended.expect_err("its connection went").code(), ErrorCode::Unavailable);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_not_to_be_repeated_at_once() {
    if !has_postgres() {
        return;
    }
    let (pool, _database) =
        opened(Engine::Postgres, |config| config.statement_timeout = Duration::from_millis(10)).await;
    let found = told(pool.execute_unprepared("SELECT pg_sleep(5)").await.expect_err("it takes too long"));
    assert_eq!((found.0, found.1), (ErrorCode::DeadlineExceeded, Some("STATEMENT_TIMEOUT")), "{}", found.2);
}

#[tokio::test]
async fn each_failure_of_a_file_has_its_code() {
    let (pool, database) = opened(Engine::Sqlite, |config| config.limit = 2).await;
    pool.execute_unprepared("CREATE TABLE counter (id INTEGER PRIMARY KEY, value BIGINT NOT NULL)").await.unwrap();

    // Another program has the file's lock; a pragma that writes is not seen to, and so waits for no writer's place.
    let busy = pool
        .run_tx("holder", Class::Normal, |tx| {
            let other = Config { limit: 1, ..Config::new("other", database.url()) };
            async move {
                tx.execute_unprepared("INSERT INTO counter VALUES (1, 1)").await?;
                let other = Pool::open(other).await.expect("the same file");
                Ok::<_, DbErr>(other.execute_unprepared("PRAGMA busy_timeout = 0; PRAGMA user_version = 1").await)
            }
        })
        .await
        .unwrap();
    let found = told(busy.expect_err("it is locked"));
    assert_eq!((found.0, found.1), (ErrorCode::Aborted, Some("CONFLICT")), "{}", found.2);

    let (small, _database) = opened(Engine::Sqlite, |config| config.limit = 1).await;
    small.execute_unprepared("CREATE TABLE counter (id INTEGER PRIMARY KEY, value BIGINT NOT NULL)").await.unwrap();
    small.execute_unprepared("PRAGMA max_page_count = 2").await.unwrap();
    let fill = "INSERT INTO counter WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i, i FROM n";
    let found = told(small.execute_unprepared(fill).await.expect_err("there is no room"));
    assert_eq!((found.0, found.1), (ErrorCode::Unavailable, Some("NO_ROOM")));
    assert!(found.2.starts_with("the disk is full") && found.2.matches("(code: 13)").count() == 1, "{}", found.2);

    let found = told(pool.execute_unprepared("SELECT * FROM nowhere").await.expect_err("there is no such table"));
    assert_eq!(found.0, ErrorCode::Internal);
    assert!(found.2.contains("migrate"), "{}", found.2);
}

#[tokio::test]
async fn the_pools_own_refusals_have_theirs() {
    let (pool, _database) = opened(Engine::Sqlite, |config| {
        config.limit = 1;
        config.max_wait = Duration::from_millis(20);
    })
    .await;
    let waiting = pool.clone();
    let refused = pool
        .run_tx("holder", Class::Normal, |_tx| {
            let waiting = waiting.clone();
            async move {
                // A task of its own holds nothing.
                let other = tokio::spawn(async move { waiting.execute_unprepared("SELECT 1").await });
                Ok::<_, DbErr>(other.await.expect("no panic"))
            }
        })
        .await
        .unwrap();
    assert_eq!(Error::from(refused.expect_err("there is one")).code(), ErrorCode::ResourceExhausted);
    pool.close().await;
    let closed = pool.execute_unprepared("SELECT 1").await.expect_err("it is closed");
    assert_eq!(Error::from(closed).code(), ErrorCode::Unavailable);
    let ours = DbErr::Conn(RuntimeErr::Internal("the transaction has ended".into()));
    assert_eq!(Error::from(ours).code(), ErrorCode::Internal);
}
