use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, RuntimeErr, Statement,
    StreamTrait, TransactionError, TransactionOptions, TransactionTrait,
};
use tokio::time::Instant;

use crate::connection::Options;
use crate::gate::Class;
use crate::lease::Lease;
use crate::shared::{Shared, Snapshot};
use crate::stream::Rows;
use crate::transaction::{self, Tx};
use crate::waits::Waits;
use crate::watch::{LongHeld, Operation};
use crate::writer::{self, Place};
use crate::{Config, OpenError, keeper, metrics};

/// How long a pool that closes waits for those inside: 4 × the 5 s that a statement may take by default. Who holds a
/// connection for longer is not waited for; it is closed when it comes back.
const CLOSE_WAIT: Duration = Duration::from_secs(20);

tokio::task_local! {
    /// The pools of which the code that runs now holds a connection, innermost first: a caller that waits for a second
    /// one while it holds the first can wait for itself.
    pub(crate) static HOLDING: Vec<usize>;
}

/// A pool, under the name and class that its statements go by. Clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
    /// The one writer's place of a SQLite file.
    writer: Option<Arc<Place>>,
    operation: Operation,
}

impl Pool {
    /// Opens a pool, with one connection to see that the database answers; those of the floor follow, the rest come when
    /// they are needed. Its metrics go to OpenTelemetry's global meter provider, which must be set before.
    ///
    /// # Errors
    /// If the tuning makes no sense, also beside what the server allows, or if the database doesn't answer or refuses us:
    /// what, and what to do about it.
    #[track_caller]
    pub fn open(config: Config) -> impl Future<Output = Result<Self, OpenError>> + Send {
        let operation = Operation { name: "unnamed", class: Class::Normal, site: Location::caller() };
        Self::open_for(config, operation)
    }

    async fn open_for(config: Config, operation: Operation) -> Result<Self, OpenError> {
        config.validate()?;
        let options = Options::new(&config).map_err(|_| OpenError::Address(config.name.clone()))?;
        let file = options.file();
        let shared = Arc::new(Shared::new(config, options));
        tokio::spawn(keeper::keep(Arc::downgrade(&shared), shared.gate.clone()));
        // Nobody waits for it yet: it may take what a connection may, and a little for the keeper.
        let until = Instant::now() + shared.config.connect_timeout + keeper::TICK;
        let first = shared.lease(shared.own("pool_open"), Some(until)).await;
        let checked = match first {
            Ok(mut first) => shared.check_room(&mut first).await,
            Err(error) => Err(OpenError::connect(&shared.config.name, &error)),
        };
        if let Err(error) = checked {
            shared.close();
            return Err(error);
        }
        metrics::observe(&shared);
        let writer = file.map(|file| writer::place(&file));
        Ok(Self { shared, writer, operation })
    }

    /// The same pool, for statements that go by `name` and `class`. Names are few and constant: they are in metrics.
    #[must_use]
    #[track_caller]
    pub fn named(&self, name: &'static str, class: Class) -> Self {
        Self { operation: Operation { name, class, site: Location::caller() }, ..self.clone() }
    }

    /// Runs `work` in a transaction: BEGIN, `work`, COMMIT; ROLLBACK if it fails. On PostgreSQL at READ COMMITTED; on
    /// SQLite as the one writer.
    ///
    /// If the database asks for it (a serialization failure, a deadlock, a busy file) all of it is done again, up to
    /// five times and not beyond the caller's deadline, so `work` must be such that it can be. It must not call other
    /// services: a connection is held.
    ///
    /// # Errors
    /// `work`'s own error, after the roll-back; a [refusal](crate::refusal) if there was no connection in time; and what
    /// the database says. [`is_outcome_unknown`](crate::is_outcome_unknown) tells a COMMIT that may have happened.
    #[track_caller]
    pub fn run_tx<T, E, F, Fut>(
        &self,
        name: &'static str,
        class: Class,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<DbErr> + Send,
    {
        let pool = self.named(name, class);
        async move { transaction::run(&pool, work).await }
    }

    /// The kind of database.
    pub fn backend(&self) -> DbBackend {
        if self.writer.is_some() { DbBackend::Sqlite } else { DbBackend::Postgres }
    }

    /// Sets how many connections there may be, within floor and ceiling; returns what it is now. More are made when they
    /// are needed. Of those that are too many the idle ones are closed now, the others when they come back:
    /// [`Pool::settled`] waits for that.
    pub fn set_limit(&self, limit: u32) -> u32 {
        let (before, now) = (self.shared.gate.look().limits.limit, self.shared.gate.set_limit(limit));
        if before != now {
            tracing::info!(pool = self.shared.config.name, before, now, "the pool's limit was changed");
        }
        now
    }

    /// Resolves once no more connections are open than the limit allows; the server's sessions follow within a second.
    pub async fn settled(&self) {
        self.shared.gate.settled().await;
    }

    /// The pool at this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot(self.writer.as_deref())
    }

    /// From now on each statement takes longer by `delay`, with its connection held, as if the network had become slow: for
    /// drills. Returns what it was before.
    pub fn delay_statements(&self, delay: Duration) -> Duration {
        self.shared.latency.set(delay)
    }

    /// How long callers have waited for a connection, since the pool was opened.
    pub fn waits(&self) -> Waits {
        self.shared.waits.so_far()
    }

    /// The operations that hold a connection for longer than `long_lease` now.
    pub fn long_held(&self) -> Vec<LongHeld> {
        self.shared.holders.long(self.shared.config.long_lease)
    }

    /// The tuning that it was opened with.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Refuses new callers, waits for those inside, at most 20 s, and closes every connection. For tests, and programs
    /// that go on without the pool: a service that stops has no caller left, and its connections end with it.
    pub async fn close(&self) {
        let shared = &self.shared;
        let _ = tokio::time::timeout(CLOSE_WAIT, shared.gate.drained()).await;
        shared.close();
        // What is still in use isn't waited for again.
        let _ = tokio::time::timeout(shared.config.connect_timeout, shared.gate.emptied()).await;
    }

    /// The name and class that statements and transactions go by, and where that was said.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Which pool this is, among those of the process.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// A connection for `sql` alone.
    async fn lease(&self, sql: &str) -> Result<Lease, DbErr> {
        if self.writer.is_some() && !writer::only_reads(sql) {
            return self.writing_lease().await;
        }
        self.refuse_second()?;
        let _wait = self.shared.waits.start();
        self.shared.lease(self.operation, None).await
    }

    /// A connection to write with, or for a transaction: on SQLite with the writer's place, which is waited for first, so
    /// that those who wait for it hold no connection that a reader could use.
    pub(crate) async fn writing_lease(&self) -> Result<Lease, DbErr> {
        self.refuse_second()?;
        let _wait = self.shared.waits.start();
        let Some(writer) = &self.writer else { return self.shared.lease(self.operation, None).await };
        let until = self.shared.patience(self.operation.class);
        let place = self.shared.writing(writer, &self.operation, until).await?;
        let mut lease = self.shared.lease(self.operation, Some(until)).await?;
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
                self.shared.config.name
            );
            debug_assert!(false, "{message}");
            return Err(DbErr::Conn(RuntimeErr::Internal(message)));
        }
        Ok(())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.shared.config.name).field("snapshot", &self.snapshot()).finish()
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
