//! Metrics by OpenTelemetry's conventions for connection pools, and beyond them under `selvage.pool`. Gauges are observed
//! when they are asked for and cost nothing else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use selvage_conventions::db;

use crate::gate::{Class, Reason};
use crate::meters::meter;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Readers of metrics that may look at the same time: Prometheus' and the one that sends by OTLP, and as many to spare.
const READERS: usize = 4;

/// A pool that may be gone, as the instruments of one scrape see it.
///
/// OpenTelemetry's library calls the callbacks of a scrape one after the other on the reader's thread, in the order in which they
/// were registered. The first of a pool's takes a snapshot, and all others show that one.
struct Observed {
    pool: [KeyValue; 1],
    state: Weak<State>,
    /// The last snapshot of each reader's thread.
    scraped: Mutex<VecDeque<(ThreadId, Option<Snapshot>)>>,
}

impl Observed {
    fn of(state: &Arc<State>) -> Arc<Self> {
        let pool = [KeyValue::new(db::POOL_NAME, Arc::<str>::from(state.config.name.as_str()))];
        Arc::new(Self { pool, state: Arc::downgrade(state), scraped: Mutex::default() })
    }

    fn scraped(&self) -> MutexGuard<'_, VecDeque<(ThreadId, Option<Snapshot>)>> {
        self.scraped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first callback of a scrape.
    fn begin_scrape(&self) -> Option<Snapshot> {
        let state = self.state.upgrade().filter(|state| !state.is_closed());
        let (seen, thread) = (state.map(|state| Snapshot::of(&state)), std::thread::current().id());
        let mut scraped = self.scraped();
        scraped.retain(|(of, _)| *of != thread);
        scraped.truncate(READERS - 1);
        scraped.push_front((thread, seen));
        seen
    }

    /// The others.
    fn snapshot(&self) -> Option<Snapshot> {
        let thread = std::thread::current().id();
        self.scraped().iter().find(|(of, _)| *of == thread).and_then(|(_, seen)| *seen)
    }

    fn with(&self, more: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
        self.pool.iter().cloned().chain(more).collect()
    }

    fn connections(&self, instrument: &dyn AsyncInstrument<i64>) {
        let Some(seen) = self.begin_scrape() else { return };
        for (state, count) in [("idle", seen.idle), ("used", seen.in_use)] {
            instrument.observe(count.into(), &self.with([KeyValue::new(db::CONNECTION_STATE, state)]));
        }
    }

    fn refusals(&self, instrument: &dyn AsyncInstrument<u64>) {
        let Some(seen) = self.snapshot() else { return };
        for class in Class::ALL {
            for reason in Reason::ALL {
                let which = [KeyValue::new(db::CLASS, class.name()), KeyValue::new(db::REASON, reason.name())];
                instrument.observe(seen.refused[class as usize][reason as usize], &self.with(which));
            }
        }
    }
}

type Number = fn(&Snapshot) -> u64;

/// Up-down counters: what is counted now. From 0 at the start, so that an alert needn't wait for the first.
const NOW: [(&str, &str, &str, Number); 4] = [
    ("db.client.connection.max", "{connection}", "The maximum number of open connections allowed.", |pool| {
        pool.limit.into()
    }),
    ("db.client.connection.idle.min", "{connection}", "The minimum number of idle open connections allowed.", |pool| {
        pool.floor.into()
    }),
    (
        "db.client.connection.pending_requests",
        "{request}",
        "The number of current pending requests for an open connection.",
        |pool| pool.waiting.into(),
    ),
    ("selvage.pool.open", "{connection}", "Connections that the limit counts, whatever their state.", |pool| {
        pool.open.into()
    }),
];

const GAUGES: [(&str, &str, &str, Number); 8] = [
    ("selvage.pool.limit", "{connection}", "Connections that may be open now.", |pool| pool.limit.into()),
    ("selvage.pool.ceiling", "{connection}", "Connections that the limit may be raised to.", |pool| {
        pool.ceiling.into()
    }),
    ("selvage.pool.debt", "{connection}", "Connections beyond a limit that was lowered.", |pool| pool.debt.into()),
    ("selvage.pool.stranded", "{connection}", "Connections ended by us that the server may still have.", |pool| {
        pool.stranded.into()
    }),
    ("selvage.pool.opening", "{connection}", "Connections that are being made.", |pool| pool.opening.into()),
    ("selvage.pool.long_held", "{connection}", "Connections held for longer than makes sense.", |pool| {
        pool.long_held.into()
    }),
    (
        "selvage.pool.saturated",
        "{state}",
        "1 if somebody was refused, or always waiting, during the last second.",
        |pool| pool.saturated.into(),
    ),
    ("selvage.pool.unreachable", "{state}", "1 if no connection could be made when it was last tried.", |pool| {
        pool.unreachable.into()
    }),
];

const COUNTERS: [(&str, &str, &str, Number); 5] = [
    (
        "db.client.connection.timeouts",
        "{timeout}",
        "The number of connection timeouts that have occurred trying to obtain a connection from the pool.",
        |pool| pool.refused.iter().map(|class| class[Reason::Waited as usize]).sum(),
    ),
    ("selvage.pool.statements", "{statement}", "Statements run, transaction control not counted.", |pool| {
        pool.statements
    }),
    ("selvage.pool.transactions", "{transaction}", "Transactions committed.", |pool| pool.transactions),
    (
        "selvage.pool.retries",
        "{transaction}",
        "Transactions and statements done again because the database asked for it.",
        |pool| pool.retries,
    ),
    (
        "selvage.pool.long_leases",
        "{connection}",
        "How often a connection was held for longer than makes sense.",
        |pool| pool.long_leases,
    ),
];

/// Lets it be observed how often this process called another with a connection held, which should stay 0 for ever.
fn observe_held_across_calls(meter: &Meter) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        meter
            .u64_observable_counter("selvage.pool.held_across_calls")
            .with_unit("{call}")
            .with_description("Network calls made while a connection was held.")
            .with_callback(|instrument| instrument.observe(selvage_context::lease::violations(), &[]))
            .build();
    });
}

/// Lets the pool be observed for as long as it is open.
pub(crate) fn observe(state: &Arc<State>) {
    let observed = Observed::of(state);
    let meter = meter();
    observe_held_across_calls(&meter);
    let all = observed.clone();
    // The first, which takes the snapshot.
    meter
        .i64_observable_up_down_counter("db.client.connection.count")
        .with_unit("{connection}")
        .with_description("The number of connections that are currently in state described by the state attribute.")
        .with_callback(move |instrument| all.connections(instrument))
        .build();
    let all = observed.clone();
    meter
        .u64_observable_counter("selvage.pool.refused")
        .with_unit("{request}")
        .with_description("Requests that got no connection, by class and reason.")
        .with_callback(move |instrument| all.refusals(instrument))
        .build();
    for (name, unit, description, number) in NOW {
        let all = observed.clone();
        let callback = move |instrument: &dyn AsyncInstrument<i64>| {
            if let Some(seen) = all.snapshot() {
                instrument.observe(i64::try_from(number(&seen)).unwrap_or(i64::MAX), &all.pool);
            }
        };
        let builder = meter.i64_observable_up_down_counter(name).with_unit(unit).with_description(description);
        builder.with_callback(callback).build();
    }
    for (name, unit, description, number) in GAUGES {
        let all = observed.clone();
        let callback = move |instrument: &dyn AsyncInstrument<u64>| {
            if let Some(seen) = all.snapshot() {
                instrument.observe(number(&seen), &all.pool);
            }
        };
        let builder = meter.u64_observable_gauge(name).with_unit(unit).with_description(description);
        builder.with_callback(callback).build();
    }
    for (name, unit, description, number) in COUNTERS {
        let all = observed.clone();
        let callback = move |instrument: &dyn AsyncInstrument<u64>| {
            if let Some(seen) = all.snapshot() {
                instrument.observe(number(&seen), &all.pool);
            }
        };
        let builder = meter.u64_observable_counter(name).with_unit(unit).with_description(description);
        builder.with_callback(callback).build();
    }
}
