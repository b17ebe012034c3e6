//! Debian's PgBouncer between a pool and its server: what it breaks is named when the pool is opened, and what works works.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Class, Config, OpenError, Pool, migrate};
use selvage_testkit::{Database, Engine, Pooler, database, engines};

use crate::log::Log;
use crate::migrations::Migrations;

const IGNORED: &str = "ignore_startup_parameters = extra_float_digits,options";

/// A database, and the same by way of a pooler with these settings.
async fn through(settings: &[&str]) -> Option<(Database, Pooler, String)> {
    let engine = engines().into_iter().find(|engine| *engine == Engine::Postgres)?;
    let database = database(engine).await;
    let pooler = Pooler::start(database.url(), &[], settings).await?;
    let url = pooler.url(database.url());
    Some((database, pooler, url))
}

#[tokio::test]
async fn a_pooler_that_shares_sessions_out_by_transactions_is_refused_with_the_remedy() {
    for mode in ["pool_mode = transaction", "pool_mode = statement"] {
        let Some((_database, _pooler, url)) = through(&[mode, IGNORED]).await else { return };
        let refused = Pool::open(Config::new("test", &url)).await.expect_err(mode);
        let said = refused.to_string();
        assert!(matches!(refused, OpenError::Config(_)), "{mode}: {said}");
        assert!(
            said.contains("gives each transaction another session") && said.contains("pool_mode to session"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_pooler_that_refuses_our_settings_is_named_with_the_remedy() {
    for settings in
        [vec!["pool_mode = session"], vec!["pool_mode = session", "ignore_startup_parameters = extra_float_digits"]]
    {
        let Some((_database, _pooler, url)) = through(&settings).await else { return };
        let refused = Pool::open(Config::new("test", &url)).await.expect_err("it refuses us").to_string();
        assert!(refused.contains(IGNORED), "{refused}");
    }
}

#[tokio::test]
async fn a_pooler_with_a_session_for_each_client_works_and_what_it_drops_is_named() {
    let Some((_database, _pooler, url)) = through(&["pool_mode = session", "default_pool_size = 5", IGNORED]).await
    else {
        return;
    };
    let (log, _guard) = Log::start();
    assert_eq!(migrate::up::<Migrations>(url.as_str()).await, Ok(1));
    let pool = Pool::open(Config { limit: 4, ..Config::new("test", &url) }).await.expect("it works");
    assert!(log.has("a pooler drops what is set for a session") && log.has("wanted_ms=5000"));
    let write =
        |text: &str| Statement::from_sql_and_values(DbBackend::Postgres, "INSERT INTO note VALUES ($1)", [text.into()]);
    let writes = (0..32).map(async |index: i32| {
        if index % 2 == 0 {
            return pool.execute_raw(write("single")).await.map(drop);
        }
        pool.run_tx("note_write", Class::Normal, |tx| async move {
            tx.execute_raw(write("in a transaction")).await.map(drop)
        })
        .await
    });
    for written in futures::future::join_all(writes).await {
        written.expect("it works");
    }
}
