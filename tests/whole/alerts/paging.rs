//! Who is told of what, by a real Alertmanager with the shipped configuration.

use std::process::Command;
use std::time::Duration;

use selvage_testkit::eventually;
use selvage_tests::alertmanager::{Alertmanager, Message};
use selvage_tests::installed::installed;
use selvage_tests::prometheus::shipped;
use serde_json::{Value, json};

const SKIPPED: &str = "pages through a real Alertmanager";
/// Groups wait for a second; a busy machine takes longer.
const SOON: Duration = Duration::from_secs(20);
/// The group's interval of 15 s, and the same again.
const NEXT: Duration = Duration::from_secs(35);

fn pool(alert: &str, severity: &str, pool: &str) -> Value {
    let labels = json!({
        "alertname": alert, "severity": severity, "service_name": format!("selvage-{pool}"),
        "db_client_connection_pool_name": pool,
    });
    json!({"labels": labels, "annotations": {"summary": format!("{alert} of {pool}")}})
}

fn database(alert: &str, severity: &str) -> Value {
    json!({"labels": {"alertname": alert, "severity": severity}, "annotations": {"summary": alert}})
}

/// The same alert, over.
fn ended(mut alert: Value) -> Value {
    alert["startsAt"] = "2026-01-01T00:00:00Z".into();
    alert["endsAt"] = "2026-01-01T00:00:01Z".into();
    alert
}

fn page(manager: &Alertmanager, bound: Duration) -> Message {
    manager.pager.next(bound).expect("a message")
}

#[test]
fn amtool_accepts_the_configuration() {
    let Some(amtool) = installed(&["amtool"], SKIPPED) else { return };
    let config = shipped().join("alertmanager.yaml");
    let output = Command::new(&amtool).arg("check-config").arg(&config).output().expect("amtool runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // And says where each alert goes.
    for (severity, receiver) in [("critical", "page"), ("warning", "ticket"), ("info", "log"), ("", "ticket")] {
        let mut command = Command::new(&amtool);
        command.args(["config", "routes", "test", "--config.file"]).arg(&config);
        let output = command.arg(format!("severity={severity}")).output().expect("amtool runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), receiver, "{severity}");
    }
}

#[test]
fn a_pools_troubles_are_one_page_and_another_pools_another() {
    let Some(manager) = Alertmanager::start(SKIPPED) else { return };
    let cart = pool("PoolSaturated", "critical", "cart");
    manager.post(&json!([
        cart,
        pool("PoolTimingOut", "critical", "cart"),
        pool("PoolSaturated", "critical", "checkout"),
        json!({"labels": {
            "alertname": "FaultActive", "severity": "info", "service_name": "selvage-cart", "fault": "lock_hold",
        }}),
    ]));
    let mut messages: Vec<_> = (0..3).map(|_| page(&manager, SOON)).collect();
    messages.sort_by_key(|message| (message.receiver.clone(), message.names("firing").len()));
    let seen: Vec<_> = messages.iter().map(|message| (&*message.receiver, message.names("firing"))).collect();
    let expected = [
        ("log", vec!["FaultActive"]),
        ("page", vec!["PoolSaturated"]),
        ("page", vec!["PoolSaturated", "PoolTimingOut"]),
    ];
    assert_eq!(seen, expected);
    let labels = &messages[2].body["groupLabels"];
    assert_eq!(
        (&labels["db_client_connection_pool_name"], &labels["service_name"]),
        (&json!("cart"), &json!("selvage-cart"))
    );

    // What is over is said to the same person.
    manager.post(&json!([ended(cart), ended(pool("PoolTimingOut", "critical", "cart"))]));
    let over = page(&manager, NEXT);
    assert_eq!((&*over.receiver, over.names("resolved")), ("page", vec!["PoolSaturated", "PoolTimingOut"]));
}

/// Whether each alert is silenced by another, by name and pool.
fn silenced(manager: &Alertmanager) -> Vec<(String, String, bool)> {
    let of = |alert: &Value| {
        let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        let by = alert["status"]["inhibitedBy"].as_array().expect("a list");
        (label("alertname"), label("db_client_connection_pool_name"), !by.is_empty())
    };
    let mut all: Vec<_> = manager.alerts().iter().map(of).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_that_everybody_waits_for_is_one_page_and_its_pools_are_none() {
    let Some(manager) = Alertmanager::start(SKIPPED) else { return };
    manager.post(&json!([
        database("DatabaseBottleneck", "critical"),
        pool("PoolSaturated", "critical", "cart"),
        pool("PoolSaturated", "critical", "checkout"),
        pool("PoolTimingOut", "critical", "catalogue"),
        pool("PoolShedding", "critical", "checkout"),
    ]));
    let told = page(&manager, SOON);
    assert_eq!((&*told.receiver, told.names("firing")), ("page", vec!["DatabaseBottleneck"]));
    eventually(SOON, "the pools are silenced", async || {
        silenced(&manager).iter().all(|(name, _, silenced)| (name == "DatabaseBottleneck") != *silenced)
    })
    .await;
    // A cause is no symptom: what leaks is told, whatever the database does.
    manager.post(&json!([pool("PoolUnreachable", "critical", "cart")]));
    let told = page(&manager, SOON);
    assert_eq!((&*told.receiver, told.names("firing")), ("page", vec!["PoolUnreachable"]));
    // With the database well again, what is still wrong with a pool is told after all; but for the cart's, which can't reach
    // it.
    manager.post(&json!([ended(database("DatabaseBottleneck", "critical"))]));
    let told: Vec<_> = (0..3).map(|_| page(&manager, NEXT)).collect();
    let mut firing: Vec<_> = told.iter().map(|message| message.names("firing")).collect();
    firing.sort();
    assert_eq!(firing, [vec![], vec!["PoolSaturated", "PoolShedding"], vec!["PoolTimingOut"]]);
    assert!(told.iter().any(|message| message.names("resolved") == ["DatabaseBottleneck"]), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_from_another_alert_is_silent_and_only_there() {
    let Some(manager) = Alertmanager::start(SKIPPED) else { return };
    let burn = |severity: &str, burn: &str, service: &str| {
        json!({"labels": {
            "alertname": "ErrorBudgetBurn", "severity": severity, "burn": burn, "kind": "rpc", "service_name": service,
        }})
    };
    manager.post(&json!([
        pool("PoolUnreachable", "critical", "cart"),
        pool("PoolSaturated", "critical", "cart"),
        pool("PoolStranded", "warning", "cart"),
        pool("PoolWaiting", "warning", "cart"),
        pool("PoolLeaking", "warning", "cart"),
        pool("PoolSaturated", "critical", "checkout"),
        database("BudgetExceeded", "critical"),
        database("BudgetSpent", "warning"),
        burn("critical", "6", "selvage-cart"),
        burn("warning", "3", "selvage-cart"),
        burn("warning", "1", "selvage-checkout"),
    ]));
    let expected = [
        ("BudgetExceeded", "", false),
        ("BudgetSpent", "", true),
        ("ErrorBudgetBurn", "", false),
        ("ErrorBudgetBurn", "", false),
        ("ErrorBudgetBurn", "", true),
        ("PoolLeaking", "cart", false),
        ("PoolSaturated", "cart", true),
        ("PoolSaturated", "checkout", false),
        ("PoolStranded", "cart", true),
        ("PoolUnreachable", "cart", false),
        ("PoolWaiting", "cart", true),
    ];
    let expected = expected.map(|(name, pool, silenced)| (name.to_owned(), pool.to_owned(), silenced));
    // An alert is looked at when its group is; tickets wait for half a minute.
    let bound = Duration::from_secs(60);
    eventually(bound, "each alert is told, or silenced by the one it follows from", async || {
        silenced(&manager) == expected
    })
    .await;
}
