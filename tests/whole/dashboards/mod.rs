//! The dashboards for Grafana, written here and nowhere else: `SELVAGE_DASHBOARDS=write cargo test -p selvage-tests
//! --test whole -- dashboards` writes what the chart ships, and without that variable it is compared.

mod expression;
mod operator;
mod panel;
mod pools;
mod shop;

use std::collections::BTreeSet;
use std::fs;

use selvage_tests::prometheus::shipped;
use serde_json::{Value, json};

use self::panel::{Panel, laid_out, source};
use crate::alerts::{groups, series};

/// Where the runbook is read.
const RUNBOOKS: &str = "https://github.com/selvage-shop/selvage/blob/main/k8s/runbooks/";

/// A dashboard before it is written.
struct Dashboard {
    /// Its file, its address in Grafana.
    name: &'static str,
    title: &'static str,
    description: String,
    /// Whether it can be narrowed to pools, not only to services.
    has_pools: bool,
    rows: Vec<(&'static str, Vec<Panel>)>,
}

fn all() -> [Dashboard; 3] {
    [shop::dashboard(), pools::dashboard(), operator::dashboard()]
}

/// A variable with the values of a label, all of them to begin with.
fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": source(),
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
    })
}

impl Dashboard {
    fn written(&self) -> Value {
        let services = "label_values(process_memory_usage_bytes, service_name)";
        let pools = "label_values(selvage_pool_limit{service_name=~\"$service\"}, db_client_connection_pool_name)";
        let mut variables = vec![
            json!({"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}),
            variable("service", "Service", services),
        ];
        if self.has_pools {
            variables.push(variable("pool", "Pool", pools));
        }
        json!({
            "uid": format!("selvage-{}", self.name),
            "title": self.title,
            "description": self.description,
            "tags": ["selvage"],
            "schemaVersion": 39,
            "version": 1,
            "editable": false,
            "graphTooltip": 1,
            "refresh": "5s",
            "timezone": "browser",
            "time": {"from": "now-30m", "to": "now"},
            "templating": {"list": variables},
            "annotations": {"list": [
                noted("Alerts", "red", ALERTS, "{{alertname}} {{service_name}} {{db_client_connection_pool_name}}"),
                noted("Faults", "purple", FAULTS, "{{fault}} in {{service_name}}"),
            ]},
            "links": [
                {
                    "title": "Selvage", "type": "dashboards", "tags": ["selvage"], "asDropdown": true, "keepTime": true,
                    "includeVars": true,
                },
                {"title": "Runbook", "type": "link", "url": format!("{RUNBOOKS}README.md"), "targetBlank": true},
            ],
            "panels": laid_out(&self.rows),
        })
    }
}

const ALERTS: &str = "ALERTS{alertstate=\"firing\",severity=~\"critical|warning\"}";
const FAULTS: &str = "selvage_fault_active{service_name=~\"$service\"} > 0";

/// Marks over all panels for as long as an expression has series.
fn noted(name: &str, colour: &str, expression: &str, title: &str) -> Value {
    json!({
        "name": name, "datasource": source(), "enable": true, "iconColor": colour, "expr": expression,
        "titleFormat": title, "step": "5s",
    })
}

#[test]
fn the_shipped_dashboards_are_those_that_are_written_here() {
    let folder = shipped().join("dashboards");
    let mut files = BTreeSet::new();
    for dashboard in all() {
        let path = folder.join(format!("{}.json", dashboard.name));
        let written = dashboard.written();
        if std::env::var_os("SELVAGE_DASHBOARDS").is_some_and(|wish| wish == "write") {
            let text = serde_json::to_string_pretty(&written).expect("JSON");
            fs::write(&path, text + "\n").expect("a dashboard is written");
        }
        let found = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found: Value = serde_json::from_str(&found).expect("JSON");
        let remedy = "SELVAGE_DASHBOARDS=write cargo test -p selvage-tests --test whole -- dashboards";
        assert!(found == written, "{} is another: {remedy}", path.display());
        files.insert(path);
    }
    let there = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a file").path());
    assert_eq!(there.collect::<BTreeSet<_>>(), files, "a file that nobody writes");
}

/// The panels of a dashboard that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().expect("panels").iter().filter(|panel| panel["type"] != "row")
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_lies_on_no_other() {
    for dashboard in all() {
        let dashboard = dashboard.written();
        let (mut titles, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().expect("a title");
            assert!(titles.insert(title), "twice {title}");
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 30), "{title}: what is it?");
            assert_ne!(panel["fieldConfig"]["defaults"]["unit"], "", "{title}: in which unit?");
            let lone = panel["type"] == "stat";
            for target in panel["targets"].as_array().expect("targets") {
                assert!(lone || target["legendFormat"] != "", "{title}: a line without a name");
            }
            let place = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(x < 24 && taken.insert((x, y)), "{title} lies on another panel, or beside the board");
                }
            }
        }
    }
}

/// The alerts that a panel links to exist.
#[test]
fn panels_link_to_pages_of_the_runbook() {
    let runbooks = shipped().ancestors().nth(3).expect("the top").join("k8s/runbooks");
    let mut linked = BTreeSet::new();
    for dashboard in all() {
        for panel in panels(&dashboard.written()) {
            for link in panel["links"].as_array().expect("links") {
                let page = link["url"].as_str().and_then(|url| url.rsplit('/').next()).expect("a page").to_owned();
                assert!(runbooks.join(&page).is_file(), "{}: {page}", panel["title"]);
                linked.insert(page);
            }
        }
    }
    assert!(linked.len() > 10, "{linked:?}");
}

#[test]
fn panels_are_over_series_that_exist() {
    if groups().is_none() {
        return;
    }
    let known = series::known();
    let mut findings = Vec::new();
    let mut expressions = 0;
    for dashboard in all() {
        let written = dashboard.written();
        for panel in panels(&written) {
            for target in panel["targets"].as_array().expect("targets") {
                expressions += 1;
                let expression = target["expr"].as_str().expect("an expression");
                let strange = series::strange(expression, &known).into_iter();
                findings.extend(strange.map(|what| format!("{}: {}: {what}", dashboard.name, panel["title"])));
            }
        }
    }
    for expression in [ALERTS, FAULTS] {
        findings.extend(series::strange(expression, &known));
    }
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(expressions > 60, "{expressions}");
}
