//! One raw connection of either kind, with SeaORM's statements and results.

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use sea_orm::sea_query::Values;
use sea_orm::{ExecResult, QueryResult, Statement};
use sea_query_sqlx::SqlxValues;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::failure;
use crate::latency::Latency;
use crate::wanted::Role;

/// How long a SQLite connection may take to end: what it is in the middle of waits for the file, and then works for as
/// long again. It is only given up then; nothing ends a statement that runs in our own process.
const SQLITE_END: Duration = Duration::from_secs(10);

/// SQLite connections are closed one after the other: the last one puts the log back into the file, and of two that close at
/// the same moment each may take the other for one that stays.
static CLOSING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A session, as its server tells it from all others: process numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId {
    pid: i32,
    /// Microseconds since the Unix epoch, by the server's clock.
    started: i64,
}

impl SessionId {
    pub(crate) async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
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
    pub(crate) fn postgres(connection: PgConnection, latency: Latency) -> Self {
        Self { raw: Raw::Postgres(connection), latency }
    }

    pub(crate) fn sqlite(connection: SqliteConnection, latency: Latency) -> Self {
        Self { raw: Raw::Sqlite(connection), latency }
    }

    /// Whether it is one to a file, without a server.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.raw, Raw::Sqlite(_))
    }

    pub(crate) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match &mut self.raw {
            Raw::Postgres(connection) => connection.ping().await,
            Raw::Sqlite(connection) => connection.ping().await,
        }
    }

    /// What its server is to it.
    pub(crate) async fn role(&mut self) -> Result<Role, sqlx::Error> {
        match &mut self.raw {
            Raw::Postgres(connection) => Role::of(connection).await,
            Raw::Sqlite(_) => Err(failure::closed()),
        }
    }

    /// Says good-bye and waits for it.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self.raw {
            Raw::Postgres(connection) => connection.close().await,
            Raw::Sqlite(connection) => {
                let _only_one = CLOSING.lock().await;
                connection.close().await
            }
        }
    }

    /// Closes without a word: the state of the wire isn't known. A peer that is gone doesn't answer, and after `bound`
    /// the socket is closed all the same.
    pub(crate) async fn abort(self, bound: Duration) {
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
