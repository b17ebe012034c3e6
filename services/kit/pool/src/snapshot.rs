//! What a pool looks like at one moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::gate::{Class, Reason};
use crate::state::State;

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
    /// Those that we ended, that the server may still have and that `open` doesn't count, since the last slot was needed to
    /// look after them.
    pub uncounted: u32,
    /// Those beyond the limit, after it was lowered.
    pub debt: u32,
    /// Callers who wait for one, or for the turn of SQLite's one writer.
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
    /// Transactions and single statements that were done again because the database asked for it.
    pub retries: u64,
    /// Callers who were refused for want of a connection.
    pub timeouts: u64,
    /// Those who got none, by class and reason.
    pub refused: [[u64; Reason::ALL.len()]; Class::ALL.len()],
}

impl Snapshot {
    pub(crate) fn of(pool: &State) -> Self {
        let look = pool.gate.look();
        let mut refused = look.refused;
        let (mut writers_waiting, mut writers_saturated) = (0, false);
        if let Some(writer) = pool.writer.get() {
            writers_waiting = writer.waiting();
            writers_saturated = writers_waiting > 0 && writer.is_saturated();
            for (all, of_writers) in refused.iter_mut().flatten().zip(writer.refused().as_flattened()) {
                *all += of_writers;
            }
        }
        let total = |total: &AtomicU64| total.load(Ordering::Relaxed);
        let for_want = |class: &[u64; Reason::ALL.len()]| -> u64 {
            Reason::ALL.iter().filter(|reason| reason.is_want()).map(|reason| class[*reason as usize]).sum()
        };
        Self {
            floor: look.limits.floor,
            limit: look.limits.limit,
            ceiling: look.limits.ceiling,
            open: look.counts.open(),
            idle: look.counts.idle,
            in_use: look.counts.lent,
            opening: look.counts.opening,
            stranded: look.counts.stranded,
            uncounted: pool.stranded.uncounted(),
            debt: look.debt(),
            waiting: look.waiting.iter().sum::<u32>() + writers_waiting,
            use_time: look.use_time,
            saturated: look.saturated || writers_saturated,
            unreachable: pool.reachability.is_unreachable(),
            long_held: u32::try_from(pool.holders.long(pool.config.long_lease).count()).unwrap_or(u32::MAX),
            long_leases: total(&pool.totals.long_leases),
            statements: total(&pool.totals.statements),
            transactions: total(&pool.totals.transactions),
            retries: total(&pool.totals.retries),
            timeouts: refused.iter().map(for_want).sum(),
            refused,
        }
    }
}
