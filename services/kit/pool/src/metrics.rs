//! Metrics by OpenTelemetry's conventions for connection pools, and beyond them under `selvage.pool`. Gauges are observed
//! when they are asked for and cost nothing else.

use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Histogram, Meter};
use selvage_conventions::{SECONDS, db};

use crate::gate::{Class, Reason};
use crate::shared::{Shared, Snapshot};

fn meter() -> Meter {
    opentelemetry::global::meter("selvage.pool")
}

/// What is recorded as it happens.
pub(crate) struct Meters {
    pool: [KeyValue; 1],
    create_time: Histogram<f64>,
    wait_time: Histogram<f64>,
    use_time: Histogram<f64>,
}

impl Meters {
    pub(crate) fn new(pool: &str) -> Self {
        let meter = meter();
        let histogram = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        Self {
            pool: [KeyValue::new(db::POOL_NAME, pool.to_owned())],
            create_time: histogram("db.client.connection.create_time", "The time it took to create a new connection."),
            wait_time: histogram(
                "db.client.connection.wait_time",
                "The time it took to obtain an open connection from the pool.",
            ),
            use_time: histogram(
                "db.client.connection.use_time",
                "The time between borrowing a connection and returning it to the pool.",
            ),
        }
    }

    pub(crate) fn created(&self, took: Duration) {
        self.create_time.record(took.as_secs_f64(), &self.pool);
    }

    pub(crate) fn waited(&self, took: Duration) {
        self.wait_time.record(took.as_secs_f64(), &self.pool);
    }

    pub(crate) fn used(&self, took: Duration) {
        self.use_time.record(took.as_secs_f64(), &self.pool);
    }
}

/// A pool that may be gone.
#[derive(Clone)]
struct Observed {
    pool: [KeyValue; 1],
    shared: Weak<Shared>,
}

impl Observed {
    fn snapshot(&self) -> Option<Snapshot> {
        self.shared.upgrade().filter(|shared| !shared.is_closed()).map(|shared| shared.snapshot(None))
    }

    fn with(&self, more: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
        self.pool.iter().cloned().chain(more).collect()
    }

    fn connections(&self, instrument: &dyn AsyncInstrument<i64>) {
        let Some(seen) = self.snapshot() else { return };
        for (state, count) in [("idle", seen.idle), ("used", seen.in_use)] {
            instrument.observe(count.into(), &self.with([KeyValue::new(db::CONNECTION_STATE, state)]));
        }
    }

    fn refusals(&self, instrument: &dyn AsyncInstrument<u64>) {
        let Some(seen) = self.snapshot() else { return };
        for class in Class::ALL {
            for reason in Reason::ALL {
                let which = [KeyValue::new("class", class.name()), KeyValue::new("reason", reason.name())];
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

const GAUGES: [(&str, &str, &str, Number); 9] = [
    ("selvage.pool.limit", "{connection}", "Connections that may be open now.", |pool| pool.limit.into()),
    ("selvage.pool.ceiling", "{connection}", "Connections that the limit may be raised to.", |pool| {
        pool.ceiling.into()
    }),
    ("selvage.pool.debt", "{connection}", "Connections beyond a limit that was lowered.", |pool| pool.debt.into()),
    ("selvage.pool.stranded", "{connection}", "Connections ended by us that the server may still have.", |pool| {
        pool.stranded.into()
    }),
    ("selvage.pool.listening", "{connection}", "Connections that listen, beside the limit.", |pool| {
        pool.listening.into()
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
    ("selvage.pool.retries", "{transaction}", "Transactions done again because the database asked for it.", |pool| {
        pool.retries
    }),
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
pub(crate) fn observe(shared: &Arc<Shared>) {
    let pool = [KeyValue::new(db::POOL_NAME, shared.config.name.clone())];
    let observed = Observed { pool, shared: Arc::downgrade(shared) };
    let meter = meter();
    observe_held_across_calls(&meter);
    let all = observed.clone();
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
