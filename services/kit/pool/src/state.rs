//! What all handles of a pool share.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use selvage_context::deadline;
use tokio::time::Instant;

use crate::Config;
use crate::gate::{Class, Gate};
use crate::generation::Generation;
use crate::latency::Latency;
use crate::meters::Meters;
use crate::options::Options;
use crate::pooled::Pooled;
use crate::reachability::Reachability;
use crate::spans::Spans;
use crate::stranded::StrandedList;
use crate::uses::Uses;
use crate::waits::Waiting;
use crate::watch::{Holders, Operation};
use crate::writer::Writer;

/// Counts that only grow.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) statements: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) long_leases: AtomicU64,
}

/// What all handles of a pool share.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) options: Options,
    pub(crate) gate: Arc<Gate<Pooled>>,
    pub(crate) holders: Holders,
    pub(crate) totals: Totals,
    pub(crate) meters: Meters,
    pub(crate) spans: Spans,
    pub(crate) waits: Waiting,
    pub(crate) uses: Uses,
    /// What each statement is delayed by.
    pub(crate) latency: Latency,
    pub(crate) reachability: Reachability,
    pub(crate) stranded: StrandedList,
    pub(crate) generation: Generation,
    /// The one writer's turn, where the database is a SQLite file; known once the file is there.
    pub(crate) writer: OnceLock<Writer>,
    closed: AtomicBool,
}

impl State {
    pub(crate) fn new(config: Config, options: Options) -> Self {
        let mut limits = config.limits();
        if config.awaits_grant {
            limits.limit = 0;
        }
        Self {
            uses: Uses::default(),
            meters: Meters::new(&config.name),
            spans: Spans::new(&config.name, options.attributes()),
            gate: Arc::new(Gate::new(limits)),
            holders: Holders::new(limits.ceiling),
            config,
            options,
            totals: Totals::default(),
            waits: Waiting::default(),
            latency: Latency::default(),
            reachability: Reachability::default(),
            stranded: StrandedList::default(),
            generation: Generation::default(),
            writer: OnceLock::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// An operation of the pool's own.
    #[track_caller]
    pub(crate) fn own(name: &'static str, class: Class) -> Operation {
        Operation { name, class, site: Location::caller() }
    }

    /// When a caller that asks now has waited for long enough.
    pub(crate) fn patience(&self, class: Class) -> Instant {
        let latest = Instant::now() + self.config.patience(class);
        deadline::current().map_or(latest, |deadline| deadline.min(latest))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends what is there; what is in use ends when it comes back.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.gate.close();
        self.stranded.forget_all();
    }
}
