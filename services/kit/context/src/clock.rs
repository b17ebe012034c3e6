//! The clock that is passed in, so that expiry, leases and retries can be tested without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time in milliseconds since the Unix epoch, the form in which all of Selvage stores and compares moments.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `now_ms` until it is moved; clones move together.
    pub fn standing_at(now_ms: i64) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now_ms))))
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Some(standing) => standing.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// Where a standing clock stands. `None`: it is the machine's, for which another machine's may be taken.
    pub fn set_at(&self) -> Option<i64> {
        self.0.as_ref().map(|standing| standing.load(Ordering::SeqCst))
    }

    /// Moves a standing clock. On the machine's clock it does nothing.
    pub fn advance_ms(&self, by: i64) {
        if let Some(standing) = &self.0 {
            standing.fetch_add(by, Ordering::SeqCst);
        }
    }
}
