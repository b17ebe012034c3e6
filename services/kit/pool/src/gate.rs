//! The gate: who may use a slot, and the connections that wait to be used.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use selvage_context::deadline;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

use crate::Config;
use crate::connection::{Connection, Options};
use crate::lease::Lease;

/// What a pool looks like at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections at the most.
    pub limit: u32,
    /// Connections that exist, those that are being closed included.
    pub open: u32,
    /// Slots handed out.
    pub in_use: u32,
    /// Callers who wait for a slot.
    pub waiting: u32,
    /// Statements so far, `BEGIN`, `COMMIT` and their like not counted.
    pub statements: u64,
    /// Transactions committed so far.
    pub transactions: u64,
    /// Transactions that were done again because the database asked for it.
    pub retries: u64,
    /// Callers who were refused for want of a slot.
    pub timeouts: u64,
}

/// Counts that only grow.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) statements: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) retries: AtomicU64,
    timeouts: AtomicU64,
}

/// A connection that waits to be used.
struct Idle {
    connection: Connection,
    since: Instant,
}

/// Hands out slots. A slot is a permit of the semaphore, which serves in the order of asking; its connection is made when
/// it is first needed.
pub(crate) struct Gate {
    pub(crate) config: Config,
    options: Options,
    permits: Arc<Semaphore>,
    /// The last one that came back is the first to go out: the others may grow old and be closed.
    idle: Mutex<Vec<Idle>>,
    open: AtomicU32,
    in_use: AtomicU32,
    waiting: AtomicU32,
    pub(crate) totals: Totals,
}

impl Gate {
    pub(crate) fn new(config: Config, options: Options) -> Self {
        let permits = Arc::new(Semaphore::new(usize::try_from(config.limit).unwrap_or(Semaphore::MAX_PERMITS)));
        Self {
            config,
            options,
            permits,
            idle: Mutex::default(),
            open: AtomicU32::new(0),
            in_use: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            totals: Totals::default(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.config.limit,
            open: self.open.load(Ordering::Relaxed),
            in_use: self.in_use.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            statements: self.totals.statements.load(Ordering::Relaxed),
            transactions: self.totals.transactions.load(Ordering::Relaxed),
            retries: self.totals.retries.load(Ordering::Relaxed),
            timeouts: self.totals.timeouts.load(Ordering::Relaxed),
        }
    }

    /// A slot with a live connection.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Lease, DbErr> {
        let permit = self.permit().await?;
        self.in_use.fetch_add(1, Ordering::Relaxed);
        // From here on the lease gives everything back, wherever this future is dropped.
        let mut lease = Lease::new(self.clone(), permit);
        while let Some(idle) = self.pop() {
            let rested = idle.since.elapsed();
            lease.put(idle.connection);
            if rested < self.config.idle_ping_after || lease.ping().await {
                return Ok(lease);
            }
            lease.discard().await;
        }
        lease.connect().await?;
        Ok(lease)
    }

    async fn permit(self: &Arc<Self>) -> Result<OwnedSemaphorePermit, DbErr> {
        let permits = self.permits.clone();
        match permits.clone().try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(TryAcquireError::Closed) => Err(closed()),
            Err(TryAcquireError::NoPermits) => self.bounded(permits.acquire_owned()).await,
        }
    }

    /// Waits for `place`, in a queue of bounded length and for a bounded time.
    pub(crate) async fn bounded(
        &self,
        place: impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>,
    ) -> Result<OwnedSemaphorePermit, DbErr> {
        let waiting = Waiting::start(&self.waiting);
        let bound = deadline::remaining().map_or(self.config.max_wait, |left| left.min(self.config.max_wait));
        if waiting.place <= self.config.max_waiting() && !bound.is_zero() {
            match tokio::time::timeout(bound, place).await {
                Ok(Ok(permit)) => return Ok(permit),
                Ok(Err(_closed)) => return Err(closed()),
                Err(_elapsed) => {}
            }
        }
        self.totals.timeouts.fetch_add(1, Ordering::Relaxed);
        Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
    }

    /// Makes a connection; it counts as open from before the server can see it.
    pub(crate) async fn connect(&self) -> Result<Connection, DbErr> {
        let counted = Counted::start(&self.open);
        let made = tokio::time::timeout(self.config.connect_timeout, self.options.connect()).await;
        match made {
            Ok(Ok(connection)) => {
                counted.keep();
                Ok(connection)
            }
            Ok(Err(error)) => Err(DbErr::Conn(RuntimeErr::SqlxError(error.into()))),
            Err(_) => Err(DbErr::Conn(RuntimeErr::Internal(format!(
                "the database didn't take the connection within {:?}",
                self.config.connect_timeout
            )))),
        }
    }

    fn pop(&self) -> Option<Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Takes a connection back that is fit for the next.
    pub(crate) fn push(&self, connection: Connection) {
        let idle = Idle { connection, since: Instant::now() };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
    }

    /// A connection was found broken, and so may all be that were made before: the idle ones are asked before they are
    /// handed out.
    pub(crate) fn suspect_idle(&self) {
        let long_ago = Instant::now().checked_sub(self.config.idle_ping_after);
        for idle in self.idle.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            idle.since = long_ago.unwrap_or(idle.since);
        }
    }

    pub(crate) fn returned(&self) {
        self.in_use.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Refuses new callers, waits for the leases, and closes each connection.
    pub(crate) async fn close(&self) {
        let all = self.config.limit;
        let leases = self.permits.acquire_many(all);
        // A lease is bounded by its statements' time-outs; whoever holds one for longer is not waited for.
        let held = tokio::time::timeout(Duration::from_secs(20), leases).await;
        self.permits.close();
        while let Some(idle) = self.pop() {
            if let Err(error) = idle.connection.close().await {
                tracing::debug!(pool = self.config.name, error = %error, "a connection ended without a good-bye");
            }
            self.connection_closed();
        }
        drop(held);
    }
}

fn closed() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
}

/// Counts a caller who waits.
struct Waiting<'a> {
    count: &'a AtomicU32,
    place: u32,
}

impl<'a> Waiting<'a> {
    fn start(count: &'a AtomicU32) -> Self {
        Self { count, place: count.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a connection, and takes that back unless it is kept.
struct Counted<'a>(Option<&'a AtomicU32>);

impl<'a> Counted<'a> {
    fn start(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Some(count))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
