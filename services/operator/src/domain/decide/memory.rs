//! What one decision leaves for the next.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::rules;
use crate::domain::moment::Moment;

/// What one decision leaves for the next. It is empty at first, or begins with the [`Baselines`] of whoever decided before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    pub(super) database: DatabaseMemory,
    pub(super) scalers: BTreeMap<String, ScalerMemory>,
}

/// How long things take when nobody lacks anything. They are kept where they outlive the process, so that its successor
/// doesn't learn an overload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baselines {
    /// The probe's fixed statement.
    pub statement: Option<Duration>,
    /// A use, by scaler and name of the operation.
    pub uses: BTreeMap<String, BTreeMap<String, Duration>>,
}

impl Memory {
    /// A memory that knows these baselines and nothing else.
    pub fn of(baselines: &Baselines) -> Self {
        let database = DatabaseMemory {
            statement: baselines.statement.map(Baseline::believed).unwrap_or_default(),
            ..DatabaseMemory::default()
        };
        let scalers = baselines.uses.iter().map(|(name, uses)| {
            let believed = uses.iter().map(|(operation, time)| (operation.clone(), Baseline::believed(*time)));
            (name.clone(), ScalerMemory { baselines: believed.collect(), ..ScalerMemory::default() })
        });
        Self { database, scalers: scalers.collect() }
    }

    /// The baselines that are believed.
    pub fn baselines(&self) -> Baselines {
        let uses = self.scalers.iter().map(|(name, scaler)| {
            let believed =
                scaler.baselines.iter().filter_map(|(operation, known)| Some((operation.clone(), known.time()?)));
            (name.clone(), believed.collect())
        });
        Baselines { statement: self.database.statement.time(), uses: uses.collect() }
    }
}

/// Of the database.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DatabaseMemory {
    /// When the probe was last learned from.
    pub(super) learned_at: Option<Moment>,
    pub(super) statement: Baseline,
    /// The probe's statement is slow.
    pub(super) slow: Spell,
    /// The probe's statement is so slow that it is cut hard.
    pub(super) hard_slow: Spell,
    /// More backends are active than the database has room for, and uses are slow.
    pub(super) crowded: Spell,
    /// Somebody waits, anywhere.
    pub(super) waiting: Spell,
}

/// From when to when something was so, with no break longer than [`rules::BREAK`](super::rules::BREAK).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spell(Option<(Moment, Moment)>);

impl Spell {
    /// How long it has been so, with what is seen now. A break adds nothing before it is over.
    pub(super) fn see(&mut self, is_so: bool, now: Moment) -> Duration {
        let current = self.0.filter(|(_, last)| now.since(*last) <= rules::BREAK);
        self.0 = if is_so { Some((current.map_or(now, |(first, _)| first), now)) } else { current };
        self.0.map_or(Duration::ZERO, |(first, last)| last.since(first))
    }

    /// Whether it is so, or was a moment ago: no break is over.
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

/// Of a scaler.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ScalerMemory {
    pub(super) pods: BTreeMap<String, PodMemory>,
    pub(super) baselines: BTreeMap<String, Baseline>,
    /// Recent uses by operation.
    pub(super) recent: BTreeMap<String, Recent>,
    /// The same by pool.
    pub(super) recent_of_pools: BTreeMap<String, Recent>,
    pub(super) recent_at: Moment,
    /// Uses that ended, as far as they were seen.
    pub(super) used: u64,
    /// Connections that were asked for, for the stable window.
    pub(super) demand: VecDeque<(Moment, f64)>,
    /// Rounds of reports in a row that told of pressure.
    pub(super) pressed_reports: u32,
    /// When the first and the last of them came.
    pub(super) pressed: Option<(Moment, Moment)>,
    /// Since when there is no pressure.
    pub(super) calm_since: Option<Moment>,
    /// Replicas that were needed, for as long as they must be unneeded before any is taken away.
    pub(super) needed: VecDeque<(Moment, u32)>,
    /// Replicas that the workload had, for the longest period of its behaviour.
    pub(super) replicas: VecDeque<(Moment, u32)>,
    /// What the present limit gives.
    pub(super) level: Option<Level>,
    /// A raised limit that is still watched.
    pub(super) trial: Option<Trial>,
    /// The last trial that gained nothing.
    pub(super) failed: Option<FailedTrial>,
    pub(super) cut: Option<Cut>,
    /// Connections per pod that were last wanted.
    pub(super) connections: Option<u32>,
}

/// The counters of a pod's last report, and what has happened between it and the one before, by the second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodMemory {
    pub(super) at: Moment,
    pub(super) uses: BTreeMap<String, (u64, Duration)>,
    pub(super) pools: BTreeMap<String, PoolMemory>,
}

/// The same of one of its pools.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PoolMemory {
    pub(super) refused: u64,
    pub(super) uses: (u64, Duration),
    pub(super) waiting: u32,
    pub(super) rates: Rates,
}

/// Events by the second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) uses: f64,
    pub(super) refused: f64,
    /// How fast the queue grows.
    pub(super) queue: f64,
}

/// A mean that is learned slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Baseline {
    seconds: f64,
    uses: f64,
}

impl Baseline {
    fn believed(time: Duration) -> Self {
        Self { seconds: time.as_secs_f64(), uses: f64::from(rules::BASELINE_USES) }
    }

    /// Learns from `count` uses of `seconds` in all, `since` the last such lesson.
    pub(super) fn learn(&mut self, count: f64, seconds: f64, since: Duration) {
        if count <= 0.0 {
            return;
        }
        let slow = 1.0 - (-since.as_secs_f64() / rules::BASELINE_OVER.as_secs_f64()).exp();
        // A plain mean as long as it is about as good.
        let share = slow.max(if self.seconds().is_none() { count / (self.uses + count) } else { 0.0 });
        self.seconds += (seconds / count - self.seconds) * share;
        self.uses += count;
    }

    /// The mean, if it is believed.
    pub(super) fn seconds(&self) -> Option<f64> {
        (self.uses >= f64::from(rules::BASELINE_USES) && self.seconds > 0.0).then_some(self.seconds)
    }

    fn time(&self) -> Option<Duration> {
        self.seconds().map(Duration::from_secs_f64)
    }
}

/// Uses in which what is [`rules::RECENT`] old counts 1/e.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Recent {
    pub(super) count: f64,
    pub(super) seconds: f64,
}

/// What a scaler gets done with the connections that it has, while more are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub(super) limit: u32,
    /// Uses that had ended when it was first seen, and when that was.
    pub(super) began: (u64, Moment),
    /// The same for when it was last seen.
    pub(super) seen: (u64, Moment),
    /// Uses and their rate in the window before this one.
    pub(super) before: Option<(u64, f64)>,
}

/// Whether more connections get more done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trial {
    pub(super) from: u32,
    /// Uses that had ended by then, and when that was.
    pub(super) began: (u64, Moment),
    /// Uses that the rate before stands on, and that rate.
    pub(super) before: (u64, f64),
}

/// A raise that got nothing more done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FailedTrial {
    pub(super) at: Moment,
    pub(super) from: u32,
    pub(super) to: u32,
    /// Uses by the second before and after.
    pub(super) rates: (f64, f64),
    /// A cut has answered it.
    pub(super) is_answered: bool,
}

/// Connections that all pods of a scaler may have together, because the database is the bottleneck.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) connections: u32,
    /// When it last changed.
    pub(super) at: Moment,
}

/// Forgets what is older than `window`.
pub(super) fn forget<T>(kept: &mut VecDeque<(Moment, T)>, window: Duration, now: Moment) {
    while kept.front().is_some_and(|(at, _)| now.since(*at) > window) {
        kept.pop_front();
    }
}

/// Adds a value, or the larger of both to the last one if that isn't older than `grain`: the number of values is bounded
/// by the window over the grain, however often there is a decision.
pub(super) fn remember<T: PartialOrd>(kept: &mut VecDeque<(Moment, T)>, value: T, grain: Duration, now: Moment) {
    match kept.back_mut() {
        Some((at, last)) if now.since(*at) < grain => {
            if value > *last {
                *last = value;
            }
        }
        _ => kept.push_back((now, value)),
    }
}
