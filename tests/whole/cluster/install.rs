//! The chart, installed as its README says it by both Helms: all ready within a minute, and it sells.

use std::time::Duration;

use selvage_testkit::eventually;
use selvage_tests::browser;
use selvage_tests::cluster::{Cluster, given};
use selvage_tests::jaeger::Query;
use selvage_tests::release::Release;

use super::{memory, shared};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_3_installs_it_a_browser_buys_and_its_jaeger_has_the_trace() {
    let Some(cluster) = shared() else { return };
    let release = installed(cluster, "helm3");
    if given().is_none() {
        memory::tell(&release);
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
