//! The operator beside the shop.

mod apart;
mod replaced;
mod slow;
mod surge;
mod watch;

use selvage_tests::cluster::{run, top};
use selvage_tests::release::Release;
use serde_json::Value;

/// The values with which the chart has an operator.
const VALUES: &str = "charts/selvage/ci/operator-values.yaml";
/// The services with a database: each has a PoolScaler.
const SCALED: usize = 4;

/// Installs the operator's kinds, which stay, and the shop with an operator.
fn install<'c>(cluster: &'c selvage_tests::cluster::Cluster, namespace: &str, values: &[&str]) -> Release<'c> {
    let kinds = top().join("charts/selvage-crds");
    let arguments = ["upgrade", "--install", "kinds", kinds.to_str().expect("UTF-8"), "--namespace", "default"];
    run(&mut cluster.program("helm3", &arguments));
    let release = Release::install_with(cluster, "helm3", namespace, &[VALUES], values);
    println!("with the operator, all pods are ready after {:.1} s", release.took.as_secs_f64());
    release
}

/// The status of the ConnectionBudget.
fn status(release: &Release<'_>) -> Value {
    let budget = release.kubectl(&["get", "connectionbudget", &release.name("main"), "-o", "json"]);
    serde_json::from_str::<Value>(&budget).expect("JSON")["status"].clone()
}

/// The connections that the operator shares out.
fn budget(release: &Release<'_>) -> i64 {
    status(release)["budget"].as_i64().unwrap_or_default()
}

/// The status of a service's PoolScaler.
fn scaler(release: &Release<'_>, service: &str) -> Value {
    let scaler = release.kubectl(&["get", "poolscaler", &release.name(service), "-o", "json"]);
    serde_json::from_str::<Value>(&scaler).expect("JSON")["status"].clone()
}

/// Whether a condition of a status is so.
fn is_so(status: &Value, condition: &str) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|one| one["type"] == condition && one["status"] == "True")
}

/// PoolScalers that are at work, each with a decision and connections.
fn at_work(release: &Release<'_>) -> usize {
    let scalers = release.kubectl(&["get", "poolscalers", "-o", "json"]);
    let scalers: Value = serde_json::from_str(&scalers).expect("JSON");
    let works = |scaler: &&Value| {
        let status = &scaler["status"];
        let granted = status["pool"]["granted"].as_i64();
        is_so(status, "Ready") && status["lastDecision"]["class"].is_string() && granted > Some(0)
    };
    scalers["items"].as_array().expect("items").iter().filter(works).count()
}

/// The pod that leads, by its name.
fn leader(release: &Release<'_>) -> String {
    let leader = status(release)["leader"].as_str().unwrap_or_default().to_owned();
    // Behind the pod's name is what each start of it has anew.
    leader.rsplit_once('-').map(|(pod, _)| pod.to_owned()).unwrap_or_default()
}

fn epoch(release: &Release<'_>) -> i64 {
    status(release)["epoch"].as_i64().unwrap_or_default()
}

/// Changes what is asked for.
fn patch(release: &Release<'_>, kind: &str, name: &str, change: &Value) {
    release.kubectl(&["patch", kind, &release.name(name), "--type=merge", "--patch", &change.to_string()]);
}
