//! Whatever is rolled out or scaled, no request fails and no order is lost.

use std::time::{Duration, Instant};

use selvage_testkit::eventually;
use selvage_tests::cluster;
use selvage_tests::release::Release;

use super::load::Load;
use super::shared;

const SERVICES: [&str; 5] = ["catalogue", "cart", "checkout", "delivery", "web"];
/// The chart refuses three replicas of each service, whose pools may open 120 connections, on a server with 100.
const ROOM: &str = "budget.servers.main.maxConnections=200";
/// A pod that was told to end has 30 s, and the machine is busy.
const ENDING_BOUND: Duration = Duration::from_secs(60);
/// Four steps of a parcel of 8 s each, and the relay.
const DELIVERY_BOUND: Duration = Duration::from_secs(180);
const DELIVERED: &str = "Delivered. We hope it fits.";

/// A value of each service.
fn of_each(value: &str) -> Vec<String> {
    SERVICES.iter().map(|service| format!("{service}.{value}")).collect()
}

/// Upgrades to these values, and waits until the pods that are replaced or too many have ended.
fn upgrade(release: &Release<'_>, values: &[String]) {
    release.upgrade(&values.iter().map(String::as_str).collect::<Vec<_>>());
    let began = Instant::now();
    let ending = ["get", "pods", "-o", "jsonpath={.items[*].metadata.deletionTimestamp}"];
    while !release.kubectl(&ending).is_empty() {
        assert!(began.elapsed() < ENDING_BOUND, "{}", release.state());
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_and_scaling_every_service_loses_no_request_and_no_order() {
    let Some(cluster) = shared() else { return };
    if cluster::given().is_some() {
        eprintln!("!! SKIPPED: rolling under load: a given cluster is reached through one pod, and ends with it");
        return;
    }
    let release = Release::install(cluster, "helm3", "rolling", &[ROOM]);
    let (url, _forward) = release.reach("web", 80);
    let load = Load::start(&url);
    println!("what was done to every service   seconds   bought meanwhile");
    let rolled = [vec![ROOM.to_owned()], of_each("podAnnotations.rolled=yes")].concat();
    let three = [rolled.clone(), of_each("replicas=3")].concat();
    for (what, values) in [("rolled", &rolled), ("scaled to 3", &three), ("scaled to 1", &rolled)] {
        let (began, before) = (Instant::now(), load.bought());
        upgrade(&release, values);
        println!("{what:30} {:>9.1} {:>18}", began.elapsed().as_secs_f64(), load.bought() - before);
    }
    let (bought, failed, slowest) = load.end();
    println!("{} bought, {} failed, the slowest in {:.1} s", bought.len(), failed.len(), slowest.as_secs_f64());
    assert!(failed.is_empty(), "{}\n{}", failed.join("\n"), release.state());
    assert!(bought.len() > 50, "too few bought to tell: {}", bought.len());
    for mut one in bought {
        let order = one.order.split('?').next().unwrap().to_owned();
        let delivered = async || one.visitor.get(&order).text().contains(DELIVERED);
        eventually(DELIVERY_BOUND, "an order that was placed is delivered", delivered).await;
    }
}
