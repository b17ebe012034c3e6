//! The objects of the API server, whole, as what is asked for and what there is.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::desk::BudgetName;
use super::targets::{Known, TargetName, is_watched, target_name};
use super::{scraping, specs};
use crate::controllers::owners::{self, Refused};
use crate::controllers::pods::{self, Selectors};
use crate::controllers::target;
use crate::domain::control::{Config, Workloads};
use crate::domain::ledger::{ObservedPod, Phase, PodSet, PodUid, ScalerId};
use crate::domain::moment::Moment;
use crate::probe::Settings;
use crate::resources::{ConnectionBudget, PoolScaler};
use crate::scrape;

/// All objects, at one moment.
pub(super) struct Objects<'a> {
    pub(super) scalers: &'a [std::sync::Arc<PoolScaler>],
    pub(super) budgets: &'a [std::sync::Arc<ConnectionBudget>],
    pub(super) deployments: &'a [std::sync::Arc<Deployment>],
    pub(super) pods: &'a [std::sync::Arc<Pod>],
    /// What is known of targets that aren't Deployments.
    pub(super) targets: &'a BTreeMap<TargetName, Known>,
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
    /// Its ready pods whose metrics are to be read.
    pub(super) asked: Vec<(scrape::Pod, scrape::Asked)>,
    /// Why the metrics of one of them can't be.
    pub(super) unread: Option<String>,
}

/// A database, and all that is scaled on it.
pub(super) struct Database<'a> {
    pub(super) object: &'a ConnectionBudget,
    pub(super) scalers: BTreeMap<ScalerId, Scaler<'a>>,
    pub(super) config: Config,
    pub(super) workloads: Workloads,
    /// Nothing is missing in `workloads`: each target has been asked for.
    pub(super) is_whole: bool,
}

/// What is known of a scaler's target.
struct Seen {
    replicas: u32,
    selector: String,
    surge: u32,
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
    selectors: &mut Selectors,
) -> (BTreeMap<BudgetName, Database<'a>>, Vec<&'a PoolScaler>) {
    selectors.forget();
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
            (name, Database { object, scalers: BTreeMap::new(), config, workloads, is_whole: true })
        })
        .collect();
    let mut homeless = Vec::new();
    for object in objects.scalers {
        let namespace = object.namespace().unwrap_or_default();
        let Some(database) = databases.get_mut(&(namespace, object.spec.budget_ref.name.clone())) else {
            homeless.push(&**object);
            continue;
        };
        add(database, object, objects, &owned, ready_since, selectors);
    }
    refuse_overlaps(&mut databases);
    (databases, homeless)
}

/// Two scalers that select one pod would count its connections twice, and scale by the other's load: neither does anything.
fn refuse_overlaps(databases: &mut BTreeMap<BudgetName, Database<'_>>) {
    let mut of_pods: BTreeMap<PodUid, Vec<(ScalerId, String)>> = BTreeMap::new();
    for database in databases.values() {
        let is_at_work = |id: &ScalerId| database.scalers.get(id).is_some_and(|scaler| scaler.refused.is_none());
        for pod in database.workloads.pods.pods.iter().filter(|pod| is_at_work(&pod.scaler)) {
            of_pods.entry(pod.uid.clone()).or_default().push((pod.scaler.clone(), pod.name.to_string()));
        }
    }
    for claims in of_pods.into_values().filter(|claims| claims.len() > 1) {
        for (id, pod) in &claims {
            let Some((other, _)) = claims.iter().find(|(other, _)| other != id) else { continue };
            for database in databases.values_mut() {
                let Some(scaler) = database.scalers.get_mut(id).filter(|scaler| scaler.refused.is_none()) else {
                    continue;
                };
                let message = format!(
                    "the target of the PoolScaler {other} selects the pod {pod} too, and each pod must be of one: neither scales \
                     until their labels or selectors differ"
                );
                scaler.refused = Some(Refused { reason: "TargetsOverlap", message });
                if let Some(scaled) = database.config.scalers.get_mut(id) {
                    scaled.spec.is_paused = true;
                }
            }
        }
    }
}

/// What is known of a scaler's target; or why nothing is.
fn seen(object: &PoolScaler, objects: &Objects<'_>) -> Result<Seen, Option<Refused>> {
    let target = &object.spec.target_ref;
    if !is_watched(target) {
        return match objects.targets.get(&target_name(object)) {
            // A StatefulSet starts no pod beyond its replicas; of others nobody knows.
            Some(Known::Scaled(scale)) => {
                Ok(Seen { replicas: scale.wanted.unsigned_abs(), selector: scale.selector.clone(), surge: 0 })
            }
            Some(Known::Refused(refused)) => Err(Some(refused.clone())),
            None => Err(None),
        };
    }
    let is_it = |deployment: &&std::sync::Arc<Deployment>| {
        deployment.namespace() == object.namespace() && deployment.name_any() == target.name
    };
    let Some((deployment, spec)) = objects.deployments.iter().find(is_it).and_then(|it| Some((it, it.spec.as_ref()?)))
    else {
        let message = format!("there is no Deployment {}", target.name);
        return Err(Some(Refused { reason: "TargetMissing", message }));
    };
    Ok(Seen {
        replicas: spec.replicas.unwrap_or(1).unsigned_abs(),
        selector: pods::selector_text(&spec.selector).unwrap_or_default(),
        surge: target::surge(deployment, object.spec.max_replicas).unsigned_abs(),
    })
}

fn add<'a>(
    database: &mut Database<'a>,
    object: &'a PoolScaler,
    objects: &Objects<'a>,
    owned: &impl Fn(&PoolScaler) -> Option<Refused>,
    ready_since: &BTreeMap<PodUid, Moment>,
    selectors: &mut Selectors,
) {
    let (id, namespace) = (scaler_id(object), object.namespace().unwrap_or_default());
    let rival = owners::rival(object, objects.scalers.iter().map(|scaler| &**scaler));
    let seen = seen(object, objects);
    database.is_whole &= !matches!(seen, Err(None));
    let (seen, refused) = match seen {
        Ok(seen) => (Some(seen), owned(object).or_else(|| rival.map(|rival| is_scaled_by(rival, object)))),
        Err(refused) => (None, Some(refused.unwrap_or_else(|| not_known(object)))),
    };
    let (refused, seen) = match seen {
        Some(seen) if selectors.get(&seen.selector).is_none() => (Some(without_selector(object)), None),
        seen => (refused, seen),
    };
    let scaled = specs::scaled(id.as_str(), object, seen.as_ref().map_or(0, |seen| seen.surge), refused.is_some());
    let (replicas, selector) = seen.map_or((None, String::new()), |seen| (Some(seen.replicas), seen.selector));
    let (mut ready, mut asked) = (0, Vec::new());
    // Where two have one target, its pods are the older one's.
    let is_others = rival.is_some_and(|rival| rival.spec.budget_ref == object.spec.budget_ref);
    let own = selectors.get(&selector).filter(|_| !is_others);
    for pod in own.into_iter().flat_map(|own| own.of(objects.pods.iter().map(|pod| &**pod), &namespace)) {
        let Some(uid) = pod.uid() else { continue };
        let uid = PodUid::from(uid.as_str());
        let phase = phase(pod);
        if phase == Phase::Bound
            && let Some(since) = ready_since.get(&uid)
        {
            database.workloads.ready.insert(uid.clone(), *since);
            ready += 1;
            asked.extend(scraping::asked(object, pod));
        }
        let name = pod.name_any().as_str().into();
        let address = pods::address(pod).map(|address| address.to_string().as_str().into());
        database.workloads.pods.pods.push(ObservedPod { uid, name, scaler: id.clone(), phase, bounds: None, address });
    }
    if let Some(replicas) = replicas {
        database.workloads.replicas.insert(id.clone(), replicas);
    }
    database.config.scalers.insert(id.clone(), scaled);
    let scaler = Scaler { object, replicas, ready, selector, refused, asked, unread: None };
    database.scalers.insert(id, scaler);
}

fn is_scaled_by(rival: &PoolScaler, object: &PoolScaler) -> Refused {
    let (rival, target) = (rival.name_any(), &object.spec.target_ref.name);
    Refused { reason: "TargetOwned", message: format!("the PoolScaler {rival} scales {target} already: remove one") }
}

fn without_selector(object: &PoolScaler) -> Refused {
    let target = &object.spec.target_ref;
    let message = format!(
        "the scale of the {} {} names no selector that can be read, so that its pods aren't known",
        target.kind, target.name
    );
    Refused { reason: "SelectorMissing", message }
}

fn not_known(object: &PoolScaler) -> Refused {
    let target = &object.spec.target_ref;
    Refused {
        reason: "TargetUnknown",
        message: format!("the {} {} hasn't been asked for its scale yet", target.kind, target.name),
    }
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
pub(super) fn matters(pod: &Pod) -> ((bool, u8, bool), Option<std::net::IpAddr>, i32) {
    let phases = (pods::phase(pod) == pods::Phase::Ready, phase(pod) as u8, pod.metadata.deletion_timestamp.is_some());
    (phases, pods::address(pod), pods::restarts(pod))
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
    use crate::controllers::target::Scale;

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
        let (at, targets) = (Moment::after_start(Duration::from_secs(9)), BTreeMap::new());
        let mut selectors = Selectors::default();
        let objects = Objects {
            scalers: &scalers,
            budgets: &budgets,
            deployments: &deployments,
            pods: &pods,
            targets: &targets,
            listed_at: at,
        };
        let since: BTreeMap<_, _> = super::ready(&pods).map(|uid| (uid, at)).collect();
        let (found, homeless) = databases(&objects, |_| None, |_| None, &since, &mut selectors);
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
        let (found, _) = databases(&objects, |_| None, owned, &since, &mut selectors);
        let database = &found[&("shop".to_owned(), "main".to_owned())];
        assert_eq!(database.scalers[&"shop/cart".into()].refused.as_ref().unwrap().reason, "TargetOwned");
        assert!(database.config.scalers[&"shop/cart".into()].spec.is_paused, "nothing is changed");
        let (found, homeless) =
            databases(&Objects { budgets: &[], ..objects }, |_| None, |_| None, &since, &mut selectors);
        assert!(found.is_empty() && homeless.len() == 2);
    }

    /// A shop of these scalers on one budget, with the pods cart-1 and cart-2, of which the first is ready and has an address.
    fn shop(scalers: Vec<Value>, targets: &BTreeMap<TargetName, Known>, check: impl Fn(&Database<'_>)) {
        let ready = json!({"status": {"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]}});
        let pods: Vec<Arc<Pod>> = vec![of(pod("cart-1", ready)), of(pod("cart-2", json!({})))];
        let scalers: Vec<Arc<PoolScaler>> = scalers.into_iter().map(of).collect();
        let budgets: Vec<Arc<ConnectionBudget>> =
            vec![of(json!({"metadata": {"name": "main", "namespace": "shop"}, "spec": {"maxConnections": 100}}))];
        let deployments: Vec<Arc<Deployment>> = vec![of(deployment("cart"))];
        let objects = Objects {
            scalers: &scalers,
            budgets: &budgets,
            deployments: &deployments,
            pods: &pods,
            targets,
            listed_at: Moment::default(),
        };
        let since = super::ready(&pods).map(|uid| (uid, Moment::default())).collect();
        let (found, _) = databases(&objects, |_| None, |_| None, &since, &mut Selectors::default());
        check(&found[&("shop".to_owned(), "main".to_owned())]);
    }

    fn of_stateful_set(name: &str) -> Value {
        let mut scaler = scaler(name, "cart");
        scaler["spec"]["targetRef"] = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "cart"});
        scaler
    }

    fn scaled(known: Known) -> BTreeMap<TargetName, Known> {
        let name = ["shop", "apps/v1", "StatefulSet", "cart"].map(ToOwned::to_owned);
        let [namespace, version, kind, name] = name;
        [((namespace, version, kind, name), known)].into()
    }

    #[test]
    fn a_target_that_is_not_watched_is_what_its_scale_says() {
        let scale = Scale { wanted: 3, present: 2, selector: "app=cart".to_owned() };
        let known = scaled(Known::Scaled(scale));
        shop(vec![of_stateful_set("cart")], &known, |database| {
            let cart = &database.scalers[&"shop/cart".into()];
            assert_eq!((cart.replicas, cart.ready, &cart.refused), (Some(3), 1, &None));
            assert_eq!(database.config.scalers[&"shop/cart".into()].spec.surge, 0, "it replaces its pods one by one");
            assert_eq!((database.workloads.pods.pods.len(), database.is_whole), (2, true));
        });
        // Nothing is missing of what can't be scaled; of what hasn't answered yet, all.
        let refused = Refused { reason: "TargetForbidden", message: "name it".to_owned() };
        shop(vec![of_stateful_set("cart")], &scaled(Known::Refused(refused.clone())), |database| {
            assert_eq!(database.scalers[&"shop/cart".into()].refused, Some(refused.clone()));
            assert!(database.is_whole);
        });
        let blind = Scale { wanted: 3, present: 2, selector: String::new() };
        shop(vec![of_stateful_set("cart")], &scaled(Known::Scaled(blind)), |database| {
            let cart = &database.scalers[&"shop/cart".into()];
            assert_eq!((cart.refused.as_ref().unwrap().reason, cart.replicas), ("SelectorMissing", None));
        });
        shop(vec![of_stateful_set("cart")], &BTreeMap::new(), |database| {
            assert_eq!(database.scalers[&"shop/cart".into()].refused.as_ref().unwrap().reason, "TargetUnknown");
            assert!(!database.is_whole, "a set without its pods would say that they are gone");
        });
    }

    #[test]
    fn two_whose_targets_select_one_pod_are_both_refused_by_name() {
        let scale = Scale { wanted: 3, present: 2, selector: "app in (cart)".to_owned() };
        let known = scaled(Known::Scaled(scale));
        shop(vec![of_stateful_set("one"), scaler("two", "cart")], &known, |database| {
            for (id, other) in [("shop/one", "shop/two"), ("shop/two", "shop/one")] {
                let refused = database.scalers[&id.into()].refused.as_ref().unwrap();
                assert_eq!(refused.reason, "TargetsOverlap");
                assert!(
                    refused.message.contains(&format!("the PoolScaler {other} selects the pod cart-")),
                    "{refused:?}"
                );
                assert!(database.config.scalers[&id.into()].spec.is_paused);
            }
        });
        // Of one target the older scaler has the pods.
        shop(vec![scaler("two", "cart"), scaler("one", "cart")], &BTreeMap::new(), |database| {
            let reason = |id: &str| database.scalers[&id.into()].refused.as_ref().map(|refused| refused.reason);
            assert_eq!((reason("shop/one"), reason("shop/two")), (None, Some("TargetOwned")));
            let whose: BTreeSet<_> = database.workloads.pods.pods.iter().map(|pod| pod.scaler.as_str()).collect();
            assert_eq!(whose, ["shop/one"].into());
        });
    }

    #[test]
    fn ready_pods_with_an_address_are_asked_for_their_metrics() {
        let mut scraped = scaler("cart", "cart");
        scraped["spec"]["pool"] = json!({"floor": 8, "ceiling": 8});
        let scrape = json!({"port": 8080, "dialect": "HikariCP", "intervalSeconds": 7, "poolName": "main"});
        scraped["spec"]["source"] = json!({"type": "Scrape", "scrape": scrape});
        shop(vec![scraped], &BTreeMap::new(), |database| {
            let cart = &database.scalers[&"shop/cart".into()];
            let (pod, asked) = &cart.asked[0];
            assert_eq!((cart.asked.len(), pod.uid.as_str(), pod.restarts), (1, "cart-1-uid", 0));
            assert_eq!(
                (asked.page.address.to_string().as_str(), asked.page.path.as_str()),
                ("10.0.0.7:8080", "/metrics")
            );
            assert_eq!((asked.every, asked.wanted.pool.as_deref()), (Duration::from_secs(7), Some("main")));
            let spec = &database.config.scalers[&"shop/cart".into()].spec;
            assert_eq!((spec.is_fixed, spec.report_every), (true, Duration::from_secs(7)));
            assert_eq!(database.workloads.pods.pods[0].address, Some("10.0.0.7".into()));
        });
        shop(vec![scaler("cart", "cart")], &BTreeMap::new(), |database| {
            let cart = &database.scalers[&"shop/cart".into()];
            assert!(cart.asked.is_empty() && !database.config.scalers[&"shop/cart".into()].spec.is_fixed);
        });
    }
}
