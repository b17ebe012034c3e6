//! Who holds which connection, and for how long.

use std::panic::Location;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tokio::time::Instant;
use tracing::Span;

use crate::gate::Class;

/// What connections are asked for: a name for metrics, how much it matters, and where in the code it is.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Few and constant, as it is in metrics.
    pub name: &'static str,
    /// How much it matters.
    pub class: Class,
    /// Who asks, by place in the code.
    pub site: &'static Location<'static>,
}

/// One who holds a connection.
#[derive(Debug)]
struct Holder {
    operation: Operation,
    since: Instant,
    /// The span in which it was asked for, as `tracing` and as OpenTelemetry know it.
    span: Span,
    traced: Option<Context>,
    told: bool,
}

/// A connection that is held for long.
#[derive(Clone, Copy, Debug)]
pub struct LongHeld {
    /// What for.
    pub operation: Operation,
    /// For how long.
    pub held: Duration,
}

/// The holders of a pool's connections, by place.
pub(crate) struct Holders(Box<[Mutex<Option<Holder>>]>);

impl Holders {
    /// For `places` connections at the most.
    pub(crate) fn new(places: u32) -> Self {
        Self((0..places).map(|_| Mutex::new(None)).collect())
    }

    fn place(&self, place: usize) -> Option<MutexGuard<'_, Option<Holder>>> {
        self.0.get(place).map(|holder| holder.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn start(&self, place: usize, operation: Operation, since: Instant) {
        let traced = Context::map_current(|context| context.has_active_span().then(|| context.clone()));
        let holder = Holder { operation, since, span: Span::current(), traced, told: false };
        if let Some(mut place) = self.place(place) {
            *place = Some(holder);
        }
    }

    /// The span is dropped after the lock is.
    pub(crate) fn end(&self, place: usize) {
        let ended = self.place(place).and_then(|mut place| place.take());
        drop(ended);
    }

    /// Those that hold for longer than `bound`.
    pub(crate) fn long(&self, bound: Duration) -> Vec<LongHeld> {
        let long = |place: usize| {
            let place = self.place(place)?;
            let holder = place.as_ref()?;
            let held = holder.since.elapsed();
            (held > bound).then_some(LongHeld { operation: holder.operation, held })
        };
        (0..self.0.len()).filter_map(long).collect()
    }

    /// Names those that hold for longer than `bound`, each once, in the span that holds it; returns how many are new.
    pub(crate) fn tell(&self, pool: &str, bound: Duration) -> u64 {
        let mut new = 0;
        for place in 0..self.0.len() {
            let Some(mut place) = self.place(place) else { continue };
            let Some(holder) = place.as_mut().filter(|holder| !holder.told && holder.since.elapsed() > bound) else {
                continue;
            };
            holder.told = true;
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
        assert_eq!(holders.tell("sky", bound), 1);
        assert_eq!(holders.tell("sky", bound), 0, "it was said");
        assert_eq!(holders.long(bound).len(), 1, "and is still so");
        holders.end(1);
        assert!(holders.long(bound).is_empty());
    }
}
