//! What was observed, each with the moment at which it was.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::rules;
use crate::domain::ledger::{Standing, View};
use crate::domain::moment::Moment;

/// What is known of one database and its scalers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// What is known of each scaler; one that the spec doesn't name is passed over.
    pub scalers: Vec<ScalerSeen>,
    /// The last look at the database.
    pub probe: Option<Probe>,
}

/// What is known of one workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScalerSeen {
    /// The scaler's name.
    pub name: String,
    /// Replicas that the workload is asked to have.
    pub replicas: u32,
    /// Its pods that are ready. Those that start or terminate are the ledger's concern.
    pub pods: Vec<PodSeen>,
}

/// A ready pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodSeen {
    /// Which run of which pod: a container that was restarted is another.
    pub holder: String,
    /// Since when it is ready.
    pub ready_since: Moment,
    /// Its last report.
    pub report: Option<Report>,
}

/// What a pod says of its pools at one database: all of them together, and each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// When it arrived.
    pub at: Moment,
    /// Connections at the most.
    pub limit: u32,
    /// Connections that are open.
    pub open: u32,
    /// Connections that are in use.
    pub in_use: u32,
    /// Callers who wait for one.
    pub waiting: u32,
    /// Callers who got none since the pod started, whatever their class.
    pub refused: u64,
    /// Uses since the pod started.
    pub uses: Vec<Uses>,
    /// Each of its pools; none if there is only one.
    pub pools: Vec<PoolPart>,
    /// The lease that is held for longest.
    pub longest_lease: Option<Lease>,
    /// CPU in use, as a share of what it may use, if it is known.
    pub cpu: Option<f64>,
}

impl Report {
    /// Whether there is nothing in it. A pool has a limit of one at least, so this comes from a source that lost its values.
    pub(super) fn is_empty(&self) -> bool {
        self.limit == 0
    }

    /// Its pools; the one that it is about if it names none.
    pub(super) fn parts(&self) -> Cow<'_, [PoolPart]> {
        if !self.pools.is_empty() {
            let most = self.pools.len().min(rules::MAX_POOLS as usize);
            return Cow::Borrowed(&self.pools[..most]);
        }
        let used = self.uses.iter().take(rules::MAX_OPERATIONS as usize).fold((0, Duration::ZERO), |sum, uses| {
            (u64::saturating_add(sum.0, uses.count), sum.1.saturating_add(uses.time))
        });
        let Self { limit, in_use, waiting, refused, .. } = *self;
        Cow::Owned(vec![PoolPart { name: String::new(), limit, in_use, waiting, refused, uses: used }])
    }
}

/// What of a report is one pool's. A connection that is idle in another pool serves nobody who waits at this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolPart {
    /// The pool's name, the same in all pods of a workload.
    pub name: String,
    /// Connections at the most.
    pub limit: u32,
    /// Connections that are in use.
    pub in_use: u32,
    /// Callers who wait for one.
    pub waiting: u32,
    /// Callers who got none since the pod started.
    pub refused: u64,
    /// Uses since the pod started, and how long they took all together.
    pub uses: (u64, Duration),
}

/// Uses of connections under one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Uses {
    /// The operation's name.
    pub operation: String,
    /// How many ended.
    pub count: u64,
    /// How long they took, all together.
    pub time: Duration,
}

/// A connection that is in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// What uses it.
    pub operation: String,
    /// Since how long.
    pub held: Duration,
}

/// A look at the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// When it ended.
    pub at: Moment,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a look at the database.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It answered.
    Answered(Database),
    /// It has no slot left (SQLSTATE 53300).
    NoSlot,
    /// It didn't answer; why.
    Failed(String),
}

/// What the database said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Database {
    /// How long the fixed statement took.
    pub statement: Duration,
    /// Backends that are active on a CPU: they wait for nothing.
    pub on_cpu: u32,
    /// Active backends that wait for I/O.
    pub on_io: u32,
    /// Active backends that wait for a lock.
    pub on_locks: u32,
    /// Active backends that wait for something else.
    pub on_other: u32,
    /// Who holds what others wait for, the worst first.
    pub blockers: Vec<Blocker>,
}

impl Database {
    /// Active backends.
    pub(super) fn active(&self) -> u32 {
        [self.on_cpu, self.on_io, self.on_locks, self.on_other].into_iter().fold(0, u32::saturating_add)
    }
}

/// A backend that others wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its `application_name`.
    pub application: String,
    /// Its statement, shortened.
    pub query: String,
    /// How many wait for it.
    pub blocks: u32,
}

/// What a decision needs to know of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerView {
    /// Connections that all holders together may have.
    pub budget: u32,
    /// Connections that they are charged with.
    pub charged: u32,
    /// Connections that are kept for the floors of pods that may still come.
    pub set_aside: u32,
    /// Pods for which floors are set aside, by scaler. Nothing is known of one that isn't named.
    pub provided: BTreeMap<String, u32>,
    /// Who has connections that the ledger knows no reason for.
    pub exceeding: Vec<Exceeding>,
}

impl LedgerView {
    /// What a decision needs of `view`.
    pub fn of(view: &View) -> Self {
        let stray = |entry: &crate::domain::ledger::Entry| match entry.standing {
            Standing::Stray { sessions } => {
                let application = entry.boot.as_ref().map_or_else(String::new, |boot| format!("{boot}/"));
                Some(Exceeding { application: format!("{application}{}", entry.name), open: sessions })
            }
            _ => None,
        };
        Self {
            budget: view.budget,
            charged: view.charged,
            set_aside: view.set_aside,
            provided: view.scalers.iter().map(|(id, scaler)| (id.to_string(), scaler.provided)).collect(),
            exceeding: view.entries.iter().filter_map(stray).collect(),
        }
    }

    /// Connections that could be granted now.
    pub fn headroom(&self) -> u32 {
        self.budget.saturating_sub(self.charged).saturating_sub(self.set_aside)
    }
}

/// A client of the database of whose pod nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeding {
    /// Its `application_name`.
    pub application: String,
    /// Connections that the server shows.
    pub open: u32,
}
