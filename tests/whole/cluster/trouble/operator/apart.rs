//! Who works together doesn't hear of each other, or one of them has gone, while a surge is on.

use std::process::Command;
use std::time::{Duration, Instant};

use selvage_tests::cluster::run;
use selvage_tests::release::{Pod, Release};
use serde_json::json;

use super::super::causes::{complete, main_process, signal};
use super::super::{STEADY_BOUND, Shop, eventually};
use super::watch::Watch;
use super::{SCALED, at_work, epoch, leader, patch, scaler};

/// A pod hears nothing for this long: far longer than the three seconds after which it counts as silent.
const SILENCE: Duration = Duration::from_secs(15);

fn pod(release: &Release<'_>, component: &str) -> Pod {
    let pods = release.pods().into_iter().find(|pod| pod.component == component && pod.ready && !pod.ending);
    pods.unwrap_or_else(|| panic!("no pod of {component}\n{}", release.state()))
}

/// A pod can't reach the operator.
pub(super) fn from_the_operator(shop: &mut Shop<'_, '_>) {
    shop.unnoticed("a pod of checkout hears nothing from the operator", |shop| {
        let pod = pod(shop.release, "checkout");
        let process = main_process(&pod.uid, "selvage-checkout").to_string();
        let nft = |what: &str| {
            run(Command::new("nsenter").args(["-t", &process, "-n", "nft", what]));
        };
        nft("table inet apart { chain from { type filter hook output priority 0; tcp dport 50060 drop; }; \
             chain to { type filter hook input priority 0; tcp sport 50060 drop; }; }");
        std::thread::sleep(SILENCE);
        nft("delete table inet apart");
        None
    });
}

/// The API server answers nobody.
pub(super) fn from_the_api_server(shop: &mut Shop<'_, '_>, lasts: Duration) {
    let before = epoch(shop.release);
    let what = format!("the API server answers nobody for {} s", lasts.as_secs());
    shop.unnoticed(&what, |shop| {
        let process = shop.release.cluster.api_server();
        signal(process, "-STOP");
        std::thread::sleep(lasts);
        signal(process, "-CONT");
        let undone = Instant::now();
        eventually(STEADY_BOUND, "every PoolScaler is at work again", shop.release, || {
            at_work(shop.release) == SCALED && !leader(shop.release).is_empty()
        });
        Some(undone)
    });
    println!("  the epoch went from {before} to {}", epoch(shop.release));
}

/// The leader is killed as soon as pods are to have fewer connections.
pub(super) fn while_it_shrinks(shop: &mut Shop<'_, '_>, watch: &Watch) {
    let ceiling = shop.release.kubectl(&[
        "get",
        "poolscaler",
        &shop.release.name("checkout"),
        "--output",
        "jsonpath={.spec.pool.ceiling}",
    ]);
    let ceiling: i64 = ceiling.parse().expect("a number");
    let to = |shop: &Shop<'_, '_>, ceiling: i64| {
        patch(shop.release, "poolscaler", "checkout", &json!({"spec": {"pool": {"ceiling": ceiling}}}));
    };
    let began = Instant::now();
    let before = epoch(shop.release);
    shop.trouble("the operator's leader killed while it takes connections back", |shop| {
        let leads = leader(shop.release);
        let pod = shop.release.pods().into_iter().find(|pod| pod.name == leads).expect("the leader");
        let process = main_process(&pod.uid, "selvage-operator");
        to(shop, 4);
        signal(process, "-KILL");
        eventually(STEADY_BOUND, "another replica leads", shop.release, || epoch(shop.release) > before);
        eventually(STEADY_BOUND, "no pod has more than it may", shop.release, || {
            let (_, pools) = *watch.pools_since(began).last().expect("a look");
            pools.limit <= 4.0 * pools.pods as f64 && pools.pods > 0
        });
        to(shop, ceiling);
        None
    });
    complete(shop.release);
}

/// A pod that is told to end takes all of its time, and keeps its connections.
pub(super) fn for_its_whole_grace(shop: &mut Shop<'_, '_>) {
    shop.trouble("a pod of checkout stands still until its grace is over", |shop| {
        let pod = pod(shop.release, "checkout");
        signal(main_process(&pod.uid, "selvage-checkout"), "-STOP");
        let told = Instant::now();
        shop.release.kubectl(&["delete", "pod", &pod.name, "--wait=false"]);
        complete(shop.release);
        println!("  another one is ready after {:.1} s", told.elapsed().as_secs_f64());
        eventually(STEADY_BOUND * 2, "it is gone", shop.release, || {
            shop.release.pods().iter().all(|other| other.name != pod.name)
        });
        println!("  and it is gone after {:.1} s", told.elapsed().as_secs_f64());
        None
    });
    let status = scaler(shop.release, "checkout");
    println!("  {}: {}", status["lastDecision"]["class"], status["lastDecision"]["reason"]);
}
