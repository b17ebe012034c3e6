//! A delay before each statement, as a network that has become slow would add: for drills.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

/// The delay of a pool's connections, which share it. None costs one look at an atomic a statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency(Arc<AtomicU64>);

impl Latency {
    /// From now on each statement takes longer by so much; what it was before. Parts of a microsecond are left out.
    pub(crate) fn set(&self, delay: Duration) -> Duration {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.0.swap(micros, Ordering::Relaxed))
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Waits, while there is something to wait for, with the connection held: the statement's own time-out goes on.
    pub(crate) async fn pass(&self) {
        let micros = self.0.load(Ordering::Relaxed);
        if micros > 0 {
            // In the traces that it touches; whoever set it has said so in the log, once.
            Context::map_current(|context| {
                let delay = i64::try_from(micros).unwrap_or(i64::MAX);
                let said = vec![KeyValue::new("fault", "database_latency"), KeyValue::new("delay_us", delay)];
                context.span().add_event("a statement is delayed", said);
            });
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
    }
}
