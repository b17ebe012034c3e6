//! Calls and orders, as the process's own metrics count them.

use std::collections::BTreeMap;

use selvage_proto::operations::v1::{CallCount, CallSample, OrderCount};
use selvage_telemetry::metrics::proto::{Metric, MetricFamily};

/// The histogram of calls that were answered, and its labels.
const CALLS: &str = "rpc_server_call_duration_seconds";
const METHOD: &str = "rpc_method";
const STATUS: &str = "rpc_response_status_code";
/// Orders by state: those that are in it now, and those that reached it.
const ORDERS: &str = "selvage_orders";
const ORDERS_CHANGED: &str = "selvage_orders_changed_total";
const STATE: &str = "state";
/// Those that stand still.
const ORDERS_STANDING: &str = "selvage_orders_standing";

/// Methods have some 40, each with a few codes.
const MAX_CALLS: usize = 256;
/// Orders have a dozen states.
const MAX_STATES: usize = 32;
/// Calls about operations aren't the shop's, nor is whoever asks whether it is well.
const NOT_THE_SHOPS: [&str; 3] = ["selvage.operations.", "grpc.health.", "grpc.reflection."];
/// Failures that aren't their caller's doing.
const ERRORS: [&str; 7] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// What is told of them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) calls: Vec<CallCount>,
    pub(super) orders: Vec<OrderCount>,
    pub(super) orders_standing: u64,
}

pub(super) fn read(families: &[MetricFamily]) -> Totals {
    let of = |name: &'static str| {
        families.iter().filter(move |family| family.name() == name).flat_map(MetricFamily::get_metric)
    };
    let mut calls: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for metric in of(CALLS) {
        let (method, status) = (label(metric, METHOD), label(metric, STATUS));
        if !NOT_THE_SHOPS.iter().any(|other| method.starts_with(other)) {
            *calls.entry((method, status)).or_default() += metric.get_histogram().get_sample_count();
        }
    }
    let mut orders: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for metric in of(ORDERS) {
        orders.entry(label(metric, STATE)).or_default().0 += whole(metric.get_gauge().get_value());
    }
    for metric in of(ORDERS_CHANGED) {
        orders.entry(label(metric, STATE)).or_default().1 += whole(metric.get_counter().get_value());
    }
    Totals {
        calls: calls
            .into_iter()
            .take(MAX_CALLS)
            .map(|((method, status), count)| CallCount { method: method.to_owned(), status: status.to_owned(), count })
            .collect(),
        orders: orders
            .into_iter()
            .take(MAX_STATES)
            .map(|(state, (now, reached))| OrderCount { state: state.to_owned(), now, reached })
            .collect(),
        orders_standing: of(ORDERS_STANDING).map(|metric| whole(metric.get_gauge().get_value())).sum(),
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
    fn calls_are_counted_by_method_and_status_and_ours_are_left_out() {
        assert_eq!(read(&[]), Totals::default());
        let cart = "selvage.cart.v1.Cart/GetCart";
        let answered = family(
            CALLS,
            vec![
                calls(cart, "OK", 90),
                calls(cart, "RESOURCE_EXHAUSTED", 4),
                calls(cart, "NOT_FOUND", 6),
                calls("selvage.operations.v1.Operations/Watch", "OK", 1_000),
            ],
        );
        let totals = read(&[answered]);
        assert_eq!(totals.calls.len(), 3);
        assert_eq!(totals.calls[1], CallCount { method: cart.into(), status: "OK".into(), count: 90 });
        assert_eq!(sample(&totals.calls), CallSample { calls: 100, errors: 4 });
    }

    #[test]
    fn orders_are_counted_by_state() {
        let mut waiting = labelled(&[(STATE, "PENDING")]);
        let mut gauge = Gauge::default();
        gauge.set_value(2.0);
        waiting.set_gauge(gauge);
        let mut reached = labelled(&[(STATE, "SHIPPED")]);
        let mut counter = Counter::default();
        counter.set_value(7.0);
        reached.set_counter(counter);
        let mut standing = labelled(&[]);
        let mut gauge = Gauge::default();
        gauge.set_value(3.0);
        standing.set_gauge(gauge);
        let totals = read(&[
            family(ORDERS, vec![waiting]),
            family(ORDERS_CHANGED, vec![reached]),
            family(ORDERS_STANDING, vec![standing]),
        ]);
        assert_eq!(totals.orders_standing, 3);
        let expected = [("PENDING", 2, 0), ("SHIPPED", 0, 7)];
        let expected = expected.map(|(state, now, reached)| OrderCount { state: state.into(), now, reached });
        assert_eq!(totals.orders, expected);
    }
}
