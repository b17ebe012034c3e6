//! How often connections are used, and for how long, by operation: for whoever tells a slow database from a busy one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use selvage_conventions::db;

/// Operations that a pool counts apart, as in its metrics: a service has some twenty.
const MAX_OPERATIONS: usize = 64;

/// The uses of a pool's connections by one operation, since the pool was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The operation's name; `_OTHER` for all that came after the first 64.
    pub operation: &'static str,
    /// How often a connection was held for it.
    pub count: u64,
    /// For how long in all.
    pub time: Duration,
}

/// One operation's sums. A reader may see one use in one of them and not yet in the other.
#[derive(Default)]
struct Sums {
    count: AtomicU64,
    micros: AtomicU64,
}

impl Sums {
    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn of(&self, operation: &'static str) -> Use {
        let time = Duration::from_micros(self.micros.load(Ordering::Relaxed));
        Use { operation, count: self.count.load(Ordering::Relaxed), time }
    }
}

/// Where they are counted, without a lock: names are only ever added, each in the first place that is free.
pub(crate) struct Uses {
    named: Box<[(OnceLock<&'static str>, Sums)]>,
    others: Sums,
}

impl Default for Uses {
    fn default() -> Self {
        Self { named: (0..MAX_OPERATIONS).map(|_| Default::default()).collect(), others: Sums::default() }
    }
}

impl Uses {
    /// A connection was held for `operation`.
    pub(crate) fn add(&self, operation: &'static str, took: Duration) {
        let place = self.named.iter().find(|(name, _)| *name.get_or_init(|| operation) == operation);
        place.map_or(&self.others, |(_, sums)| sums).add(took);
    }

    /// All that were counted, those first that came first.
    pub(crate) fn so_far(&self) -> Vec<Use> {
        let named = self.named.iter().map_while(|(name, sums)| Some(sums.of(name.get()?)));
        let others = self.others.of(db::OTHER_OPERATION);
        named.chain((others.count > 0).then_some(others)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_summed_by_name_and_what_comes_after_the_bound_together() {
        let uses = Uses::default();
        assert_eq!(uses.so_far(), []);
        for number in 0..MAX_OPERATIONS + 3 {
            uses.add(format!("operation_{number}").leak(), Duration::from_millis(1));
        }
        uses.add("operation_1", Duration::from_millis(4));
        let seen = uses.so_far();
        assert_eq!(seen.len(), MAX_OPERATIONS + 1);
        assert_eq!(seen[1], Use { operation: "operation_1", count: 2, time: Duration::from_millis(5) });
        let others = Use { operation: db::OTHER_OPERATION, count: 3, time: Duration::from_millis(3) };
        assert_eq!(seen[MAX_OPERATIONS], others);
    }
}
