//! One raw connection of either kind, with SeaORM's statements and results.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use opentelemetry::KeyValue;
use sea_orm::sea_query::Values;
use sea_orm::{ExecResult, QueryResult, Statement};
use sea_query_sqlx::SqlxValues;
use selvage_conventions::db;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::Config;
use crate::failure;
use crate::latency::Latency;
use crate::password::PasswordFile;

/// How long a SQLite statement waits for a file that another program has locked.
const FILE_WAIT: Duration = Duration::from_secs(5);
/// How long a SQLite connection may take to end: what it is in the middle of waits for the file, and then works for as
/// long again. It is only given up then; nothing ends a statement that runs in our own process.
const SQLITE_END: Duration = Duration::from_secs(10);

/// SQLite connections are closed one after the other: the last one puts the log back into the file, and of two that close at
/// the same moment each may take the other for one that stays.
static CLOSING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What new connections are made with, parsed once.
pub(crate) enum Options {
    Postgres { options: Box<PgConnectOptions>, password: Option<PasswordFile> },
    Sqlite(Box<SqliteConnectOptions>),
}

impl Options {
    pub(crate) fn new(config: &Config) -> Result<Self, sqlx::Error> {
        if config.url.starts_with("sqlite") {
            let options = SqliteConnectOptions::from_str(&config.url)?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // With NORMAL a power cut may take the last committed transactions back. FULL costs one fsync a commit;
                // an order that was confirmed must stay so.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(FILE_WAIT)
                // 512 KiB of pages a connection: a shop of four databases with four connections each keeps 8 MiB.
                .pragma("cache_size", "-512")
                // A file that is mapped counts as our memory, and a read error of the disk is a signal that kills us.
                .pragma("mmap_size", "0")
                .statement_cache_capacity(64)
                .disable_statement_logging();
            return Ok(Self::Sqlite(Box::new(options)));
        }
        let statement_timeout = config.statement_timeout.as_millis();
        // A transaction that idles is one whose owner is gone: no statement takes longer than its time-out, and between
        // two statements lies only our own computing.
        let idle_in_transaction = statement_timeout + 5_000;
        let settings = [
            ("statement_timeout", statement_timeout.to_string()),
            ("idle_in_transaction_session_timeout", idle_in_transaction.to_string()),
            // The server notices a client that died in silence after 10 + 3 × 5 s.
            ("tcp_keepalives_idle", "10".to_owned()),
            ("tcp_keepalives_interval", "5".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
            ("tcp_user_timeout", "25000".to_owned()),
            // A statement whose caller is gone ends within half a second instead of at its time-out, so that the server
            // has no more of our backends than we have connections, give or take the second that budgets allow for.
            ("client_connection_check_interval", "500".to_owned()),
        ];
        let options = PgConnectOptions::from_str(&config.url)?
            .application_name(&config.application_name)
            .options(settings)
            .statement_cache_capacity(100)
            .disable_statement_logging();
        let password = config.password_file.clone().map(PasswordFile::new);
        Ok(Self::Postgres { options: Box::new(options), password })
    }

    /// The file of a SQLite database.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Postgres { .. } => None,
            Self::Sqlite(options) => Some(options.get_filename().to_owned()),
        }
    }

    /// What spans say of the database. Texts are shared: each statement's span bears all of this.
    pub(crate) fn attributes(&self) -> Vec<KeyValue> {
        match self {
            Self::Sqlite(_) => vec![KeyValue::new(db::SYSTEM_NAME, "sqlite")],
            Self::Postgres { options, .. } => {
                let mut attributes = vec![
                    KeyValue::new(db::SYSTEM_NAME, "postgresql"),
                    KeyValue::new(db::SERVER_ADDRESS, Arc::<str>::from(options.get_host())),
                    KeyValue::new(db::SERVER_PORT, i64::from(options.get_port())),
                ];
                let name = options.get_database().map(|name| KeyValue::new(db::NAMESPACE, Arc::<str>::from(name)));
                attributes.extend(name);
                attributes
            }
        }
    }

    /// What a connection to PostgreSQL is made with now.
    pub(crate) fn postgres(&self) -> Result<Option<(PgConnectOptions, u64)>, sqlx::Error> {
        let Self::Postgres { options, password } = self else { return Ok(None) };
        let Some(file) = password else { return Ok(Some((*options.clone(), 0))) };
        let (password, credentials) = file.read().map_err(sqlx::Error::Io)?;
        Ok(Some((options.as_ref().clone().password(&password), credentials)))
    }

    /// A new connection, what the server calls it, and which password it was made with.
    pub(crate) async fn connect(&self, latency: &Latency) -> Result<(Connection, Option<Backend>, u64), sqlx::Error> {
        let connection = |raw| Connection { raw, latency: latency.clone() };
        match self {
            Self::Sqlite(options) => Ok((connection(Raw::Sqlite(options.connect().await?)), None, 0)),
            Self::Postgres { .. } => {
                let (options, credentials) = self.postgres()?.ok_or_else(failure::closed)?;
                let mut raw = options.connect().await?;
                let backend = Backend::of(&mut raw).await?;
                Ok((connection(Raw::Postgres(raw)), Some(backend), credentials))
            }
        }
    }

    /// Whether the password is another one than when this was asked last.
    pub(crate) fn password_changed(&self) -> bool {
        match self {
            Self::Postgres { password: Some(file), .. } => file.changed(),
            _ => false,
        }
    }

    /// Which password new connections are made with.
    pub(crate) fn credentials(&self) -> u64 {
        match self {
            Self::Postgres { password: Some(file), .. } => file.version(),
            _ => 0,
        }
    }
}

/// A session, as its server tells it from all others: process numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pid: i32,
    /// Microseconds since the Unix epoch, by the server's clock.
    started: i64,
}

impl Backend {
    async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let sql = format!(
            "SELECT session.pid, {} FROM pg_stat_get_activity(pg_backend_pid()) AS session",
            Self::started_sql("session")
        );
        let (pid, started) = sqlx::query_as(AssertSqlSafe(sql)).persistent(false).fetch_one(connection).await?;
        Ok(Self { pid, started })
    }

    pub(crate) fn pid(self) -> i32 {
        self.pid
    }

    /// When `session` started, as an expression.
    pub(crate) fn started_sql(session: &str) -> String {
        format!("(extract(epoch FROM {session}.backend_start) * 1000000)::bigint")
    }

    /// A row for VALUES.
    pub(crate) fn to_sql(self) -> String {
        format!("({}, {}::bigint)", self.pid, self.started)
    }
}

/// A raw connection, and what it is slowed by.
pub(crate) struct Connection {
    raw: Raw,
    latency: Latency,
}

enum Raw {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Connection {
    pub(crate) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match &mut self.raw {
            Raw::Postgres(connection) => connection.ping().await,
            Raw::Sqlite(connection) => connection.ping().await,
        }
    }

    /// Says good-bye and waits for it.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self.raw {
            Raw::Postgres(connection) => connection.close().await,
            Raw::Sqlite(connection) => {
                let _alone = CLOSING.lock().await;
                connection.close().await
            }
        }
    }

    /// Closes without a word: the state of the wire isn't known. A peer that is gone doesn't answer, and after `bound`
    /// the socket is closed all the same.
    pub(crate) async fn close_hard(self, bound: Duration) {
        let closed = match self.raw {
            Raw::Postgres(connection) => tokio::time::timeout(bound, connection.close_hard()).await,
            // A file has no wire, but a thread that has its lock until it ends, and sqlx's `close_hard` doesn't wait.
            Raw::Sqlite(connection) => tokio::time::timeout(SQLITE_END, connection.close()).await,
        };
        if closed.is_err() {
            tracing::debug!("a connection didn't end in time");
        }
    }

    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<ExecResult, sqlx::Error> {
        self.latency.pass().await;
        let (sql, values) = parts(statement);
        match &mut self.raw {
            Raw::Postgres(connection) => sqlx::query_with(sql, values).execute(connection).await.map(Into::into),
            Raw::Sqlite(connection) => sqlx::query_with(sql, values).execute(connection).await.map(Into::into),
        }
    }

    /// Runs `sql` by the simple protocol: several statements, no values.
    pub(crate) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, sqlx::Error> {
        use sqlx::Executor as _;
        self.latency.pass().await;
        match &mut self.raw {
            Raw::Postgres(connection) => connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(Into::into),
            Raw::Sqlite(connection) => connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(Into::into),
        }
    }

    pub(crate) async fn query_one(&mut self, statement: &Statement) -> Result<Option<QueryResult>, sqlx::Error> {
        self.latency.pass().await;
        let (sql, values) = parts(statement);
        match &mut self.raw {
            Raw::Postgres(connection) => {
                sqlx::query_with(sql, values).fetch_optional(connection).await.map(|row| row.map(Into::into))
            }
            Raw::Sqlite(connection) => {
                sqlx::query_with(sql, values).fetch_optional(connection).await.map(|row| row.map(Into::into))
            }
        }
    }

    pub(crate) async fn query_all(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, sqlx::Error> {
        self.query(statement).try_collect().await
    }

    pub(crate) fn query<'a>(&'a mut self, statement: &'a Statement) -> BoxStream<'a, Result<QueryResult, sqlx::Error>> {
        let (sql, values) = parts(statement);
        let Self { raw, latency } = self;
        let rows = match raw {
            Raw::Postgres(connection) => sqlx::query_with(sql, values).fetch(connection).map_ok(Into::into).boxed(),
            Raw::Sqlite(connection) => sqlx::query_with(sql, values).fetch(connection).map_ok(Into::into).boxed(),
        };
        if latency.is_none() {
            return rows;
        }
        let delayed = futures::stream::once(latency.pass()).filter_map(|()| std::future::ready(None));
        delayed.chain(rows).boxed()
    }
}

/// SeaORM builds statements with their values apart, which is what makes them safe; sqlx wants to hear it said.
fn parts(statement: &Statement) -> (AssertSqlSafe<&str>, SqlxValues) {
    let values = statement.values.clone().unwrap_or_else(|| Values(Vec::new()));
    (AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}
