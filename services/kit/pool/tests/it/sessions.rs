//! Sessions that are of no use any more, and statements that are done in another one.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement};
use selvage_pool::{Class, Config, Kind, Pool, kind};
use selvage_testkit::{Database, Engine, engines, eventually};
use tokio::sync::Barrier;

const LONG: Duration = Duration::from_secs(20);
const SESSIONS: usize = 8;
const NAME: &str = "cafe0008/sessions";

/// A pool of eight sessions, an administrator's, and the table `note` with one row.
async fn pools(more: &str) -> Option<(Pool, Pool, Database)> {
    let engine = engines().into_iter().find(|engine| *engine == Engine::Postgres)?;
    let database = selvage_testkit::database(engine).await;
    let admin = Pool::open(Config { limit: 1, ..Config::new("admin", database.url()) }).await.expect("it answers");
    let table = "CREATE TABLE note (text VARCHAR(80)); INSERT INTO note VALUES ('kept')";
    admin.execute_unprepared(table).await.expect("a table");
    let config = Config {
        limit: 8,
        floor: Some(8),
        max_wait: LONG,
        application_name: NAME.into(),
        ..Config::new("test", format!("{}{more}", database.url()))
    };
    let pool = Pool::open(config).await.expect("it answers");
    Some((pool, admin, database))
}

fn reading() -> Statement {
    Statement::from_string(DbBackend::Postgres, "SELECT text FROM note")
}

async fn texts(connection: &impl sea_orm::ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let rows = connection.query_all_raw(reading()).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Reads in each session at the same time, so that it is prepared in each.
async fn read_in_all(pool: &Pool) {
    let all = Barrier::new(SESSIONS);
    let all = &all;
    let reads = (0..SESSIONS).map(|_| {
        pool.run_tx("note_read", Class::Normal, |tx| async move {
            all.wait().await;
            texts(&tx).await
        })
    });
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.expect("a read"), ["kept"]);
    }
}

/// Each session has it prepared, and finds out by itself.
#[tokio::test]
async fn a_column_whose_type_changes_fails_no_statement() {
    let Some((pool, admin, _database)) = pools("").await else { return };
    for kind in ["TEXT", "VARCHAR(100)"] {
        read_in_all(&pool).await;
        admin.execute_unprepared(&format!("ALTER TABLE note ALTER COLUMN text TYPE {kind}")).await.unwrap();
        let single = futures::future::join_all((0..2 * SESSIONS).map(|_| texts(&pool))).await;
        for read in single {
            assert_eq!(read.expect("a statement by itself"), ["kept"]);
        }
    }
    read_in_all(&pool).await;
    admin.execute_unprepared("ALTER TABLE note ALTER COLUMN text TYPE TEXT").await.unwrap();
    let transactions =
        (0..2 * SESSIONS).map(|_| pool.run_tx("note_read", Class::Normal, |tx| async move { texts(&tx).await }));
    for read in futures::future::join_all(transactions).await {
        assert_eq!(read.expect("a transaction"), ["kept"]);
    }
    assert!(pool.snapshot().retries >= 3, "{:?}", pool.snapshot());
}

#[tokio::test]
async fn what_was_prepared_and_is_gone_is_prepared_anew() {
    let Some((pool, _admin, _database)) = pools("").await else { return };
    read_in_all(&pool).await;
    pool.execute_unprepared("DEALLOCATE ALL").await.unwrap();
    for read in futures::future::join_all((0..SESSIONS).map(|_| texts(&pool))).await {
        assert_eq!(read.expect("it was never run in the session without it"), ["kept"]);
    }
    assert_eq!(pool.snapshot().retries, 1);
}

async fn none_is_left(admin: &Pool) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}' AND datname = current_database()"
    );
    let count = Statement::from_string(DbBackend::Postgres, sql);
    eventually(LONG, "the server has ended all", async || {
        let row = admin.query_one_raw(count.clone()).await.expect("an answer").expect("one row");
        row.try_get_by_index::<i64>(0).expect("a number") == 0
    })
    .await;
}

/// The server ends what idles for 300 ms, and the pool asks whether a connection lives only after 30 s.
#[tokio::test]
async fn the_first_statement_on_a_session_that_ended_while_it_was_idle_is_done_in_another() {
    let Some((pool, admin, _database)) = pools("?options[idle_session_timeout]=300").await else { return };
    for round in 0..3 {
        none_is_left(&admin).await;
        let done = (0..SESSIONS).map(async |index| {
            if index % 2 == 0 {
                return texts(&pool).await;
            }
            let write = Statement::from_string(DbBackend::Postgres, "INSERT INTO note VALUES ('kept') RETURNING text");
            pool.query_one_raw(write).await?.expect("one row").try_get_by_index(0).map(|text| vec![text])
        });
        for done in futures::future::join_all(done).await {
            assert_eq!(done.unwrap_or_else(|error| panic!("in round {round}: {error}"))[0], "kept");
        }
    }
    let written = Statement::from_string(DbBackend::Postgres, "SELECT count(*) FROM note");
    let written: i64 = admin.query_one_raw(written).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(written, 1 + 3 * i64::try_from(SESSIONS).unwrap() / 2, "each once");
}

#[tokio::test]
async fn a_statement_that_an_administrator_cut_off_is_done_again_and_a_procedure_is_not() {
    let Some((pool, admin, _database)) = pools("").await else { return };
    admin
        .execute_unprepared(
            "CREATE SEQUENCE calls;
             CREATE FUNCTION ends_once() RETURNS BIGINT LANGUAGE plpgsql AS $$ DECLARE call BIGINT := nextval('calls'); BEGIN
                 IF call = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); END IF;
                 RETURN call;
             END $$;
             CREATE PROCEDURE ends() LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO note VALUES ('committed'); COMMIT;
                 PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5);
             END $$",
        )
        .await
        .unwrap();
    let call = Statement::from_string(DbBackend::Postgres, "SELECT ends_once()");
    let row = pool.query_one_raw(call).await.expect("the second time").unwrap();
    assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 2);
    let procedure = Statement::from_string(DbBackend::Postgres, "CALL ends()");
    let error = pool.execute_raw(procedure).await.expect_err("it may have committed before");
    assert_eq!(kind(&error), Kind::Unreachable, "{error}");
    assert_eq!(texts(&pool).await.unwrap(), ["kept", "committed"]);
}

/// What a pooler says when it has lost its server: it doesn't know what became of the statement.
#[tokio::test]
async fn who_hung_up_does_not_know_what_was_done() {
    let Some((pool, _admin, _database)) = pools("").await else { return };
    pool.execute_unprepared(
        "CREATE FUNCTION hangs_up() RETURNS TEXT LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'server conn crashed?' USING ERRCODE = '08P01'; END $$",
    )
    .await
    .unwrap();
    let write = Statement::from_string(DbBackend::Postgres, "INSERT INTO note VALUES (hangs_up())");
    let error = pool.execute_raw(write).await.expect_err("it says so");
    assert_eq!(kind(&error), Kind::OutcomeUnknown, "{error}");
    let read = Statement::from_string(DbBackend::Postgres, "SELECT hangs_up()");
    assert_eq!(kind(&pool.query_one_raw(read).await.expect_err("it says so")), Kind::Unreachable);
    assert_eq!(pool.snapshot().retries, 0);
}
