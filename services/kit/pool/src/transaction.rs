//! Transactions and savepoints.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, RuntimeErr, Statement,
    TransactionError, TransactionOptions, TransactionSession, TransactionTrait,
};
use selvage_context::deadline;
use selvage_context::lease::{Held, holding};
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::failure;
use crate::lease::Lease;
use crate::pool::{HOLDING, Pool};

/// How often a transaction is tried: five conflicts in a row mean a hot row, not bad luck.
const ATTEMPTS: u32 = 5;
/// The pause before trying again, doubled each time: 2, 4, 8, 16 ms, long enough for the other to commit.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// A transaction's handle. Clones are the same transaction; it ends with the closure that it was given to.
#[derive(Clone)]
pub struct Tx {
    shared: Arc<Shared>,
    /// The savepoint that this handle is, 0 for the transaction itself.
    depth: u32,
    /// Rolls the savepoint back when the last handle to it goes without a word.
    savepoint: Option<Arc<Savepoint>>,
}

struct Shared {
    backend: DbBackend,
    lease: Mutex<Option<Lease>>,
    /// The lowest savepoint that was left without a word, plus one: it is rolled back before the next statement.
    abandoned: AtomicU32,
    _held: Held,
    _writer: Option<OwnedSemaphorePermit>,
}

struct Savepoint {
    shared: Arc<Shared>,
    depth: u32,
    open: std::sync::atomic::AtomicBool,
}

impl Drop for Savepoint {
    fn drop(&mut self) {
        if self.open.load(Ordering::Acquire) {
            self.shared.abandoned.fetch_min(self.depth, Ordering::AcqRel);
        }
    }
}

pub(crate) async fn run<T, E, F, Fut>(pool: &Pool, work: F) -> Result<T, E>
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<DbErr> + Send,
{
    let (name, class) = pool.operation();
    let span = tracing::debug_span!(
        "transaction",
        pool = pool.gate().config.name,
        name,
        class = ?class,
        retries = tracing::field::Empty,
        wait_us = tracing::field::Empty,
        use_us = tracing::field::Empty,
    );
    attempts(pool, work).instrument(span).await
}

async fn attempts<T, E, F, Fut>(pool: &Pool, work: F) -> Result<T, E>
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<DbErr> + Send,
{
    let mut attempt = 1;
    loop {
        let asked = Instant::now();
        let tx = Tx::begin(pool).await?;
        let began = Instant::now();
        let mut holding_pools = HOLDING.try_with(Clone::clone).unwrap_or_default();
        holding_pools.push(pool.identity());
        let result = HOLDING.scope(holding_pools, holding(work(tx.clone()))).await;
        let ended = match result {
            Ok(value) => tx.end("COMMIT").await.map(|()| value).map_err(E::from),
            Err(error) => {
                tx.roll_back().await;
                Err(error)
            }
        };
        let retry_asked = tx.retry_asked().await;
        drop(tx);
        let span = tracing::Span::current();
        span.record("wait_us", micros(began - asked)).record("use_us", micros(began.elapsed()));
        let totals = &pool.gate().totals;
        match ended {
            Ok(value) => {
                totals.transactions.fetch_add(1, Ordering::Relaxed);
                return Ok(value);
            }
            Err(error) => {
                let pause = FIRST_PAUSE * 2_u32.pow(attempt - 1);
                let in_time = deadline::remaining().is_none_or(|left| left > pause);
                if !retry_asked || attempt == ATTEMPTS || !in_time {
                    return Err(error);
                }
                totals.retries.fetch_add(1, Ordering::Relaxed);
                span.record("retries", attempt);
                tokio::time::sleep(pause).await;
                attempt += 1;
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Tx {
    pub(crate) async fn begin(pool: &Pool) -> Result<Self, DbErr> {
        pool.refuse_second()?;
        let writer = match pool.writer() {
            Some(writer) => Some(pool.gate().bounded(writer.clone().acquire_owned()).await?),
            None => None,
        };
        let sql = if writer.is_some() { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let mut lease = pool.lease().await?;
        let mut begun = begin_on(&mut lease, sql).await;
        // A connection that died while it was idle shows it only now; nothing was done on it yet.
        if lease.is_broken() {
            lease.discard().await;
            lease.connect().await?;
            begun = begin_on(&mut lease, sql).await;
        }
        begun.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))?;
        Ok(Self {
            shared: Arc::new(Shared {
                backend: pool.backend(),
                lease: Mutex::new(Some(lease)),
                abandoned: AtomicU32::new(u32::MAX),
                _held: Held::start(),
                _writer: writer,
            }),
            depth: 0,
            savepoint: None,
        })
    }

    pub(crate) async fn configure(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<(), DbErr> {
        // SQLite has one isolation level, serializable, and takes no SET TRANSACTION.
        if self.shared.backend != DbBackend::Postgres {
            return Ok(());
        }
        let mut settings = Vec::new();
        settings.extend(isolation_level.map(|level| format!("ISOLATION LEVEL {level}")));
        settings.extend(access_mode.map(|mode| mode.to_string()));
        if settings.is_empty() {
            return Ok(());
        }
        let sql = format!("SET TRANSACTION {}", settings.join(" "));
        self.lease().await?.get()?.control(&sql).await.map_err(exec_error)
    }

    pub(crate) async fn finish<F, T, E>(self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        match callback(&self).await {
            Ok(value) => self.commit().await.map(|()| value).map_err(TransactionError::Connection),
            Err(error) => {
                self.rollback().await.map_err(TransactionError::Connection)?;
                Err(TransactionError::Transaction(error))
            }
        }
    }

    /// The lease, with savepoints that were left without a word rolled back.
    async fn lease(&self) -> Result<Locked<'_>, DbErr> {
        let mut locked = Locked(self.shared.lease.lock().await);
        let abandoned = self.shared.abandoned.swap(u32::MAX, Ordering::AcqRel);
        if abandoned != u32::MAX {
            locked.get()?.control(&format!("ROLLBACK TO SAVEPOINT s{abandoned}")).await.map_err(exec_error)?;
        }
        Ok(locked)
    }

    /// Ends the transaction with COMMIT or ROLLBACK and gives the connection back.
    async fn end(&self, word: &str) -> Result<(), DbErr> {
        let mut locked = self.lease().await?;
        let lease = locked.get()?;
        let ended = lease.control(word).await;
        match ended {
            Ok(()) => {
                lease.in_transaction = false;
                Ok(())
            }
            Err(error) if lease.is_broken() && word == "COMMIT" => Err(failure::outcome_unknown(&error)),
            Err(error) => Err(exec_error(error)),
        }
    }

    async fn roll_back(&self) {
        // What can't be rolled back is closed when the lease is dropped, which rolls it back.
        if let Err(error) = self.end("ROLLBACK").await {
            tracing::debug!(error = %error, "a transaction ends with its connection");
        }
    }

    async fn retry_asked(&self) -> bool {
        self.shared.lease.lock().await.take().is_some_and(|lease| lease.retry_asked)
    }
}

async fn begin_on(lease: &mut Lease, sql: &str) -> Result<(), sqlx::Error> {
    lease.in_transaction = true;
    let begun = lease.control(sql).await;
    lease.in_transaction = begun.is_ok();
    begun
}

fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

/// The lease of a transaction, which is gone once the transaction has ended.
struct Locked<'a>(MutexGuard<'a, Option<Lease>>);

impl Locked<'_> {
    fn get(&mut self) -> Result<&mut Lease, DbErr> {
        self.0.as_mut().ok_or_else(|| DbErr::Conn(RuntimeErr::Internal("the transaction has ended".into())))
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("depth", &self.depth).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.shared.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.lease().await?.get()?.execute(&statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.lease().await?.get()?.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.lease().await?.get()?.query_one(&statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.lease().await?.get()?.query_all(&statement).await
    }
}

#[async_trait::async_trait]
impl TransactionSession for Tx {
    async fn commit(self) -> Result<(), DbErr> {
        match &self.savepoint {
            None => {
                let ended = self.end("COMMIT").await;
                self.shared.lease.lock().await.take();
                ended
            }
            Some(savepoint) => {
                let sql = format!("RELEASE SAVEPOINT s{}", self.depth);
                self.lease().await?.get()?.control(&sql).await.map_err(exec_error)?;
                savepoint.open.store(false, Ordering::Release);
                Ok(())
            }
        }
    }

    async fn rollback(self) -> Result<(), DbErr> {
        match &self.savepoint {
            None => {
                let ended = self.end("ROLLBACK").await;
                self.shared.lease.lock().await.take();
                ended
            }
            Some(savepoint) => {
                let sql = format!("ROLLBACK TO SAVEPOINT s{}", self.depth);
                self.lease().await?.get()?.control(&sql).await.map_err(exec_error)?;
                savepoint.open.store(false, Ordering::Release);
                Ok(())
            }
        }
    }
}

/// Within a transaction, `begin` is a savepoint on the same connection.
#[async_trait::async_trait]
impl TransactionTrait for Tx {
    type Transaction = Tx;

    async fn begin(&self) -> Result<Tx, DbErr> {
        let depth = self.depth + 1;
        self.lease().await?.get()?.control(&format!("SAVEPOINT s{depth}")).await.map_err(exec_error)?;
        let open = std::sync::atomic::AtomicBool::new(true);
        let savepoint = Arc::new(Savepoint { shared: self.shared.clone(), depth, open });
        Ok(Tx { shared: self.shared.clone(), depth, savepoint: Some(savepoint) })
    }

    /// The configuration is the whole transaction's; a savepoint has none of its own.
    async fn begin_with_config(
        &self,
        _isolation_level: Option<IsolationLevel>,
        _access_mode: Option<AccessMode>,
    ) -> Result<Tx, DbErr> {
        TransactionTrait::begin_with_options(self, TransactionOptions::default()).await
    }

    async fn begin_with_options(&self, _options: TransactionOptions) -> Result<Tx, DbErr> {
        #[expect(clippy::disallowed_methods, reason = "this is what it is made of")]
        TransactionTrait::begin(self).await
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let savepoint = self.begin_with_options(TransactionOptions::default()).await;
        savepoint.map_err(TransactionError::Connection)?.finish(callback).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        _isolation_level: Option<IsolationLevel>,
        _access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let savepoint = self.begin_with_options(TransactionOptions::default()).await;
        savepoint.map_err(TransactionError::Connection)?.finish(callback).await
    }
}
