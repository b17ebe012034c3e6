//! Migrations. SeaORM's take its own connection types, so they run apart from a pool: in a command, before the service.

mod role;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqlxPostgresConnector, Statement, TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::time::Instant;

pub use role::Role;

use crate::address::Address;
use crate::backoff::Backoff;
use crate::failure::{self, SCHEMA_MISSING, conn_error, describe, in_words};
use crate::password::PasswordFile;
use crate::servers::Servers;
use crate::{Class, Pool};

/// Whose turn it is to migrate; any number will do, as long as all of ours use the same ("selvage" in ASCII).
const ADVISORY_LOCK: i64 = 0x73_656c_7661_6765;
/// Where to create the tables can't be told.
const NO_SCHEMA: &str = "the search_path of who migrates names no schema that is there: create it first";
/// How long a database is tried for: a job may start a little before its database does.
const CONNECT_BOUND: Duration = Duration::from_secs(10);
/// How long one attempt may take; as of a pool.
const CONNECT_ONCE: Duration = Duration::from_millis(1500);
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// Why a schema can't be changed or looked at, in one sentence: what is wrong, what to do about it, and with which
/// database, whose password isn't shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MigrateError(String);

/// Where the schema is that is changed: a database's address, and the file with its password where that isn't in it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// As of a pool.
    pub url: &'a str,
    /// Wins over the address.
    pub password_file: Option<&'a Path>,
}

impl<'a, U: AsRef<str> + ?Sized> From<&'a U> for Place<'a> {
    fn from(url: &'a U) -> Self {
        Self { url: url.as_ref(), password_file: None }
    }
}

/// Applies the migrations that are missing, one process at a time; returns how many. On PostgreSQL all of them are one
/// transaction: none may ask to be outside one, as `CREATE INDEX CONCURRENTLY` does.
///
/// # Errors
/// A [`MigrateError`] if the database doesn't answer within 10 s, or refuses a migration, of which nothing stays then. Once
/// what it names is mended, the same may be tried again.
pub async fn up<'a, M: MigratorTrait>(place: impl Into<Place<'a>>) -> Result<usize, MigrateError> {
    bring_up::<M>(place.into(), None).await
}

/// The same, and gives `role` its rights and limits in the same transaction. To be repeated after each migration: a role has no
/// rights on tables that came after.
///
/// # Errors
/// As [`up`]; and if the database isn't PostgreSQL, there is no such role, or its limits may not be set, with what an
/// administrator does about it.
pub async fn up_for<'a, M: MigratorTrait>(place: impl Into<Place<'a>>, role: &Role<'_>) -> Result<usize, MigrateError> {
    bring_up::<M>(place.into(), Some(role)).await
}

async fn bring_up<M: MigratorTrait>(place: Place<'_>, role: Option<&Role<'_>>) -> Result<usize, MigrateError> {
    if let Some(role) = role {
        role.check().map_err(MigrateError)?;
        if place.url.starts_with("sqlite:") {
            return Err(MigrateError("SQLite has no roles: rights are granted on PostgreSQL alone".into()));
        }
    }
    let opened = Opened::at(place).await?;
    let migrated = locked::<M>(&opened.db, role).await;
    opened.close(migrated).await
}

/// Of the migrations `own`, in their order, those that the database doesn't have. It may have others: a newer release's.
/// Needs no more rights than a service has.
///
/// # Errors
/// If the database doesn't answer in time, or doesn't let the role read the list of migrations.
pub async fn missing(pool: &Pool, own: &[String]) -> Result<Vec<String>, DbErr> {
    let pool = pool.named("schema_look", Class::Normal);
    let look = Statement::from_string(pool.backend(), "SELECT version FROM seaql_migrations");
    let applied = match pool.query_all_raw(look).await {
        Ok(rows) => rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<String>, _>>()?,
        // Nothing was migrated yet.
        Err(error) if describe(&error) == Some(SCHEMA_MISSING) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(own.iter().filter(|name| !applied.contains(name)).cloned().collect())
}

#[expect(clippy::disallowed_methods, reason = "migrations have SeaORM's connections, which have no run_tx")]
async fn locked<M: MigratorTrait>(db: &DatabaseConnection, role: Option<&Role<'_>>) -> Result<usize, Failed> {
    if db.get_database_backend() != DbBackend::Postgres {
        let missing = count_missing::<M>(db).await?;
        if missing > 0 {
            M::up(db, None).await?;
        }
        return Ok(missing);
    }
    // One transaction around all of it, with which the lock ends whatever happens. A lock of the session would stay behind on a
    // pooler's connection, and keep the next one waiting for ever.
    let all = db.begin().await?;
    lock(&all).await?;
    let missing = count_missing::<M>(&all).await?;
    if missing > 0 {
        M::up(&all, None).await?;
    }
    if let Some(role) = role {
        role::provide(&all, role).await?;
    }
    all.commit().await?;
    Ok(missing)
}

/// How many of ours were not applied. Where none is missing, those of a newer release are no failure, as they would be to
/// SeaORM: an older release may be rolled back to.
async fn count_missing<M: MigratorTrait>(db: &impl ConnectionTrait) -> Result<usize, DbErr> {
    let applied = M::get_migration_models(db).await?;
    let is_applied = |name: &str| applied.iter().any(|applied| applied.version == name);
    Ok(M::migrations().iter().filter(|own| !is_applied(own.name())).count())
}

/// Waits until nobody else migrates, and says for whom. Where the server has no such locks that is said, and there is nothing to wait for.
#[expect(clippy::disallowed_methods, reason = "a savepoint, which an error undoes without the transaction")]
async fn lock(all: &DatabaseTransaction) -> Result<(), DbErr> {
    let trying = all.begin().await?;
    match wait_for_lock(&trying).await {
        Ok(()) => trying.commit().await,
        Err(error) if failure::is_missing_feature(&error) => {
            tracing::warn!(error = %error, "the database server has no advisory locks for us: let one migration run at a time");
            trying.rollback().await
        }
        Err(error) => Err(error),
    }
}

async fn wait_for_lock(trying: &DatabaseTransaction) -> Result<(), DbErr> {
    let statement = |sql: String| Statement::from_string(DbBackend::Postgres, sql);
    let at_once = statement(format!("SELECT pg_try_advisory_xact_lock({ADVISORY_LOCK})"));
    let row = trying.query_one_raw(at_once).await?;
    if row.map(|row| row.try_get_by_index(0)).transpose()? == Some(true) {
        return Ok(());
    }
    let holder = match trying.query_one_raw(statement(HOLDER.replace("$1", &ADVISORY_LOCK.to_string()))).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => String::from("nobody any more"),
    };
    tracing::info!(holder, "another migration of this database is under way: waiting for its end");
    trying.execute_raw(statement(format!("SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))).await.map(drop)
}

/// Who has the lock: its two halves stand in two columns. What belongs to other roles isn't shown to all.
const HOLDER: &str = "SELECT 'process ' || locks.pid || coalesce(', ' || nullif(application_name, ''), '') \
     || coalesce(', from ' || host(client_addr), '') || coalesce(', since ' || date_trunc('second', xact_start), '') \
     FROM pg_locks AS locks LEFT JOIN pg_stat_activity USING (pid) \
     WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) + objid::bigint = $1 LIMIT 1";

/// A database, and how it is called where a password may not be shown.
struct Opened {
    db: DatabaseConnection,
    name: String,
}

impl Opened {
    async fn at(place: Place<'_>) -> Result<Self, MigrateError> {
        let name = name(place.url)?;
        let password = match place.password_file {
            Some(_) if place.url.starts_with("sqlite:") => {
                return Err(MigrateError("a password file is for PostgreSQL; SQLite has no passwords".into()));
            }
            Some(file) => {
                let read = PasswordFile::new(file.to_owned()).read();
                read.map_err(|error| MigrateError(format!("{error} ({name})")))?.0
            }
            None => None,
        };
        if place.url.starts_with("sqlite:") {
            return match connect_file(place.url).await {
                Ok(db) => Ok(Self { db, name }),
                Err(error) => Err(failed(&error.into(), &name)),
            };
        }
        let servers = servers(place.url)?;
        match connect(&servers, password.as_deref(), &name).await {
            Ok(db) => Ok(Self { db, name }),
            Err(error) => {
                let words = describe(&error).map_or(String::new(), |words| format!("{words} "));
                Err(MigrateError(format!("{words}({name}): {error}")))
            }
        }
    }

    async fn close<T>(self, done: Result<T, Failed>) -> Result<T, MigrateError> {
        let closed = self.db.close().await.map_err(Failed::from);
        done.and_then(|done| closed.map(|()| done)).map_err(|error| failed(&error, &self.name))
    }
}

/// Why something of it can't be done.
enum Failed {
    /// The database says so.
    Database(DbErr),
    /// In words, with the remedy.
    Said(String),
}

impl From<DbErr> for Failed {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

fn failed(error: &Failed, name: &str) -> MigrateError {
    let why = match error {
        Failed::Database(error) if failure::has_no_schema(error) => NO_SCHEMA.to_owned(),
        Failed::Database(error) => describe(error).map_or_else(|| error.to_string(), str::to_owned),
        Failed::Said(why) => why.clone(),
    };
    MigrateError(format!("{why} ({name})"))
}

fn name(url: &str) -> Result<String, MigrateError> {
    match url.split_once(':') {
        Some(("sqlite", _)) => match SqliteConnectOptions::from_str(url) {
            Ok(options) => Ok(options.get_filename().display().to_string()),
            Err(_) => Err(MigrateError("the database address can't be read; it must be like sqlite://file".into())),
        },
        Some(("postgres" | "postgresql", _)) => {
            let servers = servers(url)?;
            let places: Vec<_> =
                servers.each().iter().map(|server| format!("{}:{}", server.get_host(), server.get_port())).collect();
            let first = servers.each().first().map(|server| (server.get_username(), server.get_database()));
            let (user, database) = first.unwrap_or_default();
            Ok(format!("postgres://{user}@{}/{}", places.join(","), database.unwrap_or(user)))
        }
        // SeaORM would say so too, and repeat the address with its password.
        _ => Err(MigrateError("the database address must begin with postgres:// or sqlite://".into())),
    }
}

/// Makes the file of a database that isn't there yet so that its owner alone can read it; SQLite gives the files beside it
/// the same rights. What keeps it from being made is said by SQLite, which finds the same.
fn make_private(url: &str) {
    let Ok(options) = SqliteConnectOptions::from_str(url) else { return };
    let file = options.get_filename();
    if !url.contains("mode=rwc") || url.contains(":memory:") {
        return;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            tracing::debug!(%error, "a database's file isn't made");
        }
        _ => {}
    }
}

fn servers(url: &str) -> Result<Servers, MigrateError> {
    let address = Address::parse(url).map_err(|error| MigrateError(error.to_string()))?;
    // Who is told to end while it waits for somebody's lock leaves nothing that waits on.
    let settings = [("client_connection_check_interval", "500")];
    Ok(Servers::of(address, |server| server.options(settings).disable_statement_logging()))
}

async fn connect_file(url: &str) -> Result<DatabaseConnection, DbErr> {
    let url = match url.contains('?') {
        _ if url.contains("mode=") => url.to_owned(),
        true => format!("{url}&mode=rwc"),
        false => format!("{url}?mode=rwc"),
    };
    let mut options = ConnectOptions::new(&url);
    // The one connection holds the lock, and so may not be replaced half-way, however long a migration takes.
    options.max_connections(1).max_lifetime(None).idle_timeout(None).sqlx_logging(false);
    make_private(&url);
    let db = Database::connect(options).await?;
    db.execute_unprepared("PRAGMA journal_mode = WAL").await?;
    Ok(db)
}

/// The one connection holds the lock, and so isn't replaced half-way, however long a migration takes.
async fn connect(servers: &Servers, password: Option<&str>, name: &str) -> Result<DatabaseConnection, DbErr> {
    let (began, mut failures) = (Instant::now(), 0);
    loop {
        let error = match servers.connect::<PgPool>(password, CONNECT_ONCE).await {
            Ok(pool) => return Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool)),
            Err(error) => error,
        };
        let passes = failure::passes(&error);
        let (error, left) = (conn_error(error), CONNECT_BOUND.saturating_sub(began.elapsed()));
        failures += 1;
        let pause = PAUSES.pause(failures, 0.0);
        if !passes || left <= pause {
            return Err(error);
        }
        if failures == 1 {
            let seconds = left.as_secs();
            tracing::info!(
                database = name,
                why = in_words(&error),
                seconds,
                "the database isn't there yet: trying for some seconds"
            );
        }
        tokio::time::sleep(pause).await;
    }
}
