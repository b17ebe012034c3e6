//! The gate: who may use a slot, and the connections that wait to be used.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{ConnAcquireErr, DbErr};
use selvage_context::deadline;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

use crate::Config;
use crate::connection::Options;
use crate::failure::{self, conn_error};
use crate::lease::Lease;
use crate::slot::{Open, Slot};

/// How long a pool that closes waits for those inside: 4 × the 5 s that a statement may take by default. Who holds a
/// connection for longer is not waited for; it is closed when it comes back.
const CLOSE_WAIT: Duration = Duration::from_secs(20);

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
    slot: Slot,
    since: Instant,
}

/// Hands out slots. A slot is a permit of the semaphore, which serves in the order of asking; its connection is made when
/// it is first needed.
pub(crate) struct Gate {
    pub(crate) config: Config,
    options: Options,
    permits: Arc<Semaphore>,
    /// The last one that came back is the first to go out: the others may grow old and be closed. `None` once the pool
    /// is closed: what comes back later has no place here.
    idle: Mutex<Option<Vec<Idle>>>,
    /// New callers are refused.
    closing: AtomicBool,
    open: Arc<AtomicU32>,
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
            idle: Mutex::new(Some(Vec::new())),
            closing: AtomicBool::new(false),
            open: Arc::default(),
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

    /// When a caller that asks now has waited for long enough.
    pub(crate) fn patience(&self) -> Instant {
        let latest = Instant::now() + self.config.max_wait;
        deadline::current().map_or(latest, |deadline| deadline.min(latest))
    }

    /// A slot with a live connection, all in all within the caller's patience. `until` is given by those who have waited
    /// for something else before.
    pub(crate) async fn acquire(self: &Arc<Self>, until: Option<Instant>) -> Result<Lease, DbErr> {
        let until = until.unwrap_or_else(|| self.patience());
        let permit = self.permit(until).await?;
        self.in_use.fetch_add(1, Ordering::Relaxed);
        // From here on the lease gives everything back, wherever this future is dropped.
        let mut lease = Lease::new(self.clone(), permit);
        while let Some(idle) = self.pop() {
            let rested = idle.since.elapsed();
            lease.put(idle.slot);
            if rested < self.config.idle_ping_after || lease.ping(until).await {
                return Ok(lease);
            }
            lease.discard(until).await;
        }
        lease.connect(until).await?;
        Ok(lease)
    }

    async fn permit(&self, until: Instant) -> Result<OwnedSemaphorePermit, DbErr> {
        if self.closing.load(Ordering::Acquire) {
            return Err(closed());
        }
        let permits = self.permits.clone();
        match permits.clone().try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(TryAcquireError::Closed) => Err(closed()),
            Err(TryAcquireError::NoPermits) => self.bounded(permits.acquire_owned(), until).await,
        }
    }

    /// Waits for `place`, in a queue of bounded length and until a moment.
    pub(crate) async fn bounded(
        &self,
        place: impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>,
        until: Instant,
    ) -> Result<OwnedSemaphorePermit, DbErr> {
        let waiting = Waiting::start(&self.waiting);
        if waiting.place <= self.config.max_waiting() && until > Instant::now() {
            match tokio::time::timeout_at(until, place).await {
                Ok(Ok(permit)) => return Ok(permit),
                Ok(Err(_closed)) => return Err(closed()),
                Err(_elapsed) => {}
            }
        }
        self.totals.timeouts.fetch_add(1, Ordering::Relaxed);
        Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
    }

    /// Makes a connection, until a moment; it counts as open from before the server can see it.
    pub(crate) async fn connect(&self, until: Instant) -> Result<Slot, DbErr> {
        let open = Open::start(&self.open);
        let bound = self.connect_bound(until);
        match tokio::time::timeout(bound, self.options.connect()).await {
            Ok(Ok(connection)) => Ok(Slot::new(connection, open)),
            Ok(Err(error)) => Err(conn_error(error)),
            Err(_) => Err(conn_error(failure::silent("take the connection", bound))),
        }
    }

    /// How long may be spent on making or ending a connection by one whose patience ends then.
    pub(crate) fn connect_bound(&self, until: Instant) -> Duration {
        self.config.connect_timeout.min(until.saturating_duration_since(Instant::now()))
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<Idle> {
        self.idle().as_mut()?.pop()
    }

    /// Takes a connection back that is fit for the next; gives it back if there is no next.
    pub(crate) fn push(&self, slot: Slot) -> Result<(), Slot> {
        match self.idle().as_mut() {
            Some(idle) => {
                idle.push(Idle { slot, since: Instant::now() });
                Ok(())
            }
            None => Err(slot),
        }
    }

    /// A connection was found broken, and so may all be that were made before: the idle ones are asked before they are
    /// handed out.
    pub(crate) fn suspect_idle(&self) {
        let long_ago = Instant::now().checked_sub(self.config.idle_ping_after);
        for idle in self.idle().iter_mut().flatten() {
            idle.since = long_ago.unwrap_or(idle.since);
        }
    }

    pub(crate) fn returned(&self) {
        self.in_use.fetch_sub(1, Ordering::Relaxed);
    }

    /// Refuses new callers, waits for the leases, and closes each connection.
    pub(crate) async fn close(&self) {
        self.closing.store(true, Ordering::Release);
        // First come, first served: those who wait already come before.
        let leases = self.permits.acquire_many(self.config.limit);
        let held = tokio::time::timeout(CLOSE_WAIT, leases).await;
        self.permits.close();
        let idle = self.idle().take().unwrap_or_default();
        let bound = self.config.connect_timeout;
        futures::future::join_all(idle.into_iter().map(|idle| idle.slot.close(bound))).await;
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
