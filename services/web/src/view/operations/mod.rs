//! What the operations page shows of the shop's processes.

pub(crate) mod alert;
pub(crate) mod fault;
pub(crate) mod picture;
pub(crate) mod pool;
pub(crate) mod scaling;
pub(crate) mod totals;

use selvage_proto::operations::v1::{LimitChange, ProcessStatus};

use crate::operations::{Process, Seen};
use crate::view::date;

/// The processes that are here, with what they say.
pub(crate) fn here(processes: &[Process]) -> impl Iterator<Item = (&Process, &ProcessStatus)> {
    processes.iter().filter_map(|process| match &process.seen {
        Seen::Here(status) => Some((process, &**status)),
        Seen::Away | Seen::Refused => None,
    })
}

/// A process that isn't here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Away {
    /// By which it is told from others on the page.
    pub(crate) id: String,
    pub(crate) label: String,
}

/// Those that aren't here.
pub(crate) fn away(processes: &[Process]) -> Vec<Away> {
    let is_away = |process: &&Process| !matches!(process.seen, Seen::Here(_));
    let away = |process: &Process| Away { id: process.id(&process.name), label: process.label() };
    processes.iter().filter(is_away).map(away).collect()
}

/// A pool's name, with its process's where that doesn't say enough.
pub(super) fn pool_of(process: &Process, pool: &str) -> String {
    if process.is_one_of_several { format!("{pool}, {}", process.label()) } else { pool.to_owned() }
}

/// A limit that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) pool: String,
    pub(crate) before: u32,
    pub(crate) after: u32,
    pub(crate) is_more: bool,
    /// For people and for machines.
    pub(crate) time: String,
    pub(crate) iso: String,
}

/// Decisions that are shown.
const MAX_DECISIONS: usize = 10;

/// The last changes of limits in all processes, the newest first.
pub(crate) fn decisions(processes: &[Process]) -> Vec<Decision> {
    let changes =
        here(processes).flat_map(|(process, status)| status.limit_changes.iter().map(move |change| (process, change)));
    let mut changes: Vec<(&Process, &LimitChange)> = changes.collect();
    changes.sort_by_key(|(_, change)| change.time.map(|time| std::cmp::Reverse((time.seconds, time.nanos))));
    let shown = changes.into_iter().take(MAX_DECISIONS).map(|(process, change)| Decision {
        pool: pool_of(process, &change.pool),
        before: change.before,
        after: change.after,
        is_more: change.after > change.before,
        time: date::clock(change.time.as_ref()),
        iso: date::iso(change.time.as_ref()),
    });
    shown.collect()
}

/// A duration as people say it: "480 µs", "12 ms", "1.4 s", "2 min".
pub(crate) fn lasting(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
        _ => format!("{} min", micros / 60_000_000),
    }
}

/// A duration of a message, in microseconds; nothing that is negative.
pub(crate) fn micros(duration: &prost_types::Duration) -> u64 {
    let seconds = u64::try_from(duration.seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(duration.nanos / 1_000).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use prost_types::Timestamp;
    use selvage_proto::operations::v1::PoolStatus;

    use super::*;

    /// A process that is here, with these pools.
    pub(crate) fn process(name: &str, pools: Vec<PoolStatus>) -> Process {
        let status = ProcessStatus { pools, ..ProcessStatus::default() };
        alone(name, Seen::Here(Box::new(status)))
    }

    /// The only instance of its service.
    pub(crate) fn alone(name: &str, seen: Seen) -> Process {
        Process { name: name.to_owned(), address: String::new(), is_one_of_several: false, seen }
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        for (micros, said) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_450, "1.4 ms"),
            (12_999, "12 ms"),
            (1_490_000, "1.4 s"),
            (120_000_000, "2 min"),
        ] {
            assert_eq!(lasting(micros), said);
        }
        assert_eq!(micros(&prost_types::Duration { seconds: 1, nanos: 500_000_000 }), 1_500_000);
        assert_eq!(micros(&prost_types::Duration { seconds: -1, nanos: -5 }), 0);
    }

    #[test]
    fn decisions_are_shown_the_newest_first() {
        let change = |seconds, after| LimitChange {
            pool: "cart".to_owned(),
            before: 4,
            after,
            time: Some(Timestamp { seconds, nanos: 0 }),
        };
        let with = |changes: Vec<LimitChange>| {
            let status = ProcessStatus { limit_changes: changes, ..ProcessStatus::default() };
            alone("cart", Seen::Here(Box::new(status)))
        };
        let away = alone("delivery", Seen::Away);
        let shown = decisions(&[with(vec![change(20, 2), change(10, 6)]), with(vec![change(15, 8)]), away.clone()]);
        assert_eq!(shown.iter().map(|decision| decision.after).collect::<Vec<_>>(), [2, 8, 6]);
        assert_eq!((shown[2].is_more, shown[2].time.as_str()), (true, "00:00:10"));
        assert_eq!(super::away(&[away]), [Away { id: "delivery".to_owned(), label: "delivery".to_owned() }]);
    }
}
