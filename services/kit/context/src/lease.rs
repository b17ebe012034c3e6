//! Whether a database connection is held just now.
//!
//! **Invariant.** No connection is held across a network call: a slow callee would drain the pool of its caller, which is
//! how one slow service takes a whole shop down. The pool marks the code that holds one; the gRPC client and the payment
//! providers ask before they send.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

tokio::task_local! {
    static HELD: Arc<AtomicU32>;
}

/// How often a network call was made with a connection held, since the process started.
static VIOLATIONS: AtomicU64 = AtomicU64::new(0);

/// Runs `work` as code that holds one connection (a transaction's closure), counted apart from its surroundings.
pub async fn holding<F: Future>(work: F) -> F::Output {
    HELD.scope(Arc::new(AtomicU32::new(held() + 1)), work).await
}

/// Runs `work` as code in which leases that outlive a statement (streams, explicit transactions) can be counted.
/// Servers wrap each request in it, background tasks each round.
pub async fn tracked<F: Future>(work: F) -> F::Output {
    HELD.scope(Arc::new(AtomicU32::new(0)), work).await
}

/// How many connections the code that runs now holds; 0 where nobody counts.
pub fn held() -> u32 {
    HELD.try_with(|held| held.load(Ordering::Relaxed)).unwrap_or(0)
}

/// Counts one lease in the surrounding [`tracked`] or [`holding`] scope until it is dropped.
#[derive(Debug)]
pub struct Held(Option<Arc<AtomicU32>>);

impl Held {
    /// Starts counting; without a surrounding scope it counts nothing.
    pub fn start() -> Self {
        let scope = HELD.try_with(Arc::clone).ok();
        if let Some(held) = &scope {
            held.fetch_add(1, Ordering::Relaxed);
        }
        Self(scope)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(held) = &self.0 {
            held.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// To be called before a network call. With a connection held it panics in a debug build, and counts in a release build.
///
/// # Panics
/// In debug builds, when a connection is held.
#[track_caller]
pub fn refuse_network_call(what: &str) {
    if held() > 0 {
        VIOLATIONS.fetch_add(1, Ordering::Relaxed);
        debug_assert!(false, "{what} was called while a database connection is held: end the transaction first");
    }
}

/// How often [`refuse_network_call`] found a connection held, since the process started.
pub fn violations() -> u64 {
    VIOLATIONS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transaction_counts_until_its_closure_ends() {
        assert_eq!(held(), 0);
        assert_eq!(holding(async { held() }).await, 1);
        assert_eq!(holding(holding(async { held() })).await, 2);
        assert_eq!(held(), 0);
    }

    #[tokio::test]
    async fn a_guard_counts_until_it_is_dropped() {
        tracked(async {
            let lease = Held::start();
            assert_eq!(held(), 1);
            drop(lease);
            assert_eq!(held(), 0);
            refuse_network_call("a call without a lease");
        })
        .await;
    }

    #[tokio::test]
    async fn a_network_call_with_a_lease_held_is_counted_and_panics_for_those_who_debug() {
        let before = violations();
        let call = tokio::spawn(holding(async { refuse_network_call("PlaceOrder's payment") })).await;
        assert_eq!(call.is_err_and(|error| error.is_panic()), cfg!(debug_assertions));
        assert!(violations() > before);
    }
}
