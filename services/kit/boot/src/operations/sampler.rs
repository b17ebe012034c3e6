//! Looks at the process's pools, and remembers the last minute.

use std::collections::VecDeque;
use std::time::Duration;

use selvage_context::clock::Clock;
use selvage_faults::{Faults, Policy};
use selvage_pool::{Pool, Waits, boot_id};
use selvage_proto::operations::v1::{CallSample, LimitChange, PoolSample, PoolStatus, ProcessStatus};
use selvage_proto::time::timestamp;

use super::totals::{Tally, Totals};
use super::{totals, view};

/// Pools of a process: the whole shop in one has six.
pub(super) const MAX_POOLS: usize = 16;
/// Tallies of a process.
pub(super) const MAX_TALLIES: usize = 8;
/// Samples that are kept: a minute. Of 16 pools at 48 bytes each they take 46 KB.
const KEPT: usize = 60;
/// Samples over which a wait's percentile is taken.
const WAITS_OVER: usize = 5;
/// Changes of limits that are kept.
const MAX_CHANGES: usize = 20;
/// The longest name of a host, by DNS.
const MAX_HOST_BYTES: usize = 253;
/// The share of waits that a percentile is of.
const P95: f64 = 0.95;

/// A pool that is looked at.
pub(super) struct Observed {
    pub(super) service: &'static str,
    pub(super) pool: Pool,
    pub(super) lockable: bool,
}

/// What is remembered of a pool.
struct Memory {
    observed: Observed,
    /// How long callers had waited, at each of the last looks; the newest last.
    waits: VecDeque<Waits>,
    history: VecDeque<PoolSample>,
    limit: u32,
}

/// Looks, each time it is told to.
pub(super) struct Sampler {
    pools: Vec<Memory>,
    tallies: Vec<Tally>,
    /// By the name that pods and machines have in their own environment.
    host: String,
    since_ms: i64,
    looks: u64,
    calls: VecDeque<CallSample>,
    changes: VecDeque<LimitChange>,
    faults: Faults,
    clock: Clock,
}

impl Sampler {
    pub(super) fn new(pools: Vec<Observed>, tallies: Vec<Tally>, faults: Faults, clock: Clock) -> Self {
        let remembered = pools.into_iter().map(|observed| Memory {
            waits: VecDeque::new(),
            history: VecDeque::new(),
            limit: observed.pool.snapshot().limit,
            observed,
        });
        let mut host = std::env::var("HOSTNAME").unwrap_or_default();
        host.truncate(host.floor_char_boundary(MAX_HOST_BYTES));
        Self {
            pools: remembered.collect(),
            tallies,
            host,
            since_ms: clock.now_ms(),
            looks: 0,
            calls: VecDeque::new(),
            changes: VecDeque::new(),
            faults,
            clock,
        }
    }

    /// Begins anew: what was seen before is of another time than what will be.
    pub(super) fn begin_anew(&mut self) {
        self.since_ms = self.clock.now_ms();
        self.calls.clear();
        for memory in &mut self.pools {
            memory.history.clear();
            memory.waits = VecDeque::from([memory.observed.pool.waits()]);
        }
    }

    /// How often it has looked.
    #[cfg(test)]
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }

    /// The process as it is now.
    pub(super) fn look(&mut self) -> ProcessStatus {
        let now_ms = self.clock.now_ms();
        self.looks += 1;
        let Totals { calls, tallies } = totals::read(&selvage_telemetry::metrics::families(), &self.tallies);
        keep(&mut self.calls, totals::sample(&calls), KEPT);
        let mut pools = Vec::with_capacity(self.pools.len());
        for memory in &mut self.pools {
            let (status, change) = memory.look(now_ms);
            pools.push(status);
            if let Some(change) = change {
                self.changes.push_front(change);
                self.changes.truncate(MAX_CHANGES);
            }
        }
        ProcessStatus {
            time: Some(timestamp(now_ms)),
            pools,
            calls,
            call_history: self.calls.iter().copied().collect(),
            tallies,
            // They are told as they are when somebody looks.
            faults: Vec::new(),
            faults_allowed: self.faults.policy() == Policy::Allow,
            dependencies: self.faults.dependencies().into_iter().map(str::to_owned).collect(),
            limit_changes: self.changes.iter().cloned().collect(),
            // That depends on who looks.
            may_start_faults: false,
            boot_id: boot_id().to_owned(),
            host: self.host.clone(),
            sampled_since: Some(timestamp(self.since_ms)),
            ..ProcessStatus::default()
        }
    }
}

impl Memory {
    fn look(&mut self, now_ms: i64) -> (PoolStatus, Option<LimitChange>) {
        let Observed { service, pool, lockable } = &self.observed;
        let (seen, waits) = (pool.snapshot(), pool.waits());
        let p95 = |before: Option<&Waits>| waits.since(before.unwrap_or(&waits)).percentile(P95);
        let (of_this_second, of_the_last) = (p95(self.waits.back()), p95(self.waits.front()));
        let refused = view::refused(&seen);
        let sample = PoolSample {
            limit: seen.limit,
            in_use: seen.in_use,
            waiting: seen.waiting,
            wait_p95_us: of_this_second.map_or(0, micros),
            refused: refused.iter().map(|refused| refused.count).sum(),
            saturated: seen.saturated,
        };
        let (long_held_count, long_held) = view::long_held(pool.long_held());
        let change = (seen.limit != self.limit).then(|| LimitChange {
            pool: pool.config().name.clone(),
            before: self.limit,
            after: seen.limit,
            time: Some(timestamp(now_ms)),
        });
        let mut status = PoolStatus {
            pool: pool.config().name.clone(),
            service: (*service).to_owned(),
            floor: seen.floor,
            limit: seen.limit,
            ceiling: seen.ceiling,
            open: seen.open,
            in_use: seen.in_use,
            idle: seen.idle,
            waiting: seen.waiting,
            wait_p95: of_the_last.map(view::duration),
            refused,
            saturated: seen.saturated,
            unreachable: seen.unreachable,
            stranded: seen.stranded,
            long_held_count,
            long_held,
            history: Vec::new(),
            lockable: *lockable,
        };
        self.limit = seen.limit;
        keep(&mut self.waits, waits, WAITS_OVER);
        keep(&mut self.history, sample, KEPT);
        status.history = self.history.iter().copied().collect();
        (status, change)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Adds the newest, and lets the oldest go beyond `most`.
fn keep<T>(kept: &mut VecDeque<T>, newest: T, most: usize) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(newest);
}
