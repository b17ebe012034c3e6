//! What the callers of one pool have seen, as a few figures.

use std::time::Duration;

use selvage_pool::Class;

use crate::load::{CAPACITY, Call, End, Shape};
use crate::{AT_ONCE, QUICK, QUIET, USEFUL};

/// Durations in order of length.
pub(crate) struct Sorted(Vec<Duration>);

impl Sorted {
    pub(crate) fn new(durations: impl Iterator<Item = Duration>) -> Self {
        let mut durations: Vec<_> = durations.collect();
        durations.sort_unstable();
        Self(durations)
    }

    /// The shortest that at least `percent` of them don't exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100);
        rank.checked_sub(1).map(|last| self.0[last])
    }
}

pub(crate) struct Figures {
    /// Useful answers during the surge, as a share of capacity.
    goodput: f64,
    /// All answers during the surge, as a share of capacity: those whose callers were still there.
    answered: f64,
    /// How long the answers took for those who came in the surge, by class.
    by_class: [Sorted; 3],
    came: usize,
    gave_up: usize,
    refusals: Sorted,
    /// Of the refusals, those that no wait came before.
    at_once: Sorted,
    /// From the surge's end to the first moment from which on everybody is answered quickly for a while.
    recovery: Option<Duration>,
}

impl Figures {
    pub(crate) fn of(shape: &Shape, calls: &[Call]) -> Self {
        let (begin, end) = shape.surge();
        let of_capacity = |within: Duration| {
            let during = calls.iter().filter(|call| (begin..end).contains(&call.ended));
            let answers = during.filter_map(Call::answered_in).filter(|took| *took <= within).count();
            answers as f64 / ((end - begin).as_secs_f64() * f64::from(CAPACITY))
        };
        let surge = || calls.iter().filter(|call| (begin..end).contains(&call.due));
        Self {
            goodput: of_capacity(USEFUL),
            answered: of_capacity(Duration::MAX),
            by_class: Class::ALL
                .map(|class| Sorted::new(surge().filter(|call| call.class == class).filter_map(Call::answered_in))),
            came: surge().count(),
            gave_up: surge().filter(|call| call.end == End::GaveUp).count(),
            refusals: Sorted::new(surge().filter_map(Call::refused_in)),
            at_once: Sorted::new(
                surge().filter(|call| call.end == End::Refused { at_once: true }).filter_map(Call::refused_in),
            ),
            recovery: recovery(shape, calls),
        }
    }

    /// What the pool is held to, in words, and whether it does it.
    pub(crate) fn promises(&self) -> [(&'static str, bool); 4] {
        let critical = self.by_class[0].percentile(99);
        let at_once = self.at_once.percentile(99);
        [
            ("goodput of at least 0.95 of capacity during the surge", self.goodput >= 0.95),
            ("p99 of the critical answers at most 2 × the longest wait", critical.is_some_and(|p99| p99 <= USEFUL)),
            ("p99 of the refusals at once below 5 ms, and there are some", at_once.is_some_and(|p99| p99 < AT_ONCE)),
            ("recovered within 1 s after the surge", self.recovery.is_some_and(|took| took <= Duration::from_secs(1))),
        ]
    }
}

fn recovery(shape: &Shape, calls: &[Call]) -> Option<Duration> {
    let (_, end) = shape.surge();
    let mut since = end;
    for call in calls.iter().filter(|call| call.due >= end) {
        if call.due >= since + QUIET {
            break;
        }
        if call.answered_in().is_none_or(|took| took >= QUICK) {
            since = call.due;
        }
    }
    (since + QUIET <= shape.end()).then(|| since - end)
}

pub(crate) fn print(plain: &Figures, ours: &Figures) {
    let line = |what: &str, figure: &dyn Fn(&Figures) -> String| {
        println!("{what:<44}{:>20}{:>20}", figure(plain), figure(ours));
    };
    println!("\n{:<44}{:>20}{:>20}", "", "plain SeaORM pool", "ours");
    line("useful answers in the surge, of capacity", &|of| format!("{:.0} %", of.goodput * 100.0));
    line("all answers in the surge, of capacity", &|of| format!("{:.0} %", of.answered * 100.0));
    for (index, class) in Class::ALL.into_iter().enumerate() {
        line(&format!("answers to {} callers, p50 / p99", class.name()), &|of| {
            let [half, most] = [50, 99].map(|percent| told(of.by_class[index].percentile(percent)));
            format!("{half} / {most}")
        });
    }
    line("callers in the surge", &|of| of.came.to_string());
    line("… that gave up", &|of| of.gave_up.to_string());
    line("… that were refused", &|of| of.refusals.0.len().to_string());
    line("… of these at once", &|of| of.at_once.0.len().to_string());
    line("a refusal took, p99", &|of| told(of.refusals.percentile(99)));
    line("a refusal at once took, p99", &|of| told(of.at_once.percentile(99)));
    line("recovered after the surge's end", &|of| told(of.recovery));
    println!();
}

fn told(duration: Option<Duration>) -> String {
    let Some(duration) = duration else { return "–".into() };
    let millis = duration.as_secs_f64() * 1e3;
    match millis {
        ..10.0 => format!("{millis:.2} ms"),
        ..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", millis / 1e3),
    }
}
