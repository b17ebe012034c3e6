//! How many calls are taken.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Calls a second, all callers together.
pub(super) struct Turns {
    most: u32,
    /// When the present second began, and how many have come in it.
    taken: Mutex<(Instant, u32)>,
}

impl Turns {
    pub(super) fn new(most: u32) -> Self {
        Self { most, taken: Mutex::new((Instant::now(), 0)) }
    }

    /// Whether there is one left in this second.
    pub(super) fn take(&self) -> bool {
        let now = Instant::now();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(taken.0) >= SECOND {
            *taken = (now, 0);
        }
        let is_left = taken.1 < self.most;
        taken.1 += u32::from(is_left);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_has_so_many_turns() {
        let turns = Turns::new(2);
        assert_eq!([turns.take(), turns.take(), turns.take()], [true, true, false]);
        tokio::time::advance(SECOND).await;
        assert!(turns.take());
    }
}
