//! Notifications, on a connection that the server ends.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbErr, Statement};
use selvage_pool::{Class, Event, Pool};
use selvage_testkit::{Engine, engines, eventually};

use crate::entity::pool;

const LONG: Duration = Duration::from_secs(20);

async fn count(pool: &Pool, sql: &str) -> i64 {
    let row = pool.query_one_raw(Statement::from_string(pool.backend(), sql)).await.expect("an answer");
    row.expect("one row").try_get("", "n").expect("a number")
}

const LISTENING: &str = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND \
                         application_name = 'cafe0123/tested' AND pid <> pg_backend_pid()";

#[tokio::test]
async fn what_is_committed_is_heard_until_the_connection_is_lost_and_again() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let (pool, _database) = pool(Engine::Postgres, |config| {
        config.limit = 1;
        config.application_name = "cafe0123/tested".into();
    })
    .await;
    let mut listener = pool.listen("changed");
    let listening = || pool.snapshot().listening;
    assert_eq!(listening(), 0);
    assert_eq!(listener.next().await, Event::Listening);
    assert_eq!((listening(), count(&pool, LISTENING).await), (1, 1));

    let announce = async |text: &str, commit: bool| {
        let sql = format!("NOTIFY changed, '{text}'");
        let sql = sql.as_str();
        let done = pool.run_tx("announce", Class::Normal, |tx| async move {
            tx.execute_unprepared(sql).await?;
            if commit { Ok(()) } else { Err(DbErr::Custom("not so".into())) }
        });
        assert_eq!(done.await.is_ok(), commit);
    };
    announce("undone", false).await;
    announce("one", true).await;
    announce("two", true).await;
    assert_eq!(listener.next().await, Event::Notified("one".into()));
    assert_eq!(listener.next().await, Event::Notified("two".into()));
    // Silence in between, longer than that after which the server is asked.
    let spoken = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        announce("three", true).await;
    };
    assert_eq!(tokio::join!(listener.next(), spoken).0, Event::Notified("three".into()));

    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND \
               application_name = 'cafe0123/tested' AND pid <> pg_backend_pid()";
    pool.execute_unprepared(end).await.unwrap();
    assert_eq!(listener.next().await, Event::Lost);
    announce("missed", true).await;
    assert_eq!(listener.next().await, Event::Listening);
    announce("four", true).await;
    assert_eq!(listener.next().await, Event::Notified("four".into()));
    eventually(LONG, "the lost one isn't counted", async || listening() == 1).await;

    drop(listener);
    eventually(LONG, "it is closed", async || listening() == 0).await;
    eventually(LONG, "the server sees it", async || count(&pool, LISTENING).await == 0).await;
}

#[tokio::test]
async fn a_file_announces_nothing() {
    let (pool, _database) = pool(Engine::Sqlite, |_| {}).await;
    let mut listener = pool.listen("changed");
    assert!(futures::future::poll_immediate(listener.next()).await.is_none());
    assert_eq!(pool.snapshot().listening, 0);
}
