//! Calls, and what services count of their own, as the process's own metrics have them.

use std::collections::BTreeMap;

use selvage_proto::operations::v1 as proto;
use selvage_proto::operations::v1::{CallCount, CallSample, TallyCount};
use selvage_telemetry::metrics::proto::{Metric, MetricFamily};

/// The histogram of calls that were answered, and its labels.
const CALLS: &str = "rpc_server_call_duration_seconds";
const METHOD: &str = "rpc_method";
const STATUS: &str = "rpc_response_status_code";

/// Methods have some 40, each with a few codes.
const MAX_CALLS: usize = 256;
/// The property that a tally is by has a dozen values.
const MAX_VALUES: usize = 32;
/// Calls about operations aren't a service's work, nor is whoever asks whether it is well.
const ABOUT_THE_PROCESS: [&str; 3] = ["selvage.operations.", "grpc.health.", "grpc.reflection."];
/// Failures that aren't their caller's doing.
const ERRORS: [&str; 7] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// Things that a service counts by one property of theirs, in metrics of its own: where they stand in `/metrics`.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// What they are, for people.
    pub title: &'static str,
    /// The attribute that is the property; empty if the things aren't told apart.
    pub attribute: &'static str,
    /// The gauge of how many there are now, by its name in `/metrics`.
    pub now: &'static str,
    /// The counter of how many have come to a value, by its name in `/metrics`; empty if nothing counts that.
    pub reached: &'static str,
}

/// What is told of them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) calls: Vec<CallCount>,
    pub(super) tallies: Vec<proto::Tally>,
}

pub(super) fn read(families: &[MetricFamily], tallies: &[Tally]) -> Totals {
    let mut calls: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for metric in of(families, CALLS) {
        let (method, status) = (label(metric, METHOD), label(metric, STATUS));
        if !ABOUT_THE_PROCESS.iter().any(|other| method.starts_with(other)) {
            *calls.entry((method, status)).or_default() += metric.get_histogram().get_sample_count();
        }
    }
    Totals {
        calls: calls
            .into_iter()
            .take(MAX_CALLS)
            .map(|((method, status), count)| CallCount { method: method.to_owned(), status: status.to_owned(), count })
            .collect(),
        tallies: tallies.iter().map(|tally| count(families, tally)).collect(),
    }
}

fn count(families: &[MetricFamily], tally: &Tally) -> proto::Tally {
    let mut values: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for metric in of(families, tally.now) {
        values.entry(label(metric, tally.attribute)).or_default().0 += whole(metric.get_gauge().get_value());
    }
    for metric in of(families, tally.reached) {
        values.entry(label(metric, tally.attribute)).or_default().1 += whole(metric.get_counter().get_value());
    }
    let counts = values.into_iter().take(MAX_VALUES);
    proto::Tally {
        title: tally.title.to_owned(),
        name: tally.now.to_owned(),
        counts: counts.map(|(value, (now, reached))| TallyCount { value: value.to_owned(), now, reached }).collect(),
    }
}

/// All calls together.
pub(super) fn sample(calls: &[CallCount]) -> CallSample {
    let sum = |calls: &mut dyn Iterator<Item = &CallCount>| calls.map(|call| call.count).sum();
    CallSample {
        calls: sum(&mut calls.iter()),
        errors: sum(&mut calls.iter().filter(|call| ERRORS.contains(&call.status.as_str()))),
    }
}

fn of<'a>(families: &'a [MetricFamily], name: &str) -> impl Iterator<Item = &'a Metric> {
    families.iter().filter(move |family| family.name() == name).flat_map(MetricFamily::get_metric)
}

fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    metric.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value())
}

/// A count that travels as a floating-point number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are whole, and below 2^53")]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use selvage_telemetry::metrics::proto::{Counter, Gauge, Histogram, LabelPair};

    use super::*;

    fn family(name: &str, metrics: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_metric(metrics);
        family
    }

    fn labelled(labels: &[(&str, &str)]) -> Metric {
        let pair = |(name, value): &(&str, &str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        Metric::from_label(labels.iter().map(pair).collect())
    }

    fn calls(method: &str, status: &str, count: u64) -> Metric {
        let mut metric = labelled(&[(METHOD, method), (STATUS, status), ("rpc_system_name", "grpc")]);
        let mut histogram = Histogram::default();
        histogram.set_sample_count(count);
        metric.set_histogram(histogram);
        metric
    }

    #[test]
    fn calls_are_counted_by_method_and_status_and_those_about_the_process_are_left_out() {
        assert_eq!(read(&[], &[]), Totals::default());
        let read_one = "test.v1.Test/Read";
        let answered = family(
            CALLS,
            vec![
                calls(read_one, "OK", 90),
                calls(read_one, "RESOURCE_EXHAUSTED", 4),
                calls(read_one, "NOT_FOUND", 6),
                calls("selvage.operations.v1.Operations/Watch", "OK", 1_000),
            ],
        );
        let totals = read(&[answered], &[]);
        assert_eq!(totals.calls.len(), 3);
        assert_eq!(totals.calls[1], CallCount { method: read_one.into(), status: "OK".into(), count: 90 });
        assert_eq!(sample(&totals.calls), CallSample { calls: 100, errors: 4 });
    }

    #[test]
    fn what_a_service_counts_is_told_by_the_property_that_it_names() {
        let things = Tally { title: "Things", attribute: "colour", now: "things", reached: "things_changed_total" };
        let mut there = labelled(&[("colour", "BLUE")]);
        let mut gauge = Gauge::default();
        gauge.set_value(2.0);
        there.set_gauge(gauge);
        let mut reached = labelled(&[("colour", "RED")]);
        let mut counter = Counter::default();
        counter.set_value(7.0);
        reached.set_counter(counter);
        let families = [family(things.now, vec![there]), family(things.reached, vec![reached])];
        let told = &read(&families, &[things]).tallies[0];
        let expected = [("BLUE", 2, 0), ("RED", 0, 7)];
        let expected = expected.map(|(value, now, reached)| TallyCount { value: value.into(), now, reached });
        assert_eq!((told.title.as_str(), told.counts.as_slice()), ("Things", expected.as_slice()));
        assert!(read(&[], &[things]).tallies[0].counts.is_empty());
    }
}
