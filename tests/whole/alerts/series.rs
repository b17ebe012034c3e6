//! The series that the services export: a list kept as data, held against the running shop, and against everybody who
//! uses one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use selvage_identity::Role;
use selvage_proto::catalogue::v1::{ReservationLine, ReserveStockRequest};
use selvage_rpc::with_token;
use selvage_testkit::eventually;
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::http::{Client, Request};
use selvage_tests::prometheus::shipped;

use super::promql::Names;
use super::{fault, groups, is_alert, rules, text};

/// What the shop exports.
const LIST: &str = include_str!("metrics.txt");
/// What the operator exports beside it: a test of services/operator holds that against a running one.
const OF_THE_OPERATOR: &str = include_str!("operator.txt");
/// What every series of ours has.
const ALWAYS: &str = "service_name";
/// Prometheus makes these itself, with the labels of a target, and those of alerts.
const OF_PROMETHEUS: [(&str, &[&str]); 2] =
    [("up", &["instance", "job"]), ("ALERTS", &["alertname", "alertstate", "severity", "burn", "seen_by"])];

/// A metric of the list.
#[derive(Debug)]
struct Metric<'a> {
    kind: &'a str,
    labels: BTreeSet<&'a str>,
}

/// A list: metrics by name.
fn listed(list: &'static str) -> BTreeMap<&'static str, Metric<'static>> {
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let metrics = lines.map(|line| {
        let mut words = line.split(' ');
        let (Some(kind), Some(name)) = (words.next(), words.next()) else { panic!("no metric: {line}") };
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
        (name, Metric { kind, labels: words.chain([ALWAYS]).collect() })
    });
    metrics.collect()
}

/// The series that can be asked for, with their labels: those of the lists, and what the rules record of them.
pub(crate) fn known() -> BTreeMap<String, BTreeSet<String>> {
    let owned = |labels: &BTreeSet<&str>| labels.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let mut known = BTreeMap::new();
    for (name, metric) in listed(LIST).into_iter().chain(listed(OF_THE_OPERATOR)) {
        let labels = owned(&metric.labels);
        if metric.kind == "histogram" {
            known.insert(format!("{name}_bucket"), labels.iter().cloned().chain(["le".to_owned()]).collect());
            known.insert(format!("{name}_sum"), labels.clone());
            known.insert(format!("{name}_count"), labels);
        } else {
            known.insert(name.to_owned(), labels);
        }
    }
    for (name, labels) in OF_PROMETHEUS {
        known.insert(name.to_owned(), labels.iter().map(ToString::to_string).collect());
    }
    for rule in groups().into_iter().flat_map(rules).filter(|rule| !is_alert(rule)) {
        // A recorded series has the labels that it was grouped by, and its rule's own.
        let mut labels = Names::of(text(rule, "query")).labels;
        labels.extend(["kind", "path", ALWAYS, "db_client_connection_pool_name"].map(ToOwned::to_owned));
        known.insert(text(rule, "name").to_owned(), labels);
    }
    known
}

/// What is wrong with an expression: series that don't exist, and labels that none of its series has.
pub(crate) fn strange(expression: &str, known: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let names = Names::of(expression);
    let mut strange: Vec<_> = names.metrics.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
    let has = |label: &&String| {
        let made = label.as_str() == "path" || label.as_str() == "instance" || label.as_str() == "job";
        made || names.metrics.iter().filter_map(|name| known.get(name)).any(|labels| labels.contains(*label))
    };
    strange.extend(names.labels.iter().filter(|label| !has(label)).map(|label| format!("the label {label}")));
    strange
}

#[test]
fn rules_look_at_series_that_exist() {
    let Some(groups) = groups() else { return };
    let known = known();
    let mut findings = Vec::new();
    for rule in rules(groups) {
        let strange = strange(text(rule, "query"), &known);
        findings.extend(strange.into_iter().map(|what| format!("{}: {what}", text(rule, "name"))));
    }
    assert!(findings.is_empty(), "{findings:#?}");
    let recorded: BTreeSet<_> = rules(groups).filter(|rule| !is_alert(rule)).map(|rule| text(rule, "name")).collect();
    assert!(recorded.len() > 10 && recorded.iter().all(|name| name.contains(':')), "{recorded:?}");
}

/// The words of a text that look like one of our series.
fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    let ours = ["db_client_", "http_server_", "rpc_server_", "rpc_client_", "selvage_pool_", "selvage_outbox_"];
    let more = [
        "selvage_telemetry_",
        "selvage_fault_",
        "selvage_payments",
        "selvage_cache_",
        "selvage_stock_",
        "selvage_transaction_",
        "selvage_orders",
        "selvage_operator_",
        "selvage_listener_",
        "selvage_identity_",
        "selvage_rows_",
    ];
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
    // What ends in an underscore is the beginning of several, in a pattern.
    let words = words.filter(|word| !word.ends_with('_'));
    words.filter(move |word| {
        ours.iter().chain(&more).any(|begins| word.starts_with(begins)) || word.contains(":selvage_")
    })
}

#[test]
fn annotations_and_the_runbook_speak_of_series_that_exist() {
    let Some(groups) = groups() else { return };
    let known = known();
    let labels: BTreeSet<_> = known.values().flatten().collect();
    let is_known = |word: &str| known.contains_key(word) || labels.contains(&word.to_owned());
    let mut findings = Vec::new();
    for alert in rules(groups).filter(|rule| is_alert(rule)) {
        let annotations = alert["annotations"].to_string();
        findings.extend(mentioned(&annotations).filter(|word| !is_known(word)).map(ToOwned::to_owned));
    }
    let runbooks = shipped().ancestors().nth(3).expect("the top").join("k8s/runbooks");
    for entry in fs::read_dir(runbooks).expect("the runbook") {
        let path = entry.expect("a page").path();
        let page = fs::read_to_string(&path).expect("a page");
        let strange = mentioned(&page).filter(|word| !is_known(word));
        findings.extend(strange.map(|word| format!("{}: {word}", path.display())));
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

/// What a process exports: the kinds of its metrics, and the labels of each.
fn exported(page: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut exported = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            exported.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        }
    }
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let names = Names::of(line.rsplit_once(' ').map_or(line, |(series, _)| series));
        let series = names.metrics.first().expect("a series").clone();
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
        let name = of_histogram.filter(|name| exported.contains_key(*name)).unwrap_or(&series);
        let (_, labels) = exported.get_mut(name).unwrap_or_else(|| panic!("no TYPE before {line}"));
        labels.extend(names.labels);
    }
    exported
}

/// How what is exported differs from the list; nothing if it doesn't.
fn differences(page: &str) -> Vec<String> {
    let exported = exported(page);
    let mut differences = Vec::new();
    for (name, metric) in listed(LIST) {
        match exported.get(name) {
            None => differences.push(format!("{name} isn't exported")),
            Some((kind, labels)) => {
                let missing = metric.labels.iter().filter(|label| !labels.contains(**label));
                differences.extend(missing.map(|label| format!("{name} has no label {label}, but {labels:?}")));
                if kind != metric.kind {
                    differences.push(format!("{name} is a {kind}, and no {}", metric.kind));
                }
            }
        }
    }
    let strange = exported.keys().filter(|name| {
        let ours =
            ["selvage_", "db_client_", "rpc_", "http_", "process_"].iter().any(|begins| name.starts_with(begins));
        ours && !listed(LIST).contains_key(name.as_str())
    });
    differences.extend(strange.map(|name| format!("{name} is exported, and not on the list")));
    differences
}

#[test]
fn a_page_of_metrics_is_read() {
    let page = "# HELP selvage_x that\n# TYPE selvage_x gauge\nselvage_x{fault=\"a b\"} 1\n\
                # TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 0.5\nh_count 2\n";
    let read = exported(page);
    assert_eq!(read["selvage_x"], ("gauge".to_owned(), BTreeSet::from(["fault".to_owned()])));
    assert_eq!(read["h"], ("histogram".to_owned(), BTreeSet::from(["le".to_owned()])));
    let differences = differences(page);
    assert!(differences.contains(&"selvage_x is exported, and not on the list".to_owned()), "{differences:?}");
    assert!(differences.contains(&"selvage_pool_limit isn't exported".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_shop_exports_what_is_on_the_list_and_nothing_else_of_ours() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Spans are counted where they are sent, even if nobody takes them.
    let shop = fault::shop(folder.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    if !fault::hold_connections(&shop, "delivery", Duration::from_secs(1)) {
        return;
    }
    let (clients, tokens) = (Clients::new(|_| shop.channel()), shop.tokens());
    // Some metrics begin with the first event that they count: one's card is declined, one buys, and more are asked for
    // than there are.
    clients.stock(&tokens, "LINEN", 9).await;
    for (key, card) in [("the-first-is-declined", "tok_declines"), ("the-second-buys-it", "tok_succeeds")] {
        let buyer = Buyer::new(&clients, &tokens);
        buyer.add("LINEN", 1).await.expect("the bag takes it");
        let placed = buyer.place(buyer.intent(key, card).await.expect("a preview")).await;
        assert_eq!(placed.is_ok(), card == "tok_succeeds", "{placed:?}");
    }
    let line = ReservationLine { sku: "LINEN".to_owned(), quantity: 99 };
    let reservation_id = "7b0a4f0e-5f0c-4c8e-9d39-2f4d6f1c9a10".to_owned();
    let request = ReserveStockRequest { reservation_id, lines: vec![line], hold_seconds: 60 };
    let request = with_token(&tokens.of(Role::Service, "checkout"), request);
    clients.catalogue.clone().reserve_stock(request).await.expect_err("there are fewer");
    let mut visitor = Client::new(&shop.url);
    for page in ["/", "/c/t-shirts", "/c/t-shirts", "/bag"] {
        assert_eq!(visitor.get(page).status, 200);
    }
    let looks = format!("Bearer {}", tokens.of(Role::Operations, "tests"));
    let metrics = Request::new("GET", "/metrics").with("authorization", &looks);
    let mut last = Vec::new();
    let mut page = String::new();
    eventually(Duration::from_secs(60), "the outbox is worked off", async || {
        let answer = visitor.send(&metrics);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().clone_into(&mut page);
        last = differences(&page);
        last.is_empty()
            || page.lines().any(|line| line.starts_with("selvage_outbox_done_total") && line.contains("clear_cart"))
    })
    .await;
    assert!(last.is_empty(), "{last:#?}");
}

#[test]
fn no_series_stands_on_the_list_twice() {
    for list in [LIST, OF_THE_OPERATOR] {
        let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(lines.count(), listed(list).len());
    }
}
