//! The alerts, with the real parts: rules as Prometheus reads them, their unit tests with promtool, pages through
//! Alertmanager, and a page of the runbook for each.

mod commands;
mod fast;
mod fault;
mod paging;
pub(crate) mod promql;
mod rules;
pub(crate) mod series;
mod unit;

use std::sync::LazyLock;

use selvage_tests::prometheus::Prometheus;
use serde_json::Value;

const SKIPPED: &str = "the alerts on a real Prometheus";

/// The groups of the shipped rules, as Prometheus' API has them: read by the program that will run them. Nothing where
/// there is no Prometheus.
pub(crate) fn groups() -> Option<&'static [Value]> {
    static GROUPS: LazyLock<Option<Vec<Value>>> =
        LazyLock::new(|| Prometheus::start(&[], None, SKIPPED).map(|prometheus| prometheus.groups()));
    GROUPS.as_deref()
}

/// The rules of `groups`.
pub(crate) fn rules(groups: &[Value]) -> impl Iterator<Item = &Value> {
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"))
}

/// Whether a rule alerts; else it records.
fn is_alert(rule: &Value) -> bool {
    rule["type"] == "alerting"
}

/// A string of a rule's; empty if it hasn't that.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
