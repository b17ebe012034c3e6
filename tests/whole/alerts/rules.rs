//! What every rule must say, and that nobody is left alone with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::promql::Names;
use super::{groups, is_alert, rules, text};

const POOL: &str = "db_client_connection_pool_name";
const RUNBOOKS: &str = "https://github.com/selvage-shop/selvage/blob/main/k8s/runbooks/";

fn runbooks() -> PathBuf {
    selvage_tests::prometheus::shipped().ancestors().nth(3).expect("the top").join("k8s/runbooks")
}

/// Whether the series of a query have this label: it groups by it, or begins with a recorded series that is named after
/// what it was grouped by.
fn has(query: &str, label: &str) -> bool {
    let recorded = match query.split(':').next() {
        Some("pool") => ["service_name", POOL].contains(&label),
        Some("service_kind") => ["service_name", "kind"].contains(&label),
        _ => false,
    };
    recorded || Names::of(query).labels.contains(label)
}

#[test]
fn every_alert_says_what_is_wrong_with_which_pool_why_and_what_to_do() {
    let Some(groups) = groups() else { return };
    let mut alerts = 0;
    for alert in rules(groups).filter(|rule| is_alert(rule)) {
        alerts += 1;
        let (name, said) = (text(alert, "name"), &alert["annotations"]);
        let (summary, description) = (text(said, "summary"), text(said, "description"));
        let severity = text(&alert["labels"], "severity");
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: severity {severity:?}");
        assert_eq!(text(said, "runbook_url"), format!("{RUNBOOKS}{name}.md"), "{name}");
        assert!(description.contains("ikely cause"), "{name}: why? {description}");
        assert!(summary.len() > 20 && !summary.contains('\n') && summary.ends_with('.'), "{name}: {summary}");
        // What it is grouped by, it names.
        let query = text(alert, "query");
        let labels = ["service_name", POOL, "outbox", "kind", "fault", "scaler", "constraint", "budget", "what"];
        for label in labels {
            let names = summary.contains(&format!("$labels.{label}"));
            assert_eq!(has(query, label), names, "{name}: {label} in '{summary}'");
        }
    }
    assert!(alerts > 15, "{alerts} alerts");
}

#[test]
fn what_must_be_fast_waits_for_nothing() {
    let Some(groups) = groups() else { return };
    let fast = groups.iter().find(|group| group["name"] == "selvage-fast").expect("the fast group");
    assert_eq!(fast["interval"], 1);
    for alert in rules(std::slice::from_ref(fast)) {
        assert!(is_alert(alert) && alert["duration"] == 0, "{alert}");
        let query = text(alert, "query");
        assert!(query.starts_with("max by (") && !query.contains('['), "a gauge as it is: {query}");
    }
}

#[test]
fn every_alert_has_a_page_in_the_runbook_and_every_page_an_alert() {
    let Some(groups) = groups() else { return };
    let alerts: BTreeSet<_> =
        rules(groups).filter(|rule| is_alert(rule)).map(|rule| text(rule, "name").to_owned()).collect();
    let index = fs::read_to_string(runbooks().join("README.md")).expect("an index");
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(runbooks()).expect("the runbook") {
        let name = entry.expect("a page").file_name().into_string().expect("a name");
        if let Some(page) = name.strip_suffix(".md").filter(|page| *page != "README") {
            assert!(index.contains(&format!("[{page}]({page}.md)")), "{page} isn't in the index");
            pages.insert(page.to_owned());
        }
    }
    assert_eq!(alerts, pages, "alerts, and pages of the runbook");
}

/// The parts that somebody looks for at night, in the order in which they are needed.
const PARTS: [&str; 6] = [
    "## What it means",
    "## Look here first",
    "## Likely causes",
    "## What to do",
    "## What not to do",
    "## It is over when",
];

#[test]
fn every_page_of_the_runbook_has_the_same_parts_and_is_short() {
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(runbooks()).expect("the runbook") {
        let path = entry.expect("a page").path();
        let page = fs::read_to_string(&path).expect("a page");
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        if name == "README" {
            continue;
        }
        assert!(page.starts_with(&format!("# {name}\n")), "{name}: its title");
        let places: Vec<_> =
            PARTS.iter().map(|part| page.find(part).unwrap_or_else(|| panic!("{name}: no '{part}'"))).collect();
        assert!(places.is_sorted(), "{name}: its parts are in another order");
        assert!(page.contains("**Urgent") || page.contains("**Not urgent"), "{name}: is it urgent?");
        assert!((20..=90).contains(&page.lines().count()), "{name}: {} lines", page.lines().count());
        // Nothing is said twice: a page that could be another's tells nobody anything.
        for paragraph in page.split("\n\n").map(str::trim).filter(|text| text.len() > 90 && !text.starts_with("```")) {
            assert!(seen.insert(paragraph.to_owned()), "{name} and another say: {paragraph}");
        }
    }
}
