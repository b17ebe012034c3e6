//! Whether the database can be reached, by the last attempt to make a connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Attempts that have failed since the last one that succeeded.
struct Failing {
    since: Instant,
    attempts: u32,
    error: Arc<sqlx::Error>,
}

/// What came of the last attempts to make a connection.
#[derive(Default)]
pub(crate) struct Reachability(Mutex<Option<Failing>>);

impl Reachability {
    fn failing(&self) -> MutexGuard<'_, Option<Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt has failed; returns how many have in a row.
    pub(crate) fn failed(&self, error: sqlx::Error) -> u32 {
        let mut failing = self.failing();
        let (since, attempts) = failing.as_ref().map_or((Instant::now(), 0), |known| (known.since, known.attempts));
        let attempts = attempts.saturating_add(1);
        *failing = Some(Failing { since, attempts, error: Arc::new(error) });
        attempts
    }

    /// An attempt has succeeded; returns since when they had failed, if they had.
    pub(crate) fn succeeded(&self) -> Option<Instant> {
        self.failing().take().map(|failing| failing.since)
    }

    /// Why the last attempt has failed, if it has.
    pub(crate) fn last_error(&self) -> Option<Arc<sqlx::Error>> {
        self.failing().as_ref().map(|failing| failing.error.clone())
    }

    /// Whether the last attempt has failed.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.failing().is_some()
    }
}
