//! Reading a table of events in the order of their ids, though they don't appear in it.
//!
//! PostgreSQL gives an event its id when it is inserted and shows it when its transaction commits, so that 8 can be seen
//! before 7. A reader that asks only for what is beyond the last id seen would lose 7. So ids that were passed over are
//! remembered as gaps and asked for again, until they appear or are so old that their transaction must have failed.

use std::collections::BTreeMap;

/// How long a gap is asked for: no transaction of ours lives half as long.
const GAP_LIFETIME_MS: i64 = 30_000;
/// Gaps that are remembered, the highest ones: a statement's worth of parameters, far above the transactions that can
/// be open at a time (connections × replicas × events of one batch).
const MAX_GAPS: i64 = 1_000;

/// How far a table of events has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    highest: i64,
    /// Ids below `highest` that weren't there, each with when that was noticed.
    gaps: BTreeMap<i64, i64>,
}

impl Cursor {
    /// Starts at the table's end, where `highest` is the highest id that can be seen. Any of the ids shortly before may
    /// belong to a transaction that is still open, so the reading begins there.
    pub fn at(highest: i64) -> Self {
        Self { highest: (highest - MAX_GAPS).max(0), gaps: BTreeMap::new() }
    }

    /// Events beyond this id are to be read.
    pub fn highest(&self) -> i64 {
        self.highest
    }

    /// And events with these ids.
    pub fn gaps(&self) -> impl Iterator<Item = i64> {
        self.gaps.keys().copied()
    }

    /// Takes note of what was read at `now_ms`.
    pub fn read(&mut self, ids: &[i64], now_ms: i64) {
        for id in ids {
            self.gaps.remove(id);
        }
        self.gaps.retain(|_, noticed| now_ms - *noticed < GAP_LIFETIME_MS);
        let Some(newest) = ids.iter().copied().max().filter(|newest| *newest > self.highest) else { return };
        let from = (self.highest + 1).max(newest - MAX_GAPS);
        self.gaps.extend((from..newest).filter(|id| !ids.contains(id)).map(|id| (id, now_ms)));
        self.highest = newest;
        while i64::try_from(self.gaps.len()).unwrap_or(i64::MAX) > MAX_GAPS {
            self.gaps.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn wanted(cursor: &Cursor, visible: &BTreeSet<i64>) -> Vec<i64> {
        let gaps: BTreeSet<_> = cursor.gaps().collect();
        visible.iter().copied().filter(|id| *id > cursor.highest() || gaps.contains(id)).collect()
    }

    #[test]
    fn an_event_that_commits_late_is_still_read() {
        let mut cursor = Cursor::default();
        cursor.read(&[6, 8], 0);
        assert!(cursor.gaps().any(|id| id == 7));
        assert_eq!(wanted(&cursor, &[6, 7, 8].into()), [7]);
        cursor.read(&[7], 500);
        assert!(!cursor.gaps().any(|id| id == 7));
    }

    #[test]
    fn a_gap_that_stays_empty_is_given_up() {
        let mut cursor = Cursor::default();
        cursor.read(&[1, 3], 0);
        cursor.read(&[], GAP_LIFETIME_MS - 1);
        assert_eq!(cursor.gaps().count(), 1);
        cursor.read(&[], GAP_LIFETIME_MS);
        assert_eq!(cursor.gaps().count(), 0);
    }

    #[test]
    fn a_leap_of_the_sequence_leaves_a_bounded_number_of_gaps() {
        let mut cursor = Cursor::default();
        cursor.read(&[1, 1_000_000], 0);
        assert_eq!(cursor.gaps().count(), 1_000);
    }

    proptest! {
        #[test]
        fn every_event_is_read_once_in_whatever_order_they_appear(
            order in Just((1..60_i64).collect::<Vec<_>>()).prop_shuffle(),
            sizes in prop::collection::vec(1..8_usize, 60),
        ) {
            let (mut cursor, mut visible, mut read) = (Cursor::default(), BTreeSet::new(), Vec::new());
            let mut rest = &order[..];
            for (round, size) in (0_i64..).zip(sizes) {
                let (now, later) = rest.split_at(size.min(rest.len()));
                visible.extend(now);
                rest = later;
                let found = wanted(&cursor, &visible);
                cursor.read(&found, round * 400);
                read.extend(found);
            }
            read.sort_unstable();
            prop_assert_eq!(read, (1..60).collect::<Vec<_>>());
        }
    }
}
