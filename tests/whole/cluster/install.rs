//! The chart, installed as its README says it by both Helms: all ready within a minute, and it sells.

use std::time::Duration;

use selvage_testkit::eventually;
use selvage_tests::browser;
use selvage_tests::cluster::{Cluster, given};
use selvage_tests::jaeger::Query;
use selvage_tests::release::Release;
use serde_json::Value;

use super::shared;
use crate::browse::{DESKTOP, buy};
use crate::traces::purchase::amiss;

/// From `helm install --wait` on an empty namespace until all pods are ready, with the images on the nodes.
const READY_BOUND: Duration = Duration::from_secs(60);
/// The relay, all exporters and Jaeger's own batches.
const TRACE_BOUND: Duration = Duration::from_secs(60);

/// Installs it, and buys as `helm test` does.
fn installed<'c>(cluster: &'c Cluster, helm: &'static str) -> Release<'c> {
    let release = Release::install(cluster, helm, helm, &[]);
    println!("{helm} install --wait: all pods are ready after {:.1} s", release.took.as_secs_f64());
    assert!(release.took < READY_BOUND, "{}", release.state());
    // Before that come the notes, which are for a person.
    println!("{}", release.test().rsplit("POD LOGS: ").next().unwrap_or_default().trim());
    release
}

/// What each pod of the release holds in memory, as the nodes' kubelets count it.
fn tell_memory(release: &Release<'_>) {
    println!("{:45} {:12} {:>5}", "pod", "container", "MiB");
    for node in ["node1", "node2"] {
        let summary = release.kubectl(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/stats/summary")]);
        let summary: Value = serde_json::from_str(&summary).expect("JSON");
        let pods = summary["pods"].as_array().into_iter().flatten();
        for pod in pods.filter(|pod| pod["podRef"]["namespace"] == release.namespace) {
            for container in pod["containers"].as_array().into_iter().flatten() {
                // A pod that has just ended has none any more.
                let Some(bytes) = container["memory"]["workingSetBytes"].as_u64() else { continue };
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (pod, container) = (text(&pod["podRef"]["name"]), text(&container["name"]));
                println!("{pod:45} {container:12} {:>5}", bytes / (1024 * 1024));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_3_installs_it_a_browser_buys_and_its_jaeger_has_the_trace() {
    let Some(cluster) = shared() else { return };
    let release = installed(cluster, "helm3");
    if given().is_none() {
        tell_memory(&release);
    }
    let (url, _forward) = release.reach("web", 80);
    if let Some(chromium) = browser::start().await {
        buy(&chromium.tab(&url, DESKTOP, true).await, "cluster").await;
        chromium.close().await;
    }
    let (url, _forward) = release.reach("jaeger", 16686);
    let jaeger = Query::at(&url);
    let whole = async || {
        let placed = jaeger.search("selvage-web", &[("http.request.method", "POST"), ("http.route", "/checkout")]);
        placed.iter().any(|trace| amiss(trace).is_empty())
    };
    eventually(TRACE_BOUND, "the cluster's Jaeger has the whole trace of a purchase", whole).await;
}

#[test]
fn helm_4_installs_it_too() {
    let Some(cluster) = shared() else { return };
    installed(cluster, "helm4");
}
