//! Whole sets of objects, by watches that may die.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use selvage_operator::controllers::generation;
use selvage_operator::controllers::pods::{Phase, PodSelector, phase, trim};
use selvage_operator::controllers::watched::{Seen, Verdict, WEDGED, Watched, verdict};
use selvage_operator::resources::PoolScaler;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::cluster::{Cluster, Way};

/// How long is waited for what should come within a second or a list.
const BOUND: Duration = Duration::from_secs(60);

fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "cart"}},
        "spec": {"containers": [{"name": "it", "image": "it"}]},
    }))
    .unwrap()
}

async fn until(seen: &mut watch::Receiver<Seen>, what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(BOUND, async {
        while !is_so() {
            seen.changed().await.expect("it is watched");
        }
    });
    waited.await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

fn names(watched: &Watched<Pod>) -> Option<BTreeSet<String>> {
    watched.all().map(|pods| pods.iter().map(|pod| pod.name_any()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_is_whole_and_follows_what_happens() {
    let Some(cluster) = Cluster::bare().await else { return };
    let pods: Api<Pod> = Api::default_namespaced(cluster.client.clone());
    for name in ["a", "b"] {
        pods.create(&PostParams::default(), &pod(name)).await.unwrap();
    }
    let pace = Duration::from_secs(600);
    let (watched, work) = Watched::start_trimmed("pods", Api::<Pod>::all(cluster.client.clone()), pace, trim, phase);
    assert_eq!(names(&watched), None, "nothing was listed yet, which isn't the same as none");
    let work = tokio::spawn(work);
    let mut seen = watched.seen();
    until(&mut seen, "both are listed", || names(&watched) == Some(["a".to_owned(), "b".to_owned()].into())).await;

    pods.create(&PostParams::default(), &pod("c")).await.unwrap();
    until(&mut seen, "one came", || names(&watched).unwrap().len() == 3).await;
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    pods.patch_status("c", &PatchParams::default(), &Patch::Merge(&ready)).await.unwrap();
    let of_cart = || {
        let all = watched.all().unwrap();
        let selector = PodSelector::read("app=cart").unwrap();
        let found = selector.of(all.iter().map(AsRef::as_ref), "default");
        found.map(|pod| (pod.name_any(), phase(pod))).collect::<BTreeMap<_, _>>()
    };
    let is_trimmed = |pod: &std::sync::Arc<Pod>| pod.spec.as_ref().is_some_and(|spec| spec.containers.is_empty());
    assert!(watched.all().unwrap().iter().all(is_trimmed), "of its spec only the node is kept");
    let wanted = |c| [("a".to_owned(), Phase::Starting), ("b".to_owned(), Phase::Starting), ("c".to_owned(), c)];
    until(&mut seen, "it is ready", || of_cart() == wanted(Phase::Ready).into()).await;

    // What doesn't matter wakes nobody.
    let revision = seen.borrow_and_update().revision;
    let noise = json!({"metadata": {"annotations": {"example.org/noise": "1"}}});
    pods.patch("a", &PatchParams::default(), &Patch::Merge(&noise)).await.unwrap();
    pods.delete("b", &DeleteParams::default().grace_period(0)).await.unwrap();
    until(&mut seen, "one went", || names(&watched).unwrap().len() == 2).await;
    assert_eq!(seen.borrow().revision, revision + 2, "it was told to end, and it went; the annotation is no change");
    work.abort();
}

/// A status that is written must not wake whoever writes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_is_written_wakes_nobody() {
    let Some(cluster) = Cluster::start().await else { return };
    let scalers: Api<PoolScaler> = Api::default_namespaced(cluster.client.clone());
    let scaler: PoolScaler = serde_json::from_value(json!({
        "metadata": {"name": "cart"},
        "spec": {"targetRef": {"name": "cart"}, "budgetRef": {"name": "main"}, "maxReplicas": 3, "pool": {"ceiling": 9}},
    }))
    .unwrap();
    scalers.create(&PostParams::default(), &scaler).await.unwrap();
    let pace = Duration::from_secs(600);
    let (watched, work) = Watched::start("poolscalers", scalers.clone(), pace, generation);
    let work = tokio::spawn(work);
    let mut seen = watched.seen();
    until(&mut seen, "it is listed", || watched.all().is_some_and(|all| all.len() == 1)).await;
    let revision = seen.borrow_and_update().revision;
    let patch =
        async |patch: Value| scalers.patch("cart", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    for replicas in 1..=5 {
        let status = json!({"status": {"replicas": replicas}});
        scalers.patch_status("cart", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }
    patch(json!({"metadata": {"annotations": {"selvage.dev/paused": "true"}}})).await;
    until(&mut seen, "it is paused", || watched.all().unwrap()[0].annotations().contains_key("selvage.dev/paused"))
        .await;
    // Events come in order: the statuses were seen before.
    assert_eq!(watched.all().unwrap()[0].status.as_ref().unwrap().replicas, 5);
    assert_eq!(seen.borrow_and_update().revision, revision + 1);
    patch(json!({"spec": {"maxReplicas": 4}})).await;
    until(&mut seen, "it may have four", || watched.all().unwrap()[0].spec.max_replicas == 4).await;
    assert_eq!(seen.borrow().revision, revision + 2);
    work.abort();
}

/// The connection of a watch dies without a word, and a pod goes meanwhile: no event ever says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_died_in_silence_is_noticed_and_lists_anew() {
    let Some(cluster) = Cluster::bare().await else { return };
    let pods: Api<Pod> = Api::default_namespaced(cluster.client.clone());
    for name in ["a", "b"] {
        pods.create(&PostParams::default(), &pod(name)).await.unwrap();
    }
    let way = Way::to(&cluster).await;
    let pace = Duration::from_secs(2);
    let (watched, work) = Watched::start("pods", Api::<Pod>::all(way.client()), pace, phase);
    let work = tokio::spawn(work);
    let mut seen = watched.seen();
    until(&mut seen, "both are listed", || names(&watched).is_some_and(|names| names.len() == 2)).await;
    way.dies();
    pods.delete("b", &DeleteParams::default().grace_period(0)).await.unwrap();
    until(&mut seen, "one went", || names(&watched) == Some(["a".to_owned()].into())).await;
    let listed = seen.borrow().listed.expect("it was listed");
    let judged = |now| verdict(listed, &[(watched.kind(), Some(listed))], Some(now), now);
    assert_eq!(judged(Instant::now()), Verdict::Sound);
    assert_eq!(judged(listed + WEDGED + Duration::from_secs(1)), Verdict::Wedged(vec!["pods"]));
    work.abort();
}
