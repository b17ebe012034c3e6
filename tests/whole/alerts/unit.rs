//! promtool runs the unit tests of the rules; and the tests are tested, by rules that are wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use selvage_tests::installed::installed;
use selvage_tests::prometheus::shipped;
use serde_json::{Map, Value, json};

use super::promql::Names;
use super::{SKIPPED, groups, is_alert, rules, text};

fn promtool(program: &Path, arguments: &[&str], files: &[PathBuf]) -> Output {
    Command::new(program).args(arguments).args(files).output().expect("promtool runs")
}

/// The YAML files of a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

fn succeeds(output: &Output) {
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_rules_are_right_and_pass_their_unit_tests() {
    let Some(promtool_at) = installed(&["promtool"], "the unit tests of the alerts") else { return };
    let alerts = shipped().join("alerts");
    succeeds(&promtool(&promtool_at, &["check", "rules"], &files(&alerts)));
    succeeds(&promtool(&promtool_at, &["check", "config"], &[shipped().join("prometheus.yaml")]));
    succeeds(&promtool(&promtool_at, &["test", "rules"], &files(&alerts.join("tests"))));
}

/// Which of several alerts of one name.
type Which = (String, String, String);

/// The shipped tests, run against rules whose alerts were changed; what the failures say of alerts in lines with
/// `marker`.
fn told_by_failures(program: &Path, change: impl Fn(&str) -> String, marker: &str) -> BTreeSet<Which> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tests = folder.path().join("tests");
    fs::create_dir(&tests).expect("a folder");
    for file in files(&shipped().join("alerts/tests")) {
        fs::copy(&file, tests.join(file.file_name().expect("a name"))).expect("a copy");
    }
    for group in groups().expect("Prometheus is here") {
        let changed: Vec<_> =
            group["rules"].as_array().expect("rules").iter().map(|rule| written(rule, &change)).collect();
        let file = Path::new(text(group, "file")).file_name().expect("a file").to_owned();
        // YAML takes JSON as it is.
        let file_text = json!({"groups": [{"name": group["name"], "rules": changed}]});
        fs::write(folder.path().join(file), file_text.to_string()).expect("a file");
    }
    let output = promtool(program, &["test", "rules"], &files(&tests));
    assert!(!output.status.success(), "the tests don't notice that every alert is wrong");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut told = BTreeSet::new();
    for line in said.lines().filter(|line| line.contains(marker)) {
        for one in line.split("alertname=\"").skip(1) {
            let labels = one.split('}').next().unwrap_or_default();
            let label = |name: &str| {
                let value = labels.split_once(&format!("{name}=\"")).map(|(_, rest)| rest.split('"').next());
                value.flatten().unwrap_or_default().to_owned()
            };
            told.insert((one.split('"').next().unwrap_or_default().to_owned(), label("severity"), label("burn")));
        }
    }
    told
}

/// A rule as it stands in a file, from how the API shows it.
fn written(rule: &Value, change: &impl Fn(&str) -> String) -> Value {
    let mut written = Map::new();
    let seconds = |name: &str| format!("{}s", rule[name].as_f64().unwrap_or_default());
    if is_alert(rule) {
        written.insert("alert".into(), rule["name"].clone());
        written.insert("expr".into(), change(text(rule, "query")).into());
        written.insert("for".into(), seconds("duration").into());
        written.insert("keep_firing_for".into(), seconds("keepFiringFor").into());
        written.insert("annotations".into(), rule["annotations"].clone());
    } else {
        written.insert("record".into(), rule["name"].clone());
        written.insert("expr".into(), rule["query"].clone());
    }
    if rule["labels"].is_object() {
        written.insert("labels".into(), rule["labels"].clone());
    }
    Value::Object(written)
}

#[test]
fn every_alert_is_fired_by_a_unit_test_and_kept_silent_by_another() {
    let (Some(program), Some(groups)) = (installed(&["promtool"], SKIPPED), groups()) else { return };
    let all: BTreeSet<Which> = rules(groups)
        .filter(|rule| is_alert(rule))
        .map(|rule| {
            (text(rule, "name").into(), text(&rule["labels"], "severity").into(), text(&rule["labels"], "burn").into())
        })
        .collect();
    // An alert that can't fire is missed by a test that expects it.
    let missed = told_by_failures(&program, |query| format!("({query}) unless on () vector(1)"), "exp: {");
    assert_eq!(all.difference(&missed).collect::<Vec<_>>(), Vec::<&Which>::new(), "no unit test fires these");
    // One that always fires disturbs a test that expects silence.
    let disturbing = told_by_failures(&program, |query| format!("({query}) or on () vector(1)"), "got: {");
    assert_eq!(
        all.difference(&disturbing).collect::<Vec<_>>(),
        Vec::<&Which>::new(),
        "no unit test keeps these silent"
    );
}

#[test]
fn the_healthy_shop_has_every_series_that_an_alert_looks_at() {
    let Some(groups) = groups() else { return };
    let healthy = fs::read_to_string(shipped().join("alerts/tests/healthy.yaml")).expect("the healthy shop");
    let played: BTreeSet<_> = healthy.lines().filter_map(|line| line.trim().strip_prefix("- series: ")).collect();
    for rule in rules(groups) {
        for metric in Names::of(text(rule, "query")).metrics {
            let begins = format!("{metric}{{");
            let is_played = played.iter().any(|series| series.starts_with(&begins));
            let is_recorded = rules(groups).any(|other| !is_alert(other) && text(other, "name") == metric);
            assert!(is_played || is_recorded, "{}: its silence means nothing without {metric}", text(rule, "name"));
        }
    }
}
