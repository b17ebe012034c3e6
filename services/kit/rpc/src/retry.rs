//! When a call may be tried again.

use std::error::Error;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rand::RngExt as _;

/// Attempts of one call, the first included.
pub(crate) const MAX_ATTEMPTS: u32 = 3;
/// Pauses grow from the first to the longest, each taken at random from zero to that (full jitter), so that callers who
/// failed together don't come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// In thousandths of a token: a call earns a tenth, a retry costs a whole, ten can be saved. Retries are so at most a
/// tenth of the calls, beyond a burst of ten: the scheme of gRPC's proposal A6 and of Finagle's retry budget.
const EARNED: i64 = 100;
const COST: i64 = 1_000;
const SAVED: i64 = 10_000;

/// A bound on retries, by the calls that are made anyway.
#[derive(Debug)]
pub(crate) struct Budget(AtomicI64);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(SAVED))
    }

    /// A call is made.
    pub(crate) fn earn(&self) {
        let add = |saved: i64| (saved < SAVED).then(|| (saved + EARNED).min(SAVED));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Whether a retry is in the budget; it is paid for then.
    pub(crate) fn spend(&self) -> bool {
        let pay = |saved: i64| (saved >= COST).then(|| saved - COST);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }
}

/// The pause before attempt `next`, which is 2 or more.
pub(crate) fn pause(next: u32) -> Duration {
    let ceiling = (FIRST_PAUSE * 4_u32.pow(next.saturating_sub(2).min(4))).min(LONGEST_PAUSE);
    ceiling.mul_f64(rand::rng().random::<f64>())
}

/// Whether the failed call can't have reached a handler: it may be repeated, whatever it asks for.
pub(crate) fn was_never_sent(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            // The peer says so: it refused the stream, or drains and hadn't begun it.
            let draining = error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
            return draining || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        cause.is::<tonic::ConnectError>() || cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
    })
}

/// Whether it was our own patience that ended the call.
pub(crate) fn timed_out(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(<dyn Error>::is::<tonic::TimeoutExpired>)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_tenth_of_calls_beyond_a_burst() {
        let budget = Budget::new();
        let burst = (0..100).filter(|_| budget.spend()).count();
        assert_eq!(burst, 10);
        let paid = (0..1000)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count();
        assert_eq!(paid, 100);
    }

    #[test]
    fn pauses_are_bounded() {
        for next in 2..40 {
            assert!(pause(next) <= LONGEST_PAUSE);
        }
        assert!(pause(2) <= FIRST_PAUSE);
    }
}
