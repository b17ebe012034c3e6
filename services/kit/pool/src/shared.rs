//! What all handles of a pool share.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, Statement};
use selvage_context::deadline;
use tokio::time::Instant;

use crate::connection::Options;
use crate::failure::{self, conn_error};
use crate::gate::{Class, Gate, Lent, Reason, Refusal};
use crate::latency::Latency;
use crate::lease::Lease;
use crate::metrics::Meters;
use crate::slot::Slot;
use crate::spans::Spans;
use crate::strand::Stranded;
use crate::waits::Waiting;
use crate::watch::{Holders, Operation};
use crate::writer::Place;
use crate::{Config, OpenError};

/// What a pool looks like at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The limit is never set below.
    pub floor: u32,
    /// Connections at the most.
    pub limit: u32,
    /// The limit is never set above.
    pub ceiling: u32,
    /// Connections that exist: being made, idle, in use, being closed, or stranded.
    pub open: u32,
    /// Those that wait to be used.
    pub idle: u32,
    /// Those handed out.
    pub in_use: u32,
    /// Those being made.
    pub opening: u32,
    /// Those that we ended and that the server may still have.
    pub stranded: u32,
    /// Those beyond the limit, after it was lowered.
    pub debt: u32,
    /// Those that listen for notifications, beside the limit and not counted in `open`.
    pub listening: u32,
    /// Callers who wait for one, or for the place of SQLite's one writer.
    pub waiting: u32,
    /// The mean time of the last uses, about 31.
    pub use_time: Option<Duration>,
    /// Somebody was refused for want of a connection during the last second, or has always been waiting during it.
    pub saturated: bool,
    /// No connection could be made when it was last tried.
    pub unreachable: bool,
    /// Operations that hold a connection for longer than `long_lease` now.
    pub long_held: u32,
    /// How often one did, since the pool was opened.
    pub long_leases: u64,
    /// Statements so far, `BEGIN`, `COMMIT` and their like not counted.
    pub statements: u64,
    /// Transactions committed so far.
    pub transactions: u64,
    /// Transactions that were done again because the database asked for it.
    pub retries: u64,
    /// Callers who were refused for want of a connection.
    pub timeouts: u64,
    /// Those who got none, by class and reason.
    pub refused: [[u64; Reason::ALL.len()]; Class::ALL.len()],
}

/// Counts that only grow.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) statements: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) long_leases: AtomicU64,
    /// Connections whose callers had gone in the middle of a statement, and which came to its end in time.
    pub(crate) cleaned: AtomicU64,
}

/// The database can't be reached.
struct Unreached {
    since: Instant,
    failures: u32,
    error: Arc<sqlx::Error>,
}

/// What all handles of a pool share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) options: Options,
    pub(crate) gate: Arc<Gate<Slot>>,
    pub(crate) holders: Holders,
    pub(crate) totals: Totals,
    pub(crate) meters: Meters,
    pub(crate) spans: Spans,
    pub(crate) waits: Waiting,
    /// What each statement is delayed by.
    pub(crate) latency: Latency,
    /// The stranded are being looked after.
    pub(crate) looking: AtomicBool,
    stranded: Mutex<Vec<Stranded>>,
    unreached: Mutex<Option<Unreached>>,
    /// Connections that listen, beside the limit.
    pub(crate) listening: Arc<AtomicU32>,
    writers_waiting: AtomicU32,
    writers_refused: [[AtomicU64; Reason::ALL.len()]; Class::ALL.len()],
    closed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(config: Config, options: Options) -> Self {
        let limits = config.limits();
        Self {
            meters: Meters::new(&config.name),
            spans: Spans::new(&config.name, options.attributes()),
            gate: Arc::new(Gate::new(limits)),
            holders: Holders::new(limits.ceiling),
            config,
            options,
            totals: Totals::default(),
            waits: Waiting::default(),
            latency: Latency::default(),
            looking: AtomicBool::new(false),
            stranded: Mutex::default(),
            unreached: Mutex::default(),
            listening: Arc::default(),
            writers_waiting: AtomicU32::new(0),
            writers_refused: Default::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// An operation of the pool's own.
    #[track_caller]
    pub(crate) fn own(&self, name: &'static str) -> Operation {
        Operation { name, class: Class::Normal, site: std::panic::Location::caller() }
    }

    /// When a caller that asks now has waited for long enough.
    pub(crate) fn patience(&self, class: Class) -> Instant {
        let latest = Instant::now() + self.config.patience(class);
        deadline::current().map_or(latest, |deadline| deadline.min(latest))
    }

    /// A live connection, within the caller's patience. `until` is given by those who have waited for something else
    /// before.
    pub(crate) async fn lease(self: &Arc<Self>, operation: Operation, until: Option<Instant>) -> Result<Lease, DbErr> {
        let until = until.unwrap_or_else(|| self.patience(operation.class));
        let (asked, span) = (Instant::now(), self.spans.wait(&operation));
        let mut slot = self.gate.acquire(operation.class, until).await;
        loop {
            let got = match slot {
                Ok(slot) => slot,
                Err(refusal) => {
                    span.failed(refusal.reason.name());
                    return Err(self.refused(refusal));
                }
            };
            let mut lease = Lease::new(self.clone(), got, operation);
            if lease.is_fresh() || lease.ping(until).await {
                span.ended();
                self.meters.waited(asked.elapsed());
                return Ok(lease);
            }
            drop(lease);
            slot = self.gate.acquire_again(operation.class, until).await;
        }
    }

    /// The place of SQLite's one writer.
    pub(crate) async fn writing(
        &self,
        place: &Arc<Place>,
        operation: &Operation,
        until: Instant,
    ) -> Result<Lent<()>, DbErr> {
        let (_waiting, span) = (Writing::start(&self.writers_waiting), self.spans.wait(operation));
        match place.acquire(operation.class, until).await {
            Ok(place) => {
                span.ended();
                Ok(place)
            }
            Err(refusal) => {
                span.failed(refusal.reason.name());
                let refused = &self.writers_refused[operation.class as usize][refusal.reason as usize];
                refused.fetch_add(1, Ordering::Relaxed);
                Err(failure::refused(refusal))
            }
        }
    }

    /// A refusal, or what keeps us from connecting if there is no connection at all.
    fn refused(&self, refusal: Refusal) -> DbErr {
        let counts = self.gate.look().counts;
        let without = refusal.reason.is_want() && counts.idle + counts.lent == 0;
        if refusal.reason != Reason::Unreachable && !without {
            return failure::refused(refusal);
        }
        match &*self.unreached.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(unreached) => DbErr::Conn(RuntimeErr::SqlxError(unreached.error.clone())),
            None => conn_error(failure::silent("take a connection", self.config.max_wait)),
        }
    }

    /// A connection couldn't be made; how often in a row.
    pub(crate) fn unreached(&self, error: sqlx::Error) -> u32 {
        let mut unreached = self.unreached.lock().unwrap_or_else(PoisonError::into_inner);
        let error = Arc::new(error);
        match &mut *unreached {
            Some(known) => {
                known.failures += 1;
                known.error = error;
                known.failures
            }
            none => {
                tracing::warn!(pool = self.config.name, error = %error, "no connection can be made; it is tried again");
                *none = Some(Unreached { since: Instant::now(), failures: 1, error });
                1
            }
        }
    }

    /// A connection was made; since when none could be, if so.
    pub(crate) fn reached(&self) -> Option<Instant> {
        let unreached = self.unreached.lock().unwrap_or_else(PoisonError::into_inner).take();
        unreached.map(|unreached| unreached.since)
    }

    pub(crate) fn stranded(&self) -> MutexGuard<'_, Vec<Stranded>> {
        self.stranded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends what is there; what is in use ends when it comes back.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.gate.close();
        let stranded = std::mem::take(&mut *self.stranded());
        drop(stranded);
    }

    /// Whether the server has room for this pool by itself.
    pub(crate) async fn check_room(&self, lease: &mut Lease) -> Result<(), OpenError> {
        let Some(sql) = lease.room_sql() else { return Ok(()) };
        let statement = Statement::from_string(sea_orm::DbBackend::Postgres, sql);
        let failed = |error: &DbErr| OpenError::connect(&self.config.name, error);
        let Some(row) = lease.query_one(&statement).await.map_err(|error| failed(&error))? else { return Ok(()) };
        let number = |index| row.try_get_by_index::<i32>(index).map_err(|error| failed(&error));
        let (max, reserved, role) = (number(0)?, number(1)?, number(2)?);
        let ceiling = self.config.limits().ceiling + self.config.listeners;
        let room = if role >= 0 { role.min(max - reserved) } else { max - reserved };
        if i64::from(ceiling) <= i64::from(room) {
            return Ok(());
        }
        let by_role = if role >= 0 { format!(", and its role at most {role}") } else { String::new() };
        Err(self.config.wrong(format!(
            "it may open {ceiling} connections, but the server gives {max} − {reserved} reserved = {} to ordinary \
             roles{by_role}: lower its limit or ceiling, or raise the server's max_connections",
            max - reserved
        )))
    }

    pub(crate) fn snapshot(&self, writer: Option<&Place>) -> Snapshot {
        let look = self.gate.look();
        let mut refused = look.refused;
        for (mine, writers) in refused.iter_mut().flatten().zip(self.writers_refused.iter().flatten()) {
            *mine += writers.load(Ordering::Relaxed);
        }
        let total = |total: &AtomicU64| total.load(Ordering::Relaxed);
        let writers_waiting = self.writers_waiting.load(Ordering::Relaxed);
        let for_want = |class: &[u64; Reason::ALL.len()]| -> u64 {
            Reason::ALL.iter().filter(|reason| reason.is_want()).map(|reason| class[*reason as usize]).sum()
        };
        Snapshot {
            floor: look.limits.floor,
            limit: look.limits.limit,
            ceiling: look.limits.ceiling,
            open: look.counts.open(),
            idle: look.counts.idle,
            in_use: look.counts.lent,
            opening: look.counts.opening,
            stranded: look.counts.stranded,
            debt: look.debt(),
            listening: self.listening.load(Ordering::Relaxed),
            waiting: look.waiting.iter().sum::<u32>() + writers_waiting,
            use_time: look.use_time,
            saturated: look.saturated || (writers_waiting > 0 && writer.is_some_and(|writer| writer.look().saturated)),
            unreachable: self.unreached.lock().unwrap_or_else(PoisonError::into_inner).is_some(),
            long_held: u32::try_from(self.holders.long(self.config.long_lease).len()).unwrap_or(u32::MAX),
            long_leases: total(&self.totals.long_leases),
            statements: total(&self.totals.statements),
            transactions: total(&self.totals.transactions),
            retries: total(&self.totals.retries),
            timeouts: refused.iter().map(for_want).sum(),
            refused,
        }
    }
}

/// Counts one who waits for the writer's place.
struct Writing<'a>(&'a AtomicU32);

impl<'a> Writing<'a> {
    fn start(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
