//! What a transaction's end is called: committed, not committed, or nobody knows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement, TransactionTrait as _};
use selvage_pool::{Class, Config, Kind, Pool, is_outcome_unknown, kind};
use selvage_testkit::{Engine, engines, eventually};

use crate::entity::{pool, value};

const LONG: Duration = Duration::from_secs(10);

fn has_postgres() -> Option<Engine> {
    engines().into_iter().find(|engine| *engine == Engine::Postgres)
}

/// PostgreSQL answers the COMMIT of a failed transaction with ROLLBACK, and no error.
#[tokio::test]
async fn a_swallowed_failure_is_not_taken_for_a_commit() {
    let Some(engine) = has_postgres() else { return };
    let (pool, _database) = pool(engine, |_| {}).await;
    let ended = pool
        .run_tx("swallow", Class::Normal, |tx| async move {
            tx.execute_unprepared("INSERT INTO counter VALUES (1, 1)").await?;
            let _ = tx.execute_unprepared("INSERT INTO counter VALUES (1, 2)").await;
            Ok::<_, DbErr>(())
        })
        .await;
    let error = ended.expect_err("nothing was committed");
    assert!(error.to_string().contains("duplicate key"), "{error}");
    assert!(!is_outcome_unknown(&error), "{error}");
    assert_eq!(value(&pool, 1).await, None);
    assert_eq!(pool.snapshot().transactions, 0);
    assert_eq!(
        pool.snapshot().idle,
        pool.snapshot().open - pool.snapshot().opening,
        "its connection is as good as before"
    );
}

/// A failure within a savepoint that was rolled back is no failure of the transaction.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a savepoint is SeaORM's own begin")]
async fn a_failure_that_a_savepoint_took_back_does_not_count() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |_| {}).await;
        pool.run_tx("guarded", Class::Normal, |tx| async move {
            tx.execute_unprepared("INSERT INTO counter VALUES (1, 1)").await?;
            let guarded = tx.begin().await?;
            guarded.execute_unprepared("INSERT INTO counter VALUES (1, 2)").await.expect_err("the key is taken");
            drop(guarded);
            tx.execute_unprepared("INSERT INTO counter VALUES (2, 2)").await
        })
        .await
        .unwrap();
        assert_eq!((value(&pool, 1).await, value(&pool, 2).await), (Some(1), Some(2)));
    }
}

/// The server ends the connection while it commits: a deferred trigger makes the COMMIT last.
#[tokio::test]
async fn a_commit_that_is_cut_off_is_unknown_and_not_done_again() {
    let Some(engine) = has_postgres() else { return };
    let (pool, database) = pool(engine, |config| config.statement_timeout = Duration::from_secs(60)).await;
    let observer = Pool::open(Config { limit: 1, ..Config::new("observer", database.url()) }).await.unwrap();
    pool.execute_unprepared(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON counter INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    .await
    .unwrap();
    let runs = AtomicU32::new(0);
    let committing = pool.run_tx("cut_off", Class::Critical, |tx| {
        runs.fetch_add(1, Ordering::SeqCst);
        async move { tx.execute_unprepared("INSERT INTO counter VALUES (1, 1)").await.map(drop) }
    });
    let ending = eventually(LONG, "it is seen committing, and ended", async || {
        let end = "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE query = 'COMMIT' AND state = 'active' AND datname = current_database();
                   IF NOT FOUND THEN RAISE 'not yet'; END IF; END $$";
        observer.execute_unprepared(end).await.is_ok()
    });
    let (ended, ()) = tokio::join!(committing, ending);
    let error: DbErr = ended.expect_err("the connection went");
    assert!(is_outcome_unknown(&error), "{error}");
    assert_eq!((runs.load(Ordering::SeqCst), pool.snapshot().retries), (1, 0));
    assert_eq!(value(&pool, 1).await, None);
}

/// Two transactions read what the other writes: at SERIALIZABLE one of them is refused, and is done again.
#[tokio::test]
async fn a_serialization_failure_is_done_again() {
    let Some(engine) = has_postgres() else { return };
    let (pool, _database) = pool(engine, |config| config.max_wait = Duration::from_secs(30)).await;
    pool.execute_unprepared("INSERT INTO counter VALUES (1, 0), (2, 0)").await.unwrap();
    let meeting = tokio::sync::Barrier::new(2);
    let skewed = |reads: i32, writes: i32| {
        let (pool, meeting) = (&pool, &meeting);
        let met = AtomicU32::new(0);
        async move {
            let met = &met;
            pool.run_tx("skew", Class::Normal, |tx| async move {
                tx.execute_unprepared("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").await?;
                tx.execute_unprepared(&format!("SELECT value FROM counter WHERE id = {reads}")).await?;
                if met.fetch_add(1, Ordering::SeqCst) == 0 {
                    meeting.wait().await;
                }
                tx.execute_unprepared(&format!("UPDATE counter SET value = value + 1 WHERE id = {writes}")).await
            })
            .await
        }
    };
    let (left, right) = tokio::join!(skewed(1, 2), skewed(2, 1));
    left.unwrap();
    right.unwrap();
    assert_eq!((value(&pool, 1).await, value(&pool, 2).await), (Some(1), Some(1)));
    assert!(pool.snapshot().retries >= 1, "{:?}", pool.snapshot());
}

/// Fails with `state`.
fn raising(state: &str) -> String {
    format!("DO $$ BEGIN RAISE EXCEPTION 'as it is raised' USING ERRCODE = '{state}'; END $$")
}

/// CockroachDB says 40003 when it lost whoever knew; 08007 is the standard's word for it.
#[tokio::test]
async fn a_server_that_says_it_does_not_know_is_believed() {
    let Some(engine) = has_postgres() else { return };
    let (pool, _database) = pool(engine, |_| {}).await;
    for state in ["40003", "08007"] {
        let error = pool.execute_unprepared(&raising(state)).await.expect_err(state);
        assert_eq!(kind(&error), Kind::OutcomeUnknown, "{error}");
        let runs = AtomicU32::new(0);
        let within = pool.run_tx("raise", Class::Normal, |tx| {
            runs.fetch_add(1, Ordering::SeqCst);
            async move { tx.execute_unprepared(&raising(state)).await.map(drop) }
        });
        let error: DbErr = within.await.expect_err(state);
        assert!(is_outcome_unknown(&error), "{error}");
        assert_eq!((runs.load(Ordering::SeqCst), pool.snapshot().retries), (1, 0), "it isn't done again");
    }
    // The same at COMMIT, after a conflict that would have been repeated.
    pool.execute_unprepared(
        "CREATE FUNCTION unsure() RETURNS trigger LANGUAGE plpgsql
             AS 'BEGIN RAISE EXCEPTION ''no word'' USING ERRCODE = ''40003''; END';
         CREATE CONSTRAINT TRIGGER unsure AFTER INSERT ON counter INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION unsure()",
    )
    .await
    .unwrap();
    let committing = pool.run_tx("commit", Class::Normal, |tx| async move {
        tx.execute_unprepared("INSERT INTO counter VALUES (1, 1)").await.map(drop)
    });
    let error: DbErr = committing.await.expect_err("it doesn't know");
    assert!(is_outcome_unknown(&error), "{error}");
    assert_eq!(pool.snapshot().retries, 0);
    pool.execute_unprepared("SELECT 1").await.expect("the connection is as good as before");
}

/// A function that fails with 40001 until it was called so many times: a sequence goes on whatever is undone.
async fn conflicts(pool: &Pool, calls: i32) -> Statement {
    pool.execute_unprepared(&format!(
        "CREATE SEQUENCE calls;
         CREATE FUNCTION conflicts() RETURNS INTEGER LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('calls') < {calls} THEN RAISE EXCEPTION 'a conflict' USING ERRCODE = '40001'; END IF;
             RETURN 7;
         END $$;
         CREATE PROCEDURE conflict_in_procedure() LANGUAGE plpgsql AS $$ BEGIN PERFORM conflicts(); END $$"
    ))
    .await
    .expect("a function");
    Statement::from_string(DbBackend::Postgres, "SELECT conflicts() AS seven")
}

async fn calls(pool: &Pool) -> i64 {
    let statement = Statement::from_string(DbBackend::Postgres, "SELECT last_value AS calls FROM calls");
    let row = pool.query_one_raw(statement).await.expect("an answer").expect("one row");
    row.try_get("", "calls").expect("a number")
}

#[tokio::test]
async fn a_statement_by_itself_that_a_conflict_undid_is_done_again() {
    let Some(engine) = has_postgres() else { return };
    let (pool, _database) = pool(engine, |_| {}).await;
    let statement = conflicts(&pool, 3).await;
    let row = pool.query_one_raw(statement).await.expect("the third time it is done").unwrap();
    assert_eq!(row.try_get::<i32>("", "seven").unwrap(), 7);
    assert_eq!((calls(&pool).await, pool.snapshot().retries), (3, 2));
}

#[tokio::test]
async fn a_statement_is_not_done_again_for_ever_nor_where_a_part_of_it_may_be_done() {
    let Some(engine) = has_postgres() else { return };
    let (pool, _database) = pool(engine, |_| {}).await;
    let statement = conflicts(&pool, i32::MAX).await;
    let error = pool.query_all_raw(statement.clone()).await.expect_err("it never comes to its end");
    assert_eq!((kind(&error), calls(&pool).await), (Kind::Conflict, 5), "{error}");
    pool.execute_unprepared(&statement.sql).await.expect_err("it may be several");
    assert_eq!(calls(&pool).await, 6);
    let procedure = Statement::from_string(DbBackend::Postgres, "CALL conflict_in_procedure()");
    pool.execute_raw(procedure).await.expect_err("it may commit in the middle");
    assert_eq!(calls(&pool).await, 7);
    let near = tokio::time::Instant::now() + Duration::from_millis(500);
    let hurried = selvage_context::deadline::scope(near, pool.query_one_raw(statement));
    hurried.await.expect_err("it never comes to its end");
    assert!(calls(&pool).await <= 12);
}
