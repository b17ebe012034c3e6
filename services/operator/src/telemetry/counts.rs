//! What happens, counted. Every replica counts for itself; whoever doesn't lead decides nothing and has nothing to count.

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

use crate::domain::decide::Class;

/// Bounds of the time until a grant, in seconds: decisions are at least 0.2 s apart, and at most a second; what takes longer waits
/// for what others still have.
const GRANTS: [f64; 12] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// What is written to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A workload's replicas.
    Replicas,
    /// What an object says of itself.
    Status,
    /// An event.
    Event,
}

/// What a decision changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A workload's replicas.
    Replicas,
    /// What each pod should have.
    Connections,
    /// What is the matter.
    Class,
}

struct Counts {
    decisions: Counter<u64>,
    changes: Counter<u64>,
    writes: Counter<u64>,
    grants: Histogram<f64>,
}

/// Made where the first is counted, which is after telemetry has started.
static COUNTS: LazyLock<Counts> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter("selvage.operator");
    let counter = |name: &'static str, unit: &'static str, description: &'static str| {
        meter.u64_counter(name).with_unit(unit).with_description(description).build()
    };
    Counts {
        decisions: counter("selvage.operator.decisions", "{decision}", "Decisions about scalers, by class."),
        changes: counter("selvage.operator.changes", "{change}", "Decisions that changed something, by what."),
        writes: counter("selvage.operator.writes", "{write}", "Writes to the API server, by what came of them."),
        grants: meter
            .f64_histogram("selvage.operator.grant.time")
            .with_unit("s")
            .with_description(
                "From a report that callers wait, or of a process that has nothing yet, to a larger grant.",
            )
            .with_boundaries(GRANTS.to_vec())
            .build(),
    }
});

impl Written {
    const ALL: [Self; 3] = [Self::Replicas, Self::Status, Self::Event];

    fn name(self) -> &'static str {
        match self {
            Self::Replicas => "replicas",
            Self::Status => "status",
            Self::Event => "event",
        }
    }
}

impl Change {
    const ALL: [Self; 3] = [Self::Replicas, Self::Connections, Self::Class];

    fn name(self) -> &'static str {
        match self {
            Self::Replicas => "replicas",
            Self::Connections => "connections",
            Self::Class => "class",
        }
    }
}

/// Each series is there from the start, at 0: the first event of each is seen as one.
pub(super) fn begin() {
    for class in Class::ALL {
        COUNTS.decisions.add(0, &[KeyValue::new("class", class.name())]);
    }
    for change in Change::ALL {
        COUNTS.changes.add(0, &[KeyValue::new("what", change.name())]);
    }
    for written in Written::ALL {
        for is_done in [true, false] {
            write(written, is_done, 0);
        }
    }
}

/// A decision was made.
pub fn decided(class: Class) {
    COUNTS.decisions.add(1, &[KeyValue::new("class", class.name())]);
}

/// A decision changed something.
pub fn changed(change: Change) {
    COUNTS.changes.add(1, &[KeyValue::new("what", change.name())]);
}

/// Something was written to the API server, or couldn't be.
pub fn wrote(written: Written, is_done: bool) {
    write(written, is_done, 1);
}

fn write(written: Written, is_done: bool, count: u64) {
    let outcome = if is_done { "done" } else { "failed" };
    COUNTS.writes.add(count, &[KeyValue::new("what", written.name()), KeyValue::new("outcome", outcome)]);
}

/// A process was granted more, so long after it said that it needs more.
pub fn granted(after: Duration) {
    COUNTS.grants.record(after.as_secs_f64(), &[]);
}
