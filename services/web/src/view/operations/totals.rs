//! The shop in a few figures.

use std::collections::BTreeMap;

use selvage_proto::operations::v1 as proto;
use selvage_proto::operations::v1::CallSample;

use super::picture;
use super::{away, here};
use crate::operations::Process;

/// Seconds over which a rate is taken.
const RATE_OVER: usize = 10;

/// The figures at the top.
pub(crate) struct Totals {
    /// Whether anybody counts calls.
    pub(crate) counts_calls: bool,
    /// "12.5/s".
    pub(crate) calls: String,
    pub(crate) calls_minute: String,
    /// "0.4 %".
    pub(crate) errors: String,
    pub(crate) has_errors: bool,
    pub(crate) errors_minute: String,
    pub(crate) in_use: u32,
    pub(crate) limit: u32,
    pub(crate) waiting: u32,
    pub(crate) processes: usize,
    pub(crate) processes_here: usize,
    pub(crate) tallies: Vec<Tally>,
}

/// Things that services count, by one property of theirs.
pub(crate) struct Tally {
    pub(crate) title: String,
    pub(crate) counts: Vec<TallyCount>,
}

/// The things for which the property has one value.
pub(crate) struct TallyCount {
    pub(crate) value: String,
    pub(crate) now: u64,
    pub(crate) reached: u64,
}

impl Totals {
    pub(crate) fn new(processes: &[Process]) -> Self {
        let all = || here(processes).map(|(_, status)| status);
        let histories: Vec<_> = all().map(|status| status.call_history.as_slice()).collect();
        let history = together(&histories);
        let per_second: Vec<CallSample> = history
            .windows(2)
            .map(|two| CallSample {
                calls: two[1].calls.saturating_sub(two[0].calls),
                errors: two[1].errors.saturating_sub(two[0].errors),
            })
            .collect();
        let lately = &per_second[per_second.len().saturating_sub(RATE_OVER)..];
        let (calls, errors) = lately.iter().fold((0, 0), |sum, second| (sum.0 + second.calls, sum.1 + second.errors));
        let seconds = u64::try_from(lately.len()).unwrap_or(1).max(1);
        let mut tallies: BTreeMap<&str, BTreeMap<&str, (u64, u64)>> = BTreeMap::new();
        // What isn't told apart is an alert's to tell.
        let told_apart = |tally: &&proto::Tally| tally.counts.iter().any(|counted| !counted.value.is_empty());
        for tally in all().flat_map(|status| &status.tallies).filter(told_apart) {
            let values = tallies.entry(&tally.title).or_default();
            for counted in &tally.counts {
                let sum = values.entry(&counted.value).or_default();
                // Each instance counts all that there are now, in the one database; and those alone that came by itself.
                *sum = (sum.0.max(counted.now), sum.1 + counted.reached);
            }
        }
        let pools = || all().flat_map(|status| &status.pools);
        let figures = |figure: fn(&CallSample) -> u64| per_second.iter().map(figure).collect::<Vec<_>>();
        Self {
            counts_calls: all().any(|status| !status.calls.is_empty()),
            calls: format!("{}/s", tenths(calls * 10 / seconds)),
            calls_minute: picture::minute("calls", &figures(|one| one.calls), &[], 5, "calls over the last minute"),
            errors: format!("{} %", tenths((errors * 1_000).checked_div(calls).unwrap_or(0))),
            has_errors: errors > 0,
            errors_minute: picture::minute("errors", &figures(|one| one.errors), &[], 5, "errors over the last minute"),
            in_use: pools().map(|pool| pool.in_use).sum(),
            limit: pools().map(|pool| pool.limit).sum(),
            waiting: pools().map(|pool| pool.waiting).sum(),
            processes: processes.len(),
            processes_here: processes.len() - away(processes).len(),
            tallies: tallies.into_iter().map(|(title, values)| Tally::new(title, values)).collect(),
        }
    }
}

impl Tally {
    fn new(title: &str, values: BTreeMap<&str, (u64, u64)>) -> Self {
        let counts = values.into_iter();
        let counts = counts.map(|(value, (now, reached))| TallyCount { value: in_words(value), now, reached });
        Self { title: title.to_owned(), counts: counts.collect() }
    }
}

fn tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// "OUT_OF_STOCK" as people write it.
fn in_words(state: &str) -> String {
    state.to_lowercase().replace('_', " ")
}

/// Several processes' samples as one, aligned at their newest. What is older than the shortest tells nothing of all.
fn together(histories: &[&[CallSample]]) -> Vec<CallSample> {
    let length = histories.iter().map(|history| history.len()).min().unwrap_or(0);
    let at = |place: usize| {
        let samples = histories.iter().map(|history| &history[history.len() - length + place]);
        samples.fold(CallSample::default(), |sum, one| CallSample {
            calls: sum.calls + one.calls,
            errors: sum.errors + one.errors,
        })
    };
    (0..length).map(at).collect()
}

#[cfg(test)]
mod tests {
    use selvage_proto::operations::v1::{CallCount, ProcessStatus};

    use super::*;
    use crate::operations::Seen;
    use crate::view::operations::tests::alone;

    fn process(calls: &[u64], errors: &[u64]) -> Process {
        let samples = calls.iter().zip(errors).map(|(calls, errors)| CallSample { calls: *calls, errors: *errors });
        let status = ProcessStatus {
            call_history: samples.collect(),
            calls: vec![CallCount::default()],
            tallies: vec![proto::Tally {
                title: "Orders".to_owned(),
                name: String::new(),
                counts: vec![proto::TallyCount { value: "OUT_OF_STOCK".to_owned(), now: 2, reached: 3 }],
            }],
            ..ProcessStatus::default()
        };
        alone("cart", Seen::Here(Box::new(status)))
    }

    #[test]
    fn rates_are_those_of_all_processes_together() {
        let one = process(&[0, 100, 110, 130], &[0, 0, 1, 2]);
        let other = process(&[50, 60, 80], &[0, 0, 0]);
        let totals = Totals::new(&[one, other, alone("delivery", Seen::Away)]);
        assert_eq!((totals.calls.as_str(), totals.errors.as_str()), ("30.0/s", "3.3 %"));
        assert_eq!((totals.processes_here, totals.processes, totals.counts_calls), (2, 3, true));
        let (tally, counted) = (&totals.tallies[0], &totals.tallies[0].counts[0]);
        assert_eq!((tally.title.as_str(), counted.value.as_str()), ("Orders", "out of stock"));
        assert_eq!((counted.now, counted.reached), (2, 6));
        let none = Totals::new(&[]);
        assert_eq!((none.calls.as_str(), none.errors.as_str(), none.counts_calls), ("0.0/s", "0.0 %", false));
    }
}
