//! Who holds which connection, and for how long.

use std::panic::Location;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tokio::time::Instant;
use tracing::Span;

use crate::gate::Class;

/// What a connection is asked for: its name in metrics, traces and the log, how much it matters, and where in the code it is.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its name: constant, and one of few.
    pub name: &'static str,
    /// How much it matters.
    pub class: Class,
    /// The line of the code that asks.
    pub site: &'static Location<'static>,
}

/// Whoever holds a connection.
#[derive(Debug)]
struct Holder {
    operation: Operation,
    since: Instant,
    /// The span in which it was asked for, as `tracing` and as OpenTelemetry know it.
    span: Span,
    traced: Option<Context>,
    /// It was named in the log.
    warned: bool,
}

/// A connection that is held for long.
#[derive(Clone, Copy, Debug)]
pub struct LongHeld {
    /// What for.
    pub operation: Operation,
    /// For how long.
    pub held: Duration,
}

/// The holders of a pool's connections, by slot.
pub(crate) struct Holders(Box<[Mutex<Option<Holder>>]>);

impl Holders {
    /// For `slots` connections at the most.
    pub(crate) fn new(slots: u32) -> Self {
        Self((0..slots).map(|_| Mutex::new(None)).collect())
    }

    fn slot(&self, slot: usize) -> Option<MutexGuard<'_, Option<Holder>>> {
        self.0.get(slot).map(|holder| holder.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn start(&self, slot: usize, operation: Operation, since: Instant) {
        let traced = Context::map_current(|context| context.has_active_span().then(|| context.clone()));
        let holder = Holder { operation, since, span: Span::current(), traced, warned: false };
        if let Some(mut slot) = self.slot(slot) {
            *slot = Some(holder);
        }
    }

    /// Returns what it was held for. The span is dropped after the lock is.
    pub(crate) fn end(&self, slot: usize) -> Option<Operation> {
        let ended = self.slot(slot).and_then(|mut slot| slot.take());
        ended.map(|holder| holder.operation)
    }

    /// The one that holds for longest.
    pub(crate) fn longest(&self) -> Option<LongHeld> {
        self.long(Duration::ZERO).max_by_key(|long| long.held)
    }

    /// Those that hold for longer than `bound`.
    pub(crate) fn long(&self, bound: Duration) -> impl Iterator<Item = LongHeld> {
        (0..self.0.len()).filter_map(move |slot| {
            let slot = self.slot(slot)?;
            let holder = slot.as_ref()?;
            let held = holder.since.elapsed();
            (held > bound).then_some(LongHeld { operation: holder.operation, held })
        })
    }

    /// Names those that hold for longer than `bound` in the log, each once, in the span that holds it; returns how many are
    /// new.
    pub(crate) fn warn_of_long(&self, pool: &str, bound: Duration) -> u64 {
        let mut new = 0;
        for slot in 0..self.0.len() {
            let Some(mut slot) = self.slot(slot) else { continue };
            let Some(holder) = slot.as_mut().filter(|holder| !holder.warned && holder.since.elapsed() > bound) else {
                continue;
            };
            holder.warned = true;
            new += 1;
            let Holder { operation, since, span, traced, .. } = holder;
            let _in = traced.clone().map(Context::attach);
            tracing::warn!(
                parent: &*span,
                pool,
                operation = operation.name,
                site = %operation.site,
                span = span.metadata().map(tracing::Metadata::name),
                held_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
                "a connection is held for long"
            );
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_holds_for_long_is_named_once() {
        let holders = Holders::new(2);
        let operation = Operation { name: "count_stars", class: Class::Normal, site: Location::caller() };
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(9)) else { return };
        holders.start(1, operation, long_ago);
        holders.start(0, operation, Instant::now());
        let bound = Duration::from_secs(5);
        assert_eq!(holders.warn_of_long("sky", bound), 1);
        assert_eq!(holders.warn_of_long("sky", bound), 0, "it was said");
        assert_eq!(holders.long(bound).count(), 1, "and is still so");
        assert!(holders.longest().is_some_and(|longest| longest.held >= Duration::from_secs(9)));
        assert_eq!(holders.end(1).map(|ended| ended.name), Some("count_stars"));
        assert_eq!(holders.long(bound).count(), 0);
    }
}
