//! Which of a pool's sessions may be of use: those that were begun since all were last found useless.

use std::sync::atomic::{AtomicU64, Ordering};

/// The generation of sessions that are begun now.
#[derive(Debug, Default)]
pub(crate) struct Generation(AtomicU64);

impl Generation {
    pub(crate) fn current(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// A session of `known` was found useless for a reason that all of that generation share. Whether this is news.
    pub(crate) fn end(&self, known: u64) -> bool {
        self.0.compare_exchange(known, known + 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_ends_once_however_many_of_it_are_found_useless() {
        let generation = Generation::default();
        let first = generation.current();
        assert!(generation.end(first) && !generation.end(first));
        let second = generation.current();
        assert!(second > first && generation.end(second));
    }
}
