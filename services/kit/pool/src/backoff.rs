//! Pauses between attempts.

use std::time::Duration;

/// Pauses that grow: each is twice as long as the one before, up to the longest, and then shortened by chance by up to a half,
/// so that those who failed together don't come back together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after so many failures in a row; none before the first. `chance` is from 0 to 1.
    pub(crate) fn pause(self, failures: u32, chance: f64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        // 2 ms doubled 16 times are two minutes: longer than any longest pause.
        let whole = self.first.saturating_mul(1 << doublings.min(16)).min(self.longest);
        whole.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_grow_to_the_longest_and_no_further() {
        let backoff = Backoff::new(50 * MS, 1_000 * MS);
        assert_eq!(backoff.pause(0, 0.0), Duration::ZERO);
        assert_eq!(backoff.pause(1, 1.0), 25 * MS);
        assert_eq!(backoff.pause(3, 0.0), 200 * MS);
        for failures in [6, 100, u32::MAX] {
            assert_eq!(backoff.pause(failures, 0.0), 1_000 * MS);
        }
    }

    proptest! {
        #[test]
        fn chance_takes_away_half_at_the_most(failures in 1..u32::MAX, chance in 0.0..=1.0_f64) {
            let backoff = Backoff::new(2 * MS, 400 * MS);
            let (pause, whole) = (backoff.pause(failures, chance), backoff.pause(failures, 0.0));
            prop_assert!(pause <= whole && pause >= whole.mul_f64(0.499), "{pause:?} of {whole:?}");
        }
    }
}
