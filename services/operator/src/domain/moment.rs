//! Points in time.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time by a clock that never goes back, counted from a beginning that is the same for all that is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// So long after the beginning.
    pub const fn after_start(since: Duration) -> Self {
        Self(since)
    }

    /// How long this is after `earlier`; nothing, if it isn't.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0 + later)
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier))
    }
}
