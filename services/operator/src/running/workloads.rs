//! The objects of the API server, whole, as what is asked for and what there is.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::desk::BudgetName;
use super::specs;
use crate::controllers::owners::{self, Refused};
use crate::controllers::{pods, target};
use crate::domain::control::{Config, Workloads};
use crate::domain::ledger::{ObservedPod, Phase, PodSet, PodUid, ScalerId};
use crate::domain::moment::Moment;
use crate::probe::Settings;
use crate::resources::{ConnectionBudget, PoolScaler, SourceType};

/// All objects, at one moment.
pub(super) struct Objects<'a> {
    pub(super) scalers: &'a [std::sync::Arc<PoolScaler>],
    pub(super) budgets: &'a [std::sync::Arc<ConnectionBudget>],
    pub(super) deployments: &'a [std::sync::Arc<Deployment>],
    pub(super) pods: &'a [std::sync::Arc<Pod>],
    /// When the lists that they go back to were begun.
    pub(super) listed_at: Moment,
}

/// A scaler, and the workload that it is about.
pub(super) struct Scaler<'a> {
    pub(super) object: &'a PoolScaler,
    /// Its workload, if it is there.
    pub(super) replicas: Option<u32>,
    pub(super) ready: u32,
    pub(super) selector: String,
    pub(super) refused: Option<Refused>,
}

/// A database, and all that is scaled on it.
pub(super) struct Database<'a> {
    pub(super) object: &'a ConnectionBudget,
    pub(super) scalers: BTreeMap<ScalerId, Scaler<'a>>,
    pub(super) config: Config,
    pub(super) workloads: Workloads,
}

/// The name by which a scaler is known here.
pub(super) fn scaler_id(scaler: &PoolScaler) -> ScalerId {
    format!("{}/{}", scaler.namespace().unwrap_or_default(), scaler.name_any()).as_str().into()
}

/// The name of a budget.
pub(super) fn budget_name(budget: &ConnectionBudget) -> BudgetName {
    (budget.namespace().unwrap_or_default(), budget.name_any())
}

/// The databases, by name, and the scalers whose budget isn't there. `server` has what a database said of itself, `owned` who else
/// scales a scaler's workload, `ready_since` since when pods are known to be ready.
pub(super) fn databases<'a>(
    objects: &Objects<'a>,
    server: impl Fn(&BudgetName) -> Option<Settings>,
    owned: impl Fn(&PoolScaler) -> Option<Refused>,
    ready_since: &BTreeMap<PodUid, Moment>,
) -> (BTreeMap<BudgetName, Database<'a>>, Vec<&'a PoolScaler>) {
    let mut databases: BTreeMap<_, _> = objects
        .budgets
        .iter()
        .map(|object| {
            let name = budget_name(object);
            let config = Config {
                budget: specs::budget(&object.spec, server(&name)),
                concurrency: specs::concurrency(&object.spec),
                scalers: BTreeMap::new(),
            };
            let pods = PodSet { listed_at: objects.listed_at, pods: Vec::new() };
            let workloads = Workloads { pods, ready: BTreeMap::new(), replicas: BTreeMap::new() };
            (name, Database { object, scalers: BTreeMap::new(), config, workloads })
        })
        .collect();
    let mut homeless = Vec::new();
    for object in objects.scalers {
        let namespace = object.namespace().unwrap_or_default();
        let Some(database) = databases.get_mut(&(namespace, object.spec.budget_ref.name.clone())) else {
            homeless.push(&**object);
            continue;
        };
        add(database, object, objects, &owned, ready_since);
    }
    (databases, homeless)
}

fn add<'a>(
    database: &mut Database<'a>,
    object: &'a PoolScaler,
    objects: &Objects<'a>,
    owned: &impl Fn(&PoolScaler) -> Option<Refused>,
    ready_since: &BTreeMap<PodUid, Moment>,
) {
    let (id, target) = (scaler_id(object), &object.spec.target_ref);
    let deployment = objects
        .deployments
        .iter()
        .find(|deployment| deployment.namespace() == object.namespace() && deployment.name_any() == target.name);
    let refused = refusal(object, deployment.map(|deployment| &**deployment), objects, owned);
    let spec = deployment.and_then(|deployment| deployment.spec.as_ref());
    let most = object.spec.max_replicas;
    let surge = deployment.map_or(0, |deployment| target::surge(deployment, most).unsigned_abs());
    let scaled = specs::scaled(id.as_str(), object, surge, refused.is_some());
    let replicas = spec.map(|spec| spec.replicas.unwrap_or(1).unsigned_abs());
    let selector = spec.and_then(|spec| pods::selector_text(&spec.selector)).unwrap_or_default();
    let namespace = object.namespace().unwrap_or_default();
    let own = pods::selected(objects.pods.iter().map(|pod| &**pod), &namespace, &selector).unwrap_or_default();
    let mut ready = 0;
    for pod in own {
        let Some(uid) = pod.uid() else { continue };
        let uid = PodUid::from(uid.as_str());
        let phase = phase(pod);
        if phase == Phase::Bound
            && let Some(since) = ready_since.get(&uid)
        {
            database.workloads.ready.insert(uid.clone(), *since);
            ready += 1;
        }
        let name = pod.name_any().as_str().into();
        database.workloads.pods.pods.push(ObservedPod { uid, name, scaler: id.clone(), phase, bounds: None });
    }
    if let Some(replicas) = replicas {
        database.workloads.replicas.insert(id.clone(), replicas);
    }
    database.config.scalers.insert(id.clone(), scaled);
    database.scalers.insert(id, Scaler { object, replicas, ready, selector, refused });
}

fn refusal(
    object: &PoolScaler,
    deployment: Option<&Deployment>,
    objects: &Objects<'_>,
    owned: &impl Fn(&PoolScaler) -> Option<Refused>,
) -> Option<Refused> {
    let target = &object.spec.target_ref;
    let refused = |reason, message| Some(Refused { reason, message });
    if target.kind != "Deployment" || target.api_version != "apps/v1" {
        return refused(
            "TargetUnsupported",
            format!("{} of {} isn't scaled yet: only Deployments are", target.kind, target.api_version),
        );
    }
    if object.spec.source.kind == SourceType::Scrape {
        return refused("SourceUnsupported", "source.type Scrape isn't read yet: only Stream is".to_owned());
    }
    if deployment.is_none() {
        return refused("TargetMissing", format!("there is no Deployment {}", target.name));
    }
    if let Some(owned) = owned(object) {
        return Some(owned);
    }
    let rival = owners::rival(object, objects.scalers.iter().map(|scaler| &**scaler))?;
    refused("TargetOwned", format!("the PoolScaler {} scales {} already: remove one", rival.name_any(), target.name))
}

/// How far a pod is.
fn phase(pod: &Pod) -> Phase {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let has_ended = containers.is_some_and(|all| {
        !all.is_empty() && all.iter().all(|one| one.state.as_ref().is_some_and(|state| state.terminated.is_some()))
    });
    let is_final =
        status.and_then(|status| status.phase.as_deref()).is_some_and(|phase| ["Succeeded", "Failed"].contains(&phase));
    if has_ended && is_final {
        Phase::Ended
    } else if pod.metadata.deletion_timestamp.is_some() {
        Phase::Terminating
    } else if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
        Phase::Unbound
    } else {
        Phase::Bound
    }
}

/// The names of pods that no scaler is about.
pub(super) fn strangers(
    pods: &[std::sync::Arc<Pod>],
    databases: &BTreeMap<BudgetName, Database<'_>>,
) -> BTreeSet<String> {
    let scaled = databases.values().flat_map(|database| &database.workloads.pods.pods);
    let scaled: BTreeSet<_> = scaled.map(|pod| pod.name.as_str()).collect();
    pods.iter().map(|pod| pod.name_any()).filter(|name| !scaled.contains(name.as_str())).collect()
}

/// Pods that are ready, by what the API server shows.
pub(super) fn ready(pods: &[std::sync::Arc<Pod>]) -> impl Iterator<Item = PodUid> {
    let is_ready = |pod: &&std::sync::Arc<Pod>| pods::phase(pod) == pods::Phase::Ready;
    pods.iter().filter(is_ready).filter_map(|pod| Some(pod.uid()?.as_str().into()))
}

/// What of a pod matters to us.
pub(super) fn matters(pod: &Pod) -> (bool, u8, bool) {
    (pods::phase(pod) == pods::Phase::Ready, phase(pod) as u8, pod.metadata.deletion_timestamp.is_some())
}

/// What of a Deployment matters to us.
pub(super) fn matters_of_deployment(deployment: &Deployment) -> (Option<i64>, Option<i32>) {
    (deployment.metadata.generation, deployment.spec.as_ref().and_then(|spec| spec.replicas))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn of<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn scaler(name: &str, target: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
               "spec": {"targetRef": {"name": target}, "budgetRef": {"name": "main"}, "maxReplicas": 4,
                        "pool": {"floor": 2, "ceiling": 8}}})
    }

    fn deployment(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop"},
               "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}},
                        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
                        "template": {"metadata": {}, "spec": {"containers": []}}}})
    }

    fn pod(name: &str, more: Value) -> Value {
        let mut pod = json!({"metadata": {"name": name, "namespace": "shop", "uid": format!("{name}-uid"),
                             "labels": {"app": "cart"}}, "spec": {"containers": [], "nodeName": "node1"}});
        for (key, value) in more.as_object().unwrap() {
            if let Some(there) = pod[key].as_object_mut() {
                there.extend(value.as_object().unwrap().clone());
            }
            if pod[key].is_null() {
                pod[key] = value.clone();
            }
        }
        pod
    }

    #[test]
    fn a_database_has_its_scalers_and_their_pods() {
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let ended = json!({"terminated": {"exitCode": 0}});
        let ended =
            json!({"name": "cart", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": ended});
        let pods: Vec<Arc<Pod>> = vec![
            of(pod("cart-1", ready)),
            of(pod("cart-2", json!({"spec": {"nodeName": null}}))),
            of(pod("cart-3", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}))),
            of(pod("cart-4", json!({"status": {"phase": "Failed", "containerStatuses": [ended]}}))),
            of(pod("cart-5", json!({"status": {"phase": "Failed"}}))),
            of(pod("other", json!({"metadata": {"labels": {"app": "other"}}}))),
        ];
        let scalers: Vec<Arc<PoolScaler>> = vec![of(scaler("cart", "cart")), of(scaler("lost", "nothing"))];
        let budgets: Vec<Arc<ConnectionBudget>> =
            vec![of(json!({"metadata": {"name": "main", "namespace": "shop"}, "spec": {"maxConnections": 100}}))];
        let deployments: Vec<Arc<Deployment>> = vec![of(deployment("cart"))];
        let at = Moment::after_start(Duration::from_secs(9));
        let objects =
            Objects { scalers: &scalers, budgets: &budgets, deployments: &deployments, pods: &pods, listed_at: at };
        let since: BTreeMap<_, _> = super::ready(&pods).map(|uid| (uid, at)).collect();
        let (found, homeless) = databases(&objects, |_| None, |_| None, &since);
        assert!(homeless.is_empty());
        let database = &found[&("shop".to_owned(), "main".to_owned())];
        let cart = &database.scalers[&"shop/cart".into()];
        assert_eq!((cart.replicas, cart.ready, cart.selector.as_str(), &cart.refused), (Some(2), 1, "app=cart", &None));
        assert_eq!(database.scalers[&"shop/lost".into()].refused.as_ref().unwrap().reason, "TargetMissing");
        let phases: Vec<_> = database.workloads.pods.pods.iter().map(|pod| pod.phase).collect();
        // One that only counts as failed may still run on a node that is lost.
        assert_eq!(phases, [Phase::Bound, Phase::Unbound, Phase::Terminating, Phase::Ended, Phase::Bound]);
        assert_eq!(database.workloads.ready.len(), 1);
        assert_eq!(database.config.scalers[&"shop/cart".into()].spec.surge, 1);

        let owned = |scaler: &PoolScaler| {
            let refused = Refused { reason: "TargetOwned", message: "the ScaledObject x scales it too".to_owned() };
            (scaler.name_any() == "cart").then_some(refused)
        };
        let (found, _) = databases(&objects, |_| None, owned, &since);
        let database = &found[&("shop".to_owned(), "main".to_owned())];
        assert_eq!(database.scalers[&"shop/cart".into()].refused.as_ref().unwrap().reason, "TargetOwned");
        assert!(database.config.scalers[&"shop/cart".into()].spec.is_paused, "nothing is changed");
        let (found, homeless) = databases(&Objects { budgets: &[], ..objects }, |_| None, |_| None, &since);
        assert!(found.is_empty() && homeless.len() == 2);
    }
}
