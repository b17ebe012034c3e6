//! Ours, with nothing behind it.

use std::sync::Arc;
use std::time::Duration;

use selvage_pool::gate::{Class, Gate, Limits};
use tokio::time::Instant;

use crate::LIMIT;
use crate::alone::Lends;

/// Who asks says until when it waits, which the others aren't told; here it is longer than the benchmark runs.
#[derive(Clone)]
pub(crate) struct Ours {
    gate: Arc<Gate<()>>,
    until: Instant,
}

impl Ours {
    pub(crate) fn new() -> Self {
        let gate = Arc::new(Gate::new(Limits { limit: LIMIT, ceiling: LIMIT, ..Limits::default() }));
        for _ in 0..LIMIT {
            assert!(gate.supply(()), "there is a place for each");
        }
        Self { gate, until: Instant::now() + Duration::from_secs(3600) }
    }
}

impl Lends for Ours {
    async fn take(&self) -> impl Send {
        self.gate.acquire(Class::Normal, self.until).await.expect("it waits")
    }
}
