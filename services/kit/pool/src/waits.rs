//! How long callers wait for a connection, counted so that anybody can ask for the last seconds' percentiles.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Powers of two of a microsecond, from below 2 µs to above 2³⁰ µs = 18 min: a percentile is told to within a factor of two
/// and, by going straight through a step, mostly far better.
const STEPS: usize = 32;

/// How many waits have ended so far, by how long they took. The difference of two tells of the time between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits([u64; STEPS]);

impl Waits {
    /// Those that have ended since `before` was taken from the same pool.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|step| self.0[step].saturating_sub(before.0[step])))
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The time within which `share` of them (0 to 1) had ended; `None` of none.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank"
        )]
        let rank = ((count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut before = 0;
        for (step, ended) in self.0.iter().enumerate().filter(|(_, ended)| **ended > 0) {
            if before + ended >= rank {
                let (from, to) = (if step == 0 { 0 } else { 1_u64 << step }, 1_u64 << (step + 1));
                return Some(Duration::from_micros(from + (to - from) * (rank - before) / ended));
            }
            before += ended;
        }
        None
    }
}

/// Where a pool's waits are counted.
#[derive(Debug, Default)]
pub(crate) struct Waiting([AtomicU64; STEPS]);

impl Waiting {
    /// Somebody begins to wait; it is counted when the value is dropped, however the wait ended.
    pub(crate) fn start(&self) -> Wait<'_> {
        Wait { waiting: self, began: Instant::now() }
    }

    pub(crate) fn so_far(&self) -> Waits {
        Waits(std::array::from_fn(|step| self.0[step].load(Ordering::Relaxed)))
    }
}

pub(crate) struct Wait<'a> {
    waiting: &'a Waiting,
    began: Instant,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let step = micros.checked_ilog2().map_or(0, |step| (step as usize).min(STEPS - 1));
        self.waiting.0[step].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_time_between() {
        let mut before = Waits::default();
        assert_eq!(before.percentile(0.95), None);
        before.0[20] = 7;
        let mut after = before;
        after.0[0] += 95;
        after.0[10] += 5;
        let between = after.since(&before);
        assert_eq!(between.count(), 100);
        assert_eq!(between.percentile(0.95), Some(Duration::from_micros(2)));
        assert_eq!(between.percentile(0.96), Some(Duration::from_micros(1024 + 1024 / 5)));
        assert_eq!(between.percentile(1.0), Some(Duration::from_micros(2048)));
        let waiting = Waiting::default();
        drop(waiting.start());
        assert_eq!(waiting.so_far().count(), 1);
    }
}
