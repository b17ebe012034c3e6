use std::sync::{Arc, Weak};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use crate::kind::{Kind, Touches};
use crate::registry::Inner;

/// The attribute that tells faults apart.
const FAULT: &str = "fault";

/// What is counted as it happens.
pub(crate) struct Meters {
    started: Counter<u64>,
}

impl Meters {
    pub(crate) fn new() -> Self {
        let started = opentelemetry::global::meter("selvage.faults")
            .u64_counter("selvage.fault.started")
            .with_unit("{fault}")
            .with_description("Faults that were started, by what they do.")
            .build();
        Self { started }
    }

    pub(crate) fn started(&self, name: String) {
        self.started.add(1, &[KeyValue::new(FAULT, name)]);
    }
}

/// Lets it be observed which faults are active: 1 or 0 for each that there can be.
pub(crate) fn observe(inner: &Arc<Inner>) {
    let inner: Weak<Inner> = Arc::downgrade(inner);
    opentelemetry::global::meter("selvage.faults")
        .u64_observable_gauge("selvage.fault.active")
        .with_unit("{fault}")
        .with_description("1 while a fault is active, by what it does.")
        .with_callback(move |instrument| {
            let Some(inner) = inner.upgrade() else { return };
            let (active, dependencies) = inner.names();
            let names = Kind::ALL.into_iter().flat_map(|kind| match kind.touches() {
                Touches::Dependency => dependencies.iter().map(|dependency| kind.name(dependency)).collect(),
                _ => vec![kind.name("")],
            });
            for name in names {
                instrument.observe(active.contains(&name).into(), &[KeyValue::new(FAULT, name)]);
            }
        })
        .build();
}
