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
        Engine::Postgres => database_at(postgres::shared().await).await,
    }
}

/// An empty database on a server of one's own.
///
/// # Panics
/// If it can't be made: the test can't run.
pub async fn database_on(server: &postgres::Server) -> Database {
    database_at(server.url().to_owned()).await
}

async fn database_at(admin: String) -> Database {
    let name = format!("test_{}", Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&admin).await.expect("the test server answers");
    run(&mut connection, &format!("CREATE DATABASE {name}")).await;
    connection.close().await.expect("good-bye");
    let (server, _) = admin.rsplit_once('/').expect("an address with a database");
    let url = format!("{server}/{name}");
    Database { engine: Engine::Postgres, url, _folder: None, created: Some((admin, name)) }
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

    /// A role without any rights but to connect, and the address at which it does: what a service is to run as. SQLite has
    /// none, and its address is the same for all.
    ///
    /// # Panics
    /// If it can't be made.
    pub async fn role(&self) -> (String, String) {
        let Some((admin, name)) = &self.created else { return (String::new(), self.url.clone()) };
        let role = format!("{name}_service");
        let mut connection = PgConnection::connect(admin).await.expect("the test server answers");
        run(&mut connection, &format!("CREATE ROLE {role} LOGIN PASSWORD '{role}'")).await;
        connection.close().await.expect("good-bye");
        let at = self.url.rsplit_once('@').expect("an address with a user").1;
        let url = format!("postgres://{role}:{role}@{at}");
        (role, url)
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
        if std::env::var(postgres::GIVEN).ok().as_ref() != Some(&admin) {
            return;
        }
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                if let Ok(mut connection) = PgConnection::connect(&admin).await {
                    run(&mut connection, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
                    run(&mut connection, &format!("DROP ROLE IF EXISTS {name}_service")).await;
                }
            });
        });
        let _ = dropping.join();
    }
}
