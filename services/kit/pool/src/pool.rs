use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures::StreamExt as _;
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, RuntimeErr, Statement,
    StreamTrait, TransactionError, TransactionOptions, TransactionTrait,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::connection::Options;
use crate::gate::{Gate, Snapshot};
use crate::lease::Lease;
use crate::stream::Rows;
use crate::transaction::{self, Tx};
use crate::{Config, OpenError, writer};

/// How much it matters that an operation gets a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Somebody's money or promise hangs on it.
    Critical,
    /// The usual.
    Normal,
    /// The first to be refused when there is too much.
    Sheddable,
}

tokio::task_local! {
    /// The pools of which the code that runs now holds a connection, innermost first: a caller that waits for a second
    /// one while it holds the first can wait for itself.
    pub(crate) static HOLDING: Vec<usize>;
}

/// A pool, under the name and class that its statements go by. Clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    gate: Arc<Gate>,
    /// The one writer's place of a SQLite file.
    writer: Option<Arc<Semaphore>>,
    name: &'static str,
    class: Class,
}

impl Pool {
    /// Opens a pool, with one connection to see that the database answers; the rest come when they are needed.
    ///
    /// # Errors
    /// If the tuning makes no sense, or the database doesn't answer or refuses us: what, and what to do about it.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        config.validate()?;
        let options = Options::new(&config).map_err(|_| OpenError::Address(config.name.clone()))?;
        let file = options.file();
        let gate = Arc::new(Gate::new(config, options));
        // Nobody waits for it yet: it may take what a connection may.
        match gate.acquire(Some(Instant::now() + gate.config.connect_timeout)).await {
            Ok(first) => drop(first),
            Err(error) => return Err(OpenError::connect(&gate.config.name, error)),
        }
        let writer = file.map(|file| writer::place(&file));
        Ok(Self { gate, writer, name: "unnamed", class: Class::Normal })
    }

    /// The same pool, for statements that go by `name` and `class`. Names are few and constant: they are in metrics.
    #[must_use]
    pub fn named(&self, name: &'static str, class: Class) -> Self {
        Self { name, class, ..self.clone() }
    }

    /// Runs `work` in a transaction: BEGIN, `work`, COMMIT; ROLLBACK if it fails. On PostgreSQL at READ COMMITTED; on
    /// SQLite as the one writer.
    ///
    /// If the database asks for it (a serialization failure, a deadlock, a busy file) all of it is done again, up to
    /// five times and not beyond the caller's deadline, so `work` must be such that it can be. It must not call other
    /// services: a connection is held.
    ///
    /// # Errors
    /// `work`'s own error, after the roll-back; `DbErr::ConnectionAcquire` if there was no connection in time; and what
    /// the database says. [`is_outcome_unknown`](crate::is_outcome_unknown) tells a COMMIT that may have happened.
    pub async fn run_tx<T, E, F, Fut>(&self, name: &'static str, class: Class, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<DbErr> + Send,
    {
        transaction::run(&self.named(name, class), work).await
    }

    /// The kind of database.
    pub fn backend(&self) -> DbBackend {
        if self.writer.is_some() { DbBackend::Sqlite } else { DbBackend::Postgres }
    }

    /// The pool at this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.gate.snapshot()
    }

    /// Refuses new callers, waits for those inside, at most 20 s, and closes every connection. For tests, and programs
    /// that go on without the pool: a service that stops has no caller left, and its connections end with it.
    pub async fn close(&self) {
        self.gate.close().await;
    }

    /// The name that statements and transactions go by.
    pub fn operation(&self) -> (&'static str, Class) {
        (self.name, self.class)
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Which pool this is, among those of the process.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.gate).addr()
    }

    /// A connection for `sql` alone.
    async fn lease(&self, sql: &str) -> Result<Lease, DbErr> {
        if self.writer.is_some() && !writer::only_reads(sql) {
            return self.writing_lease().await;
        }
        self.refuse_second()?;
        self.gate.acquire(None).await
    }

    /// A connection to write with, or for a transaction: on SQLite with the writer's place, which is waited for first, so
    /// that those who wait for it hold no connection that a reader could use.
    pub(crate) async fn writing_lease(&self) -> Result<Lease, DbErr> {
        self.refuse_second()?;
        let Some(writer) = &self.writer else { return self.gate.acquire(None).await };
        let until = self.gate.patience();
        let place = match writer.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.gate.bounded(writer.clone().acquire_owned(), until).await?,
        };
        let mut lease = self.gate.acquire(Some(until)).await?;
        lease.writer = Some(place);
        Ok(lease)
    }

    /// Whoever holds a connection of this pool may not wait for another of it.
    fn refuse_second(&self) -> Result<(), DbErr> {
        let holds = HOLDING.try_with(|pools| pools.contains(&self.identity())).unwrap_or(false);
        if holds {
            let message = format!(
                "pool '{}': a second connection was asked for within a transaction, and could be waited for for ever: use the \
                 transaction's own handle",
                self.gate.config.name
            );
            debug_assert!(false, "{message}");
            return Err(DbErr::Conn(RuntimeErr::Internal(message)));
        }
        Ok(())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.gate.config.name).field("snapshot", &self.snapshot()).finish()
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.lease(&statement.sql).await?.execute(&statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.lease(sql).await?.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.lease(&statement.sql).await?.query_one(&statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.lease(&statement.sql).await?.query_all(&statement).await
    }
}

impl StreamTrait for Pool {
    type Stream<'a> = Rows<'a>;

    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    fn stream_raw<'a>(
        &'a self,
        statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Rows<'a>, DbErr>> + Send + 'a>> {
        Box::pin(async move {
            let lease = self.lease(&statement.sql).await?;
            Ok(Rows::new(lease.rows(statement).boxed()))
        })
    }
}

/// For SeaORM's own needs; our code uses [`Pool::run_tx`].
#[async_trait::async_trait]
impl TransactionTrait for Pool {
    type Transaction = Tx;

    async fn begin(&self) -> Result<Tx, DbErr> {
        Tx::begin(self).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Tx, DbErr> {
        let tx = Tx::begin(self).await?;
        tx.configure(isolation_level, access_mode).await?;
        Ok(tx)
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<Tx, DbErr> {
        let tx = Tx::begin(self).await?;
        tx.configure(options.isolation_level, options.access_mode).await?;
        Ok(tx)
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let tx = Tx::begin(self).await.map_err(TransactionError::Connection)?;
        tx.finish(callback).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let tx = Tx::begin(self).await.map_err(TransactionError::Connection)?;
        tx.configure(isolation_level, access_mode).await.map_err(TransactionError::Connection)?;
        tx.finish(callback).await
    }
}
