use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use crate::postgres;

/// The databases that the shop runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In this process, in a file.
    Sqlite,
    /// A real server.
    Postgres,
}

/// The engines that this machine has. Without PostgreSQL that is said; with `CI=true` it is a failure.
///
/// # Panics
/// If `CI=true` and there is no PostgreSQL.
pub fn engines() -> Vec<Engine> {
    if postgres::is_installed() {
        return vec![Engine::Sqlite, Engine::Postgres];
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true, and PostgreSQL 15 or newer is not installed");
    eprintln!("!! SKIPPED: everything on PostgreSQL. To run it: apt-get install postgresql");
    vec![Engine::Sqlite]
}

/// A test's own database, gone with the value.
pub struct Database {
    engine: Engine,
    url: String,
    _folder: Option<TempDir>,
    /// The server's administrator's address and the database's name.
    created: Option<(String, String)>,
}

/// An empty database.
///
/// # Panics
/// If it can't be made: the test can't run.
pub async fn database(engine: Engine) -> Database {
    match engine {
        Engine::Sqlite => {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let url = format!("sqlite://{}", folder.path().join("test.db").display());
            Database { engine, url, _folder: Some(folder), created: None }
        }
        Engine::Postgres => {
            let admin = postgres::shared().await;
            let name = format!("test_{}", Uuid::new_v4().simple());
            let mut connection = PgConnection::connect(&admin).await.expect("the test server answers");
            run(&mut connection, &format!("CREATE DATABASE {name}")).await;
            connection.close().await.expect("good-bye");
            let (server, _) = admin.rsplit_once('/').expect("an address with a database");
            Database { engine, url: format!("{server}/{name}"), _folder: None, created: Some((admin, name)) }
        }
    }
}

async fn run(connection: &mut PgConnection, sql: &str) {
    use sqlx::Executor as _;
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.expect("an administrator's statement");
}

impl Database {
    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it runs on.
    pub fn engine(&self) -> Engine {
        self.engine
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((admin, name)) = self.created.take() else { return };
        // A server of the tests' own goes with all its databases; on somebody's server we clean up after ourselves.
        if std::env::var_os(postgres::GIVEN).is_none() {
            return;
        }
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                if let Ok(mut connection) = PgConnection::connect(&admin).await {
                    run(&mut connection, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
                }
            });
        });
        let _ = dropping.join();
    }
}
