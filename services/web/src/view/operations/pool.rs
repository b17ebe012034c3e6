//! A pool's card.

use selvage_proto::operations::v1::PoolStatus;

use super::alert::{is_saturated, refused_lately};
use super::{Away, away, here, lasting, micros, picture};
use crate::operations::{MAX_INSTANCES, Process};
use crate::view::date;

/// Seconds over which a rate is taken.
const RATE_OVER: u64 = 5;

/// Operations that hold on to connections, shown of one pool.
const MAX_HELD: usize = 4;

/// A pool, as its card shows it.
pub(crate) struct PoolCard {
    /// By which it is told from others on the page.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Where it is, if its service has several instances.
    pub(crate) place: String,
    pub(crate) service: String,
    /// In a word, and the class of its colour.
    pub(crate) state: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) in_use: u32,
    pub(crate) limit: u32,
    /// "2 to 8".
    pub(crate) bounds: String,
    pub(crate) waiting: u32,
    pub(crate) wait_p95: String,
    /// A second, and in all.
    pub(crate) shed: String,
    pub(crate) refused: u64,
    pub(crate) places: String,
    pub(crate) minute: String,
    pub(crate) waits: String,
    pub(crate) held: Vec<Held>,
    pub(crate) held_more: usize,
}

/// An operation that holds a connection for too long.
pub(crate) struct Held {
    pub(crate) operation: String,
    pub(crate) site: String,
    pub(crate) lasting: String,
}

/// All pools, and the processes of which nothing is known.
pub(crate) struct PoolCards {
    pub(crate) pools: Vec<PoolCard>,
    pub(crate) away: Vec<Away>,
    /// Since when there are figures, while that is less than the minute that curves are of.
    pub(crate) since: String,
    /// There may be more processes than are shown.
    pub(crate) is_cut: bool,
}

/// Of more processes than this a card has its figures and no curves: of 200 with a pool and a half each, curves alone would
/// have a megabyte.
const MAX_DRAWN: usize = 24;
/// Seconds that curves are of.
const MINUTE: i64 = 60;

impl PoolCards {
    pub(crate) fn new(processes: &[Process]) -> Self {
        let is_drawn = processes.len() <= MAX_DRAWN;
        let pools = here(processes)
            .flat_map(|(process, status)| status.pools.iter().map(move |pool| PoolCard::new(process, pool, is_drawn)));
        let youngest = here(processes).filter_map(|(_, status)| {
            let since = status.sampled_since?;
            (status.time?.seconds - since.seconds < MINUTE).then_some(since)
        });
        let youngest = youngest.max_by_key(|since| since.seconds);
        Self {
            pools: pools.collect(),
            away: away(processes),
            since: youngest.map_or_else(String::new, |since| date::clock(Some(&since))),
            is_cut: processes.len() >= MAX_INSTANCES,
        }
    }
}

impl PoolCard {
    fn new(process: &Process, pool: &PoolStatus, is_drawn: bool) -> Self {
        let lately = refused_lately(pool);
        let (state, tone) = match pool {
            pool if pool.unreachable => ("unreachable", "bad"),
            pool if is_saturated(pool) => ("saturated", "bad"),
            pool if pool.long_held_count > 0 => ("leaking", "warm"),
            pool if pool.stranded > 0 => ("stranded", "warm"),
            _ if lately > 0 => ("refusing", "warm"),
            pool if pool.waiting > 0 || pool.in_use >= pool.limit => ("busy", "warm"),
            _ => ("well", "good"),
        };
        let of = |figure: fn(&selvage_proto::operations::v1::PoolSample) -> u64| -> Vec<u64> {
            pool.history.iter().map(figure).collect()
        };
        let waits = of(|sample| sample.wait_p95_us);
        let longest = waits.iter().copied().max().unwrap_or(0);
        let curve = |class: &str, area: &[u64], line: &[u64], top: u64, label: &str| match is_drawn {
            true => picture::minute(class, area, line, top, label),
            false => String::new(),
        };
        Self {
            id: process.id(&pool.pool),
            place: if process.is_one_of_several { process.label() } else { String::new() },
            name: pool.pool.clone(),
            service: pool.service.clone(),
            state,
            tone,
            in_use: pool.in_use,
            limit: pool.limit,
            bounds: if pool.floor == pool.ceiling {
                format!("always {}", pool.floor)
            } else {
                format!("{} to {}", pool.floor, pool.ceiling)
            },
            waiting: pool.waiting,
            wait_p95: pool.wait_p95.as_ref().map_or_else(|| "–".to_owned(), |wait| lasting(micros(wait))),
            shed: match lately {
                0 => "0/s".to_owned(),
                lately => format!("{}.{}/s", lately / RATE_OVER, lately % RATE_OVER * 10 / RATE_OVER),
            },
            refused: pool.refused.iter().map(|refused| refused.count).sum(),
            places: picture::places(pool.in_use, pool.idle, pool.limit, pool.waiting),
            minute: curve(
                "use",
                &of(|sample| u64::from(sample.in_use) + u64::from(sample.waiting)),
                &of(|sample| sample.limit.into()),
                pool.limit.into(),
                "in use and waiting, against the limit, over the last minute",
            ),
            // At least ten milliseconds high, so that what nobody feels doesn't look like trouble.
            waits: curve(
                "wait",
                &waits,
                &[],
                10_000.max(longest),
                &format!("the wait's p95 over the last minute, {} at the most", lasting(longest)),
            ),
            held: pool
                .long_held
                .iter()
                .take(MAX_HELD)
                .map(|held| Held {
                    operation: held.operation.clone(),
                    site: held.site.clone(),
                    lasting: lasting(held.held.as_ref().map_or(0, micros)),
                })
                .collect(),
            held_more: (pool.long_held_count as usize).saturating_sub(MAX_HELD.min(pool.long_held.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Duration;
    use selvage_proto::operations::v1::{LongHeld, PoolSample};

    use super::*;
    use crate::view::operations::tests::process;

    #[test]
    fn a_card_says_in_a_word_how_its_pool_is() {
        let pool = PoolStatus { pool: "cart".into(), floor: 2, limit: 4, ceiling: 4, ..PoolStatus::default() };
        let held = LongHeld { operation: "x".into(), ..LongHeld::default() };
        for (state, pool) in [
            ("well", PoolStatus { in_use: 3, ..pool.clone() }),
            ("busy", PoolStatus { in_use: 4, ..pool.clone() }),
            ("saturated", PoolStatus { saturated: true, long_held_count: 1, ..pool.clone() }),
            ("leaking", PoolStatus { long_held_count: 9, long_held: vec![held], ..pool.clone() }),
            ("unreachable", PoolStatus { unreachable: true, saturated: true, ..pool.clone() }),
        ] {
            let cards = PoolCards::new(&[process("cart", vec![pool])]);
            assert_eq!((cards.pools[0].state, cards.pools[0].bounds.as_str()), (state, "2 to 4"));
            assert_eq!(
                cards.pools[0].held_more,
                if state == "leaking" { 8 } else { usize::from(state == "saturated") }
            );
        }
    }

    #[test]
    fn its_figures_are_written_for_people() {
        let sample = |refused| PoolSample { refused, limit: 4, ..PoolSample::default() };
        let pool = PoolStatus {
            wait_p95: Some(Duration { seconds: 0, nanos: 120_000_000 }),
            history: vec![sample(0), sample(0), sample(7)],
            ..PoolStatus::default()
        };
        let process = process("cart", Vec::new());
        let card = PoolCard::new(&process, &pool, true);
        assert_eq!((card.wait_p95.as_str(), card.shed.as_str()), ("120 ms", "1.4/s"));
        assert_eq!(PoolCard::new(&process, &PoolStatus::default(), true).wait_p95, "–");
    }
}
