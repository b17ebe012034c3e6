//! The command that migrates, as a process: what it says while it waits, and that it can be told to end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Class, Config, Pool};
use selvage_testkit::{Engine, database, engines, eventually};
use tokio::sync::Notify;

const LONG: Duration = Duration::from_secs(30);

fn migration(url: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvage-delivery"));
    command.arg("migrate").env("SELVAGE_DATABASE_URL", url);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs")
}

async fn waiting(pool: &Pool) -> i64 {
    let sql = "SELECT count(*) FROM pg_locks JOIN pg_database AS own ON own.oid = database \
               WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted";
    let row = pool.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("an answer");
    row.expect("one row").try_get_by_index(0).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_says_for_whom_it_waits_and_ends_when_it_is_told_to() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let database = database(Engine::Postgres).await;
    let config = Config {
        // It idles in its transaction for longer than a service may.
        statement_timeout: Duration::from_secs(300),
        application_name: "cafe0001/other".into(),
        ..Config::new("other", database.url())
    };
    let pool = Pool::open(config).await.unwrap();
    let (held, done) = (Notify::new(), Notify::new());
    let other = pool.run_tx("migrate", Class::Normal, |tx| {
        let (held, done) = (&held, &done);
        async move {
            // "selvage" in ASCII.
            tx.execute_unprepared("SELECT pg_advisory_xact_lock(x'73656c76616765'::bigint)").await?;
            held.notify_one();
            done.notified().await;
            Ok::<_, sea_orm::DbErr>(())
        }
    });
    let told = async {
        held.notified().await;
        let mut child = migration(database.url());
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let waits = tokio::task::spawn_blocking(move || {
            let line = lines.find(|line| line.contains("another migration")).expect("it says so");
            (line, lines)
        });
        let (line, mut lines) = waits.await.unwrap();
        assert!(line.contains("cafe0001/other"), "{line}");
        eventually(LONG, "it waits", async || waiting(&pool).await == 1).await;
        let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
        assert!(killed.success());
        let ended = tokio::task::spawn_blocking(move || {
            let said = lines.find(|line| line.contains("was told to end before it was done"));
            (child.wait().expect("it ends"), said)
        });
        let (status, said) = ended.await.unwrap();
        assert!(status.code() == Some(1) && said.is_some(), "{status}, {said:?}");
        eventually(LONG, "nothing of it waits at the server", async || waiting(&pool).await == 0).await;
        done.notify_one();
    };
    let (other, ()) = tokio::time::timeout(4 * LONG, async { tokio::join!(other, told) }).await.expect("both end");
    other.unwrap();
    let again = migration(database.url()).wait_with_output().expect("it ends");
    assert!(again.status.success(), "it may be begun again: {again:?}");
}
