//! The operator beside the shop: it shares the server's connections out, and is killed, gone and rolled out while people buy.

use std::time::{Duration, Instant};

use selvage_tests::cluster::{run, top};
use selvage_tests::release::Release;
use serde_json::Value;

use super::causes::{complete, of_each, upgrade};
use super::{Backends, Load, Row, STEADY_BOUND, Shop, address, eventually, nothing_is_lost, shared, table};

/// The values with which the chart has an operator.
const VALUES: &str = "charts/selvage/ci/operator-values.yaml";
/// By when another replica leads whose leader was killed.
const FAIL_OVER: Duration = Duration::from_secs(15);
/// The services with a database: each has a PoolScaler.
const SCALED: usize = 4;

/// The status of the ConnectionBudget.
fn status(release: &Release<'_>) -> Value {
    let budget = release.kubectl(&["get", "connectionbudget", &release.name("main"), "-o", "json"]);
    serde_json::from_str::<Value>(&budget).expect("JSON")["status"].clone()
}

/// The connections that the operator shares out.
fn budget(release: &Release<'_>) -> i64 {
    status(release)["budget"].as_i64().unwrap_or_default()
}

/// PoolScalers that are at work, each with a decision and connections.
fn at_work(release: &Release<'_>) -> usize {
    let scalers = release.kubectl(&["get", "poolscalers", "-o", "json"]);
    let scalers: Value = serde_json::from_str(&scalers).expect("JSON");
    let is_ready = |scaler: &&Value| {
        let status = &scaler["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let ready = conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
        ready && status["lastDecision"]["class"].is_string() && status["pool"]["granted"].as_i64() > Some(0)
    };
    scalers["items"].as_array().expect("items").iter().filter(is_ready).count()
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_shares_connections_out_and_may_be_killed_gone_and_replaced() {
    let Some(cluster) = shared() else { return };
    let crds = top().join("charts/selvage-crds");
    let install = ["upgrade", "--install", "kinds", crds.to_str().expect("UTF-8"), "--namespace", "default"];
    run(&mut cluster.program("helm3", &install));
    let release = Release::install_with(cluster, "helm3", "operated", &[VALUES], &[]);
    println!("with the operator, all pods are ready after {:.1} s", release.took.as_secs_f64());
    eventually(STEADY_BOUND, "every PoolScaler is at work", &release, || at_work(&release) == SCALED);
    let (url, _forward) = release.reach("web", 80);
    let backends = Backends::watch(&address(&release, "postgres")).await;
    let began = Instant::now();
    let load = Load::start(&url);
    let mut shop = Shop { release: &release, load, backends, rows: Vec::<Row>::new(), findings: Vec::new(), budget };
    eventually(STEADY_BOUND, "people buy", &release, || shop.load.is_steady_since(began));

    shop.unnoticed("the operator's leader killed", |shop| {
        let (before, dead) = (epoch(shop.release), leader(shop.release));
        let killed = Instant::now();
        shop.release.kubectl(&["delete", "pod", &dead, "--grace-period=0", "--force"]);
        eventually(FAIL_OVER * 2, "another replica leads", shop.release, || epoch(shop.release) > before);
        let took = killed.elapsed();
        println!("  another one leads after {:.1} s", took.as_secs_f64());
        assert!(took < FAIL_OVER, "fail-over took {took:?}");
        None
    });
    complete(&release);
    shop.unnoticed("the operator gone for 15 s", |shop| {
        let name = shop.release.name("operator");
        shop.release.kubectl(&["scale", "deployment", &name, "--replicas=0"]);
        shop.release.kubectl(&[
            "wait",
            "--for=delete",
            "pod",
            "--selector=app.kubernetes.io/component=operator",
            "--timeout=60s",
        ]);
        std::thread::sleep(Duration::from_secs(15));
        shop.release.kubectl(&["scale", "deployment", &name, "--replicas=2"]);
        complete(shop.release);
        None
    });
    eventually(STEADY_BOUND, "every PoolScaler is at work again", &release, || at_work(&release) == SCALED);
    shop.unnoticed("every service rolled out, with the operator", |shop| {
        let rolled = [of_each("podAnnotations.rolled=yes"), vec!["operator.podAnnotations.rolled=yes".to_owned()]];
        upgrade(shop.release, &rolled.concat());
        None
    });
    eventually(STEADY_BOUND, "every PoolScaler is at work after all", &release, || at_work(&release) == SCALED);
    println!("{}", release.kubectl(&["get", "poolscalers"]));
    println!("{}", release.kubectl(&["get", "connectionbudgets"]));

    table::print(&shop.rows);
    let Shop { load, findings, .. } = shop;
    nothing_is_lost(&release, &load.end()).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
