//! The alerts, tested with the real parts: rules as Prometheus reads them, their unit tests with promtool, pages through
//! Alertmanager, and a page of the runbook for each.
//!
//! # How to add an alert
//!
//! 1. **Write the rule** into the file of its kind in `charts/selvage/files/alerts`. It may use the metrics of `metrics.txt`
//!    and `operator.txt`, and no others. It has a severity (critical wakes somebody, warning waits for the morning, info is for the record), a
//!    summary of one sentence that names whatever the rule is grouped by, a description with the likely cause, and a
//!    `runbook_url` that ends in the alert's name. The group `selvage-fast` is evaluated each second, for what must be seen
//!    within seconds: its rules look at gauges as they are, and have no `for`.
//! 2. **Test it** in the file of the same name in `alerts/tests`: one test in which it fires, and one in which it nearly does
//!    and stays silent. `alerts::unit` breaks each rule in several ways, and fails if no test notices.
//! 3. **Write its page** `k8s/runbooks/NAME.md`, with the six parts that the other pages have, and name it in the table of
//!    `k8s/runbooks/README.md`. A person reads it at three in the morning: commands to copy, no theory.
//! 4. **Show it on `/ops`**, if a process can tell by itself: `services/web/src/operations` has the fast alerts with the same
//!    names and conditions. Mark it on a panel of `tests/whole/dashboards`, so that the panel links to the page.
//! 5. `cargo test -p selvage-tests --test whole -- alerts` says what is missing.

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
