//! The operator is killed, gone and rolled out while people buy.

use std::time::{Duration, Instant};

use super::super::backends::no_slot;
use super::super::causes::{complete, of_each, upgrade};
use super::super::{Backends, Load, Row, STEADY_BOUND, Shop, address, eventually, nothing_is_lost, shared, table};
use super::{SCALED, at_work, budget, epoch, install, leader};

/// By when another replica leads whose leader was killed.
const FAIL_OVER: Duration = Duration::from_secs(15);
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_shares_connections_out_and_may_be_killed_gone_and_replaced() {
    let Some(cluster) = shared() else { return };
    let release = install(cluster, "operated", &[]);
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
    let refused = no_slot(&release);
    shop.demand(refused == 0, || format!("the server had no connection for {refused}"));
    println!("{}", release.kubectl(&["get", "poolscalers"]));
    println!("{}", release.kubectl(&["get", "connectionbudgets"]));

    table::print(&shop.rows);
    let Shop { load, findings, .. } = shop;
    nothing_is_lost(&release, &load.end()).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
