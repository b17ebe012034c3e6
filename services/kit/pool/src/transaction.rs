//! Transactions and savepoints.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{FutureExt as _, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, RuntimeErr, Statement,
    TransactionError, TransactionOptions, TransactionSession, TransactionTrait,
};
use selvage_context::deadline;
use selvage_context::lease::{Held, holding};
use selvage_conventions::{db, error};
use tokio::sync::{Mutex, MutexGuard};
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
    /// The savepoint that this handle is, if it isn't the transaction itself.
    savepoint: Option<Arc<Savepoint>>,
}

struct Shared {
    backend: DbBackend,
    lease: Mutex<Option<Lease>>,
    /// The savepoints that are open, each within the one before it.
    savepoints: std::sync::Mutex<Vec<Open>>,
    /// How many there were; each has a name of its own, so that a handle that is left over means no other's.
    named: AtomicU32,
}

struct Open {
    id: u32,
    /// Its last handle went without a word: it is rolled back before the next statement.
    abandoned: bool,
}

impl Shared {
    fn savepoints(&self) -> std::sync::MutexGuard<'_, Vec<Open>> {
        self.savepoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A savepoint has ended, and with it all those within it.
    fn ended(&self, id: u32) {
        let mut savepoints = self.savepoints();
        if let Some(place) = savepoints.iter().position(|open| open.id == id) {
            savepoints.truncate(place);
        }
    }
}

struct Savepoint {
    shared: Arc<Shared>,
    id: u32,
}

impl Drop for Savepoint {
    fn drop(&mut self) {
        for open in self.shared.savepoints().iter_mut().filter(|open| open.id == self.id) {
            open.abandoned = true;
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
    let operation = pool.operation();
    let span = tracing::debug_span!(
        "transaction",
        pool = pool.shared().config.name,
        name = operation.name,
        class = operation.class.name(),
        outcome = tracing::field::Empty,
        retries = tracing::field::Empty,
        wait_us = tracing::field::Empty,
        use_us = tracing::field::Empty,
    );
    let traced = pool.shared().spans.transaction(&operation);
    let seen = Seen::within(traced.clone());
    let work = attempts(pool, seen, work).instrument(span);
    match traced {
        Some(context) => work.with_context(context).await,
        None => work.await,
    }
}

async fn attempts<T, E, F, Fut>(pool: &Pool, mut seen: Seen, work: F) -> Result<T, E>
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<DbErr> + Send,
{
    let mut attempt = 1;
    loop {
        let asked = Instant::now();
        let begun = Tx::begin(pool).await;
        let began = Instant::now();
        seen.wait += began - asked;
        let tx = match begun {
            Ok(tx) => tx,
            Err(error) => {
                seen.outcome = "not_begun";
                return Err(error.into());
            }
        };
        let mut holding_pools = HOLDING.try_with(Clone::clone).unwrap_or_default();
        holding_pools.push(pool.identity());
        let result = HOLDING.scope(holding_pools, holding(work(tx.clone()))).await;
        let ended = match result {
            Ok(value) => tx.end_with_commit().await.map(|()| value).map_err(E::from),
            Err(error) => {
                tx.roll_back().await;
                Err(error)
            }
        };
        let retry_asked = tx.retry_asked().await;
        drop(tx);
        seen.used += began.elapsed();
        let totals = &pool.shared().totals;
        match ended {
            Ok(value) => {
                seen.outcome = "committed";
                totals.transactions.fetch_add(1, Ordering::Relaxed);
                return Ok(value);
            }
            Err(error) => {
                seen.outcome = "failed";
                let pause = FIRST_PAUSE * 2_u32.pow(attempt - 1);
                let in_time = deadline::remaining().is_none_or(|left| left > pause);
                if !retry_asked || attempt == ATTEMPTS || !in_time {
                    return Err(error);
                }
                totals.retries.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause).await;
                seen.outcome = "cancelled";
                seen.retries = attempt;
                attempt += 1;
            }
        }
    }
}

/// What the transaction's spans are told at its end, which may be anywhere: its future may be dropped.
struct Seen {
    traced: Option<Context>,
    outcome: &'static str,
    retries: u32,
    wait: Duration,
    used: Duration,
}

impl Seen {
    fn within(traced: Option<Context>) -> Self {
        Self { traced, outcome: "cancelled", retries: 0, wait: Duration::ZERO, used: Duration::ZERO }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        tracing::Span::current()
            .record("outcome", self.outcome)
            .record("retries", self.retries)
            .record("wait_us", micros(self.wait))
            .record("use_us", micros(self.used));
        if let Some(context) = &self.traced {
            let span = context.span();
            span.set_attribute(KeyValue::new(db::TRANSACTION_OUTCOME, self.outcome));
            if self.retries > 0 {
                span.set_attribute(KeyValue::new(db::TRANSACTION_RETRIES, i64::from(self.retries)));
            }
            if self.outcome != "committed" {
                span.set_attribute(KeyValue::new(error::TYPE, self.outcome));
            }
            span.end();
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Tx {
    pub(crate) async fn begin(pool: &Pool) -> Result<Self, DbErr> {
        // SQLite's plain BEGIN takes the file's lock at the first write, and fails there if another was quicker.
        let sql = if pool.backend() == DbBackend::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let mut lease = pool.writing_lease().await?;
        let mut begun = begin_on(&mut lease, sql).await;
        // A connection that died while it was idle shows it only now; nothing was done on it yet.
        if lease.is_broken() {
            drop(lease);
            lease = pool.writing_lease().await?;
            begun = begin_on(&mut lease, sql).await;
        }
        begun.map_err(exec_error)?;
        lease.held = Some(Held::start());
        Ok(Self {
            shared: Arc::new(Shared {
                backend: pool.backend(),
                lease: Mutex::new(Some(lease)),
                savepoints: std::sync::Mutex::default(),
                named: AtomicU32::new(0),
            }),
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

    /// The lease for a statement of this handle, with savepoints that were left without a word rolled back.
    async fn lease(&self) -> Result<Locked<'_>, DbErr> {
        let mut locked = Locked(self.shared.lease.lock().await);
        let abandoned = self.shared.savepoints().iter().find(|open| open.abandoned).map(|open| open.id);
        if let Some(id) = abandoned {
            locked.get()?.back_to(id).await?;
            // Only now: if this future is dropped before, the next one does it.
            self.shared.ended(id);
        }
        // PostgreSQL refuses by itself what comes after a failure. On SQLite it would be done outside the transaction.
        if self.shared.backend == DbBackend::Sqlite
            && let Some(why) = locked.get()?.given_up()
        {
            return Err(failure::given_up(why));
        }
        Ok(locked)
    }

    async fn savepoint(&self) -> Result<Tx, DbErr> {
        let id = self.shared.named.fetch_add(1, Ordering::Relaxed) + 1;
        let mut locked = self.lease().await?;
        locked.get()?.control(&format!("SAVEPOINT s{id}")).await.map_err(exec_error)?;
        // With the lease in hand, so that the order is the server's.
        self.shared.savepoints().push(Open { id, abandoned: false });
        let savepoint = Arc::new(Savepoint { shared: self.shared.clone(), id });
        Ok(Tx { shared: self.shared.clone(), savepoint: Some(savepoint) })
    }

    /// COMMIT; if there is nothing left to commit, ROLLBACK and the reason.
    async fn end_with_commit(&self) -> Result<(), DbErr> {
        let committed = match self.lease().await {
            Ok(mut locked) => locked.get()?.commit().await,
            Err(error) => Err(error),
        };
        if committed.is_err() {
            self.roll_back().await;
        }
        committed
    }

    async fn end_with_rollback(&self) -> Result<(), DbErr> {
        let mut locked = Locked(self.shared.lease.lock().await);
        let lease = locked.get()?;
        lease.control("ROLLBACK").await.map_err(exec_error)?;
        lease.in_transaction = false;
        Ok(())
    }

    async fn roll_back(&self) {
        let mut locked = self.shared.lease.lock().await;
        // What can't be rolled back is closed when the lease is dropped, which rolls it back.
        let Some(lease) = locked.as_mut().filter(|lease| !lease.is_broken()) else { return };
        match lease.control("ROLLBACK").await {
            Ok(()) => lease.in_transaction = false,
            Err(error) => tracing::debug!(error = %error, "a transaction ends with its connection"),
        }
    }

    async fn retry_asked(&self) -> bool {
        self.shared.lease.lock().await.take().is_some_and(|lease| lease.retry_asked)
    }
}

impl Lease {
    async fn back_to(&mut self, savepoint: u32) -> Result<(), DbErr> {
        self.control(&format!("ROLLBACK TO SAVEPOINT s{savepoint}")).await.map_err(exec_error)?;
        self.taken_back();
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), DbErr> {
        if let Some(why) = self.given_up() {
            return Err(failure::given_up(why));
        }
        let Err(error) = self.control("COMMIT").await else {
            self.in_transaction = false;
            return Ok(());
        };
        if self.is_broken() {
            // Whatever was seen before: what may have been committed isn't done again.
            self.retry_asked = false;
            return Err(failure::outcome_unknown(&error));
        }
        Err(exec_error(error))
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
        let savepoint = self.savepoint.as_ref().map(|savepoint| savepoint.id);
        f.debug_struct("Tx").field("savepoint", &savepoint).finish_non_exhaustive()
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
                let ended = self.end_with_commit().await;
                self.shared.lease.lock().await.take();
                ended
            }
            Some(savepoint) => {
                let sql = format!("RELEASE SAVEPOINT s{}", savepoint.id);
                let mut locked = self.lease().await?;
                locked.get()?.control(&sql).await.map_err(exec_error)?;
                self.shared.ended(savepoint.id);
                Ok(())
            }
        }
    }

    async fn rollback(self) -> Result<(), DbErr> {
        match &self.savepoint {
            None => {
                let ended = self.end_with_rollback().await;
                self.shared.lease.lock().await.take();
                ended
            }
            Some(savepoint) => {
                let mut locked = Locked(self.shared.lease.lock().await);
                locked.get()?.back_to(savepoint.id).await?;
                self.shared.ended(savepoint.id);
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
        self.savepoint().await
    }

    /// The configuration is the whole transaction's; a savepoint has none of its own.
    async fn begin_with_config(
        &self,
        _isolation_level: Option<IsolationLevel>,
        _access_mode: Option<AccessMode>,
    ) -> Result<Tx, DbErr> {
        self.savepoint().await
    }

    async fn begin_with_options(&self, _options: TransactionOptions) -> Result<Tx, DbErr> {
        self.savepoint().await
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.savepoint().await.map_err(TransactionError::Connection)?.finish(callback).await
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
        self.savepoint().await.map_err(TransactionError::Connection)?.finish(callback).await
    }
}
