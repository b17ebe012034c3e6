//! Who else scales a workload.
//!
//! Two that set the replicas of one workload set them back and forth for ever. So a target that a HorizontalPodAutoscaler or a
//! ScaledObject names is refused, whoever was there first.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tokio::time::timeout;

use super::ANSWER;
use crate::resources::{PoolScaler, TargetRef};

/// Somebody who scales a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// All that scale something in a namespace, without our own kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(Vec<(TargetRef, Owner)>);

impl Owners {
    /// Those that the API server knows. Where nobody has installed KEDA there are no ScaledObjects.
    ///
    /// # Errors
    /// What the API server says, or that it doesn't answer: nobody knows then, and nothing must be scaled.
    pub async fn of_namespace(client: &Client, namespace: &str) -> anyhow::Result<Self> {
        let everything = ListParams::default();
        let autoscalers: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
        let mut found = Vec::new();
        for autoscaler in timeout(ANSWER, autoscalers.list(&everything)).await?? {
            let owner = Owner { kind: "HorizontalPodAutoscaler", name: autoscaler.name_any() };
            let Some(target) = autoscaler.spec.map(|spec| spec.scale_target_ref) else { continue };
            let api_version = target.api_version.unwrap_or_default();
            found.push((TargetRef { api_version, kind: target.kind, name: target.name }, owner));
        }
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject"));
        let scaled: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        match timeout(ANSWER, scaled.list(&everything)).await? {
            Ok(list) => {
                for object in list {
                    let owner = Owner { kind: "ScaledObject", name: object.name_any() };
                    found.push((scaled_target(&object.data), owner));
                }
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self(found))
    }

    /// Who scales this target. A ScaledObject makes a HorizontalPodAutoscaler of its own: the one whom a person wrote is named.
    pub fn of(&self, target: &TargetRef) -> Option<&Owner> {
        let mut all: Vec<_> =
            self.0.iter().filter(|(other, _)| is_same(other, target)).map(|(_, owner)| owner).collect();
        all.sort_by_key(|owner| (owner.kind != "ScaledObject", &owner.name));
        all.first().copied()
    }
}

/// Why a scaler isn't at work, in one word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The word: a condition's reason.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

/// Who else scales, as it was known when it was last asked. It is asked in the background, for a list takes its time.
#[derive(Clone, Debug, Default)]
pub struct Others(Arc<Mutex<HashMap<String, Owners>>>);

impl Others {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Owners>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the namespaces of these scalers, and forgets others. Where the API server doesn't answer, what was known stays.
    pub fn ask(&self, client: &Client, scalers: &[Arc<PoolScaler>]) {
        let namespaces: BTreeSet<_> = scalers.iter().filter_map(|scaler| scaler.namespace()).collect();
        self.known().retain(|namespace, _| namespaces.contains(namespace));
        let (this, client) = (self.clone(), client.clone());
        tokio::spawn(async move {
            for namespace in namespaces {
                match Owners::of_namespace(&client, &namespace).await {
                    Ok(owners) => drop(this.known().insert(namespace, owners)),
                    Err(error) => {
                        tracing::warn!(namespace, error = format!("{error:#}"), "who else scales can't be found out");
                    }
                }
            }
        });
    }

    /// Why this scaler's target isn't ours to scale, if it isn't, or nobody knows yet.
    pub fn refuse(&self, scaler: &PoolScaler) -> Option<Refused> {
        let target = &scaler.spec.target_ref;
        let known = self.known();
        let Some(owners) = known.get(&scaler.namespace().unwrap_or_default()) else {
            let message = "it isn't known yet whether somebody else scales the target".to_owned();
            return Some(Refused { reason: "OwnersUnknown", message });
        };
        let Owner { kind, name } = owners.of(target)?;
        let message = format!("the {kind} {name} scales {} too, and two that do would fight: remove one", target.name);
        Some(Refused { reason: "TargetOwned", message })
    }
}

/// The target of a ScaledObject, with what KEDA fills in.
fn scaled_target(object: &Value) -> TargetRef {
    let target = &object["spec"]["scaleTargetRef"];
    let text = |key: &str, default: &str| target[key].as_str().unwrap_or(default).to_owned();
    TargetRef { api_version: text("apiVersion", "apps/v1"), kind: text("kind", "Deployment"), name: text("name", "") }
}

/// Versions of one kind are one kind.
fn is_same(one: &TargetRef, other: &TargetRef) -> bool {
    let group = |target: &TargetRef| target.api_version.rsplit_once('/').map(|(group, _)| group.to_owned());
    one.kind == other.kind && one.name == other.name && group(one) == group(other)
}

/// The PoolScaler of the same namespace that has this one's target and was there before: the older by creation, then by name.
pub fn rival<'a>(scaler: &PoolScaler, others: impl IntoIterator<Item = &'a PoolScaler>) -> Option<&'a PoolScaler> {
    let age = |scaler: &PoolScaler| (scaler.creation_timestamp().map(|time| time.0), scaler.name_any());
    let same = others.into_iter().filter(|other| {
        other.namespace() == scaler.namespace()
            && other.name_any() != scaler.name_any()
            && is_same(&other.spec.target_ref, &scaler.spec.target_ref)
    });
    same.filter(|other| age(other) < age(scaler)).min_by_key(|other| age(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(api_version: &str, kind: &str, name: &str) -> TargetRef {
        TargetRef { api_version: api_version.into(), kind: kind.into(), name: name.into() }
    }

    #[test]
    fn a_target_is_owned_whatever_version_its_owner_calls_it_by() {
        let hpa = Owner { kind: "HorizontalPodAutoscaler", name: "keda-hpa-cart".into() };
        let keda = Owner { kind: "ScaledObject", name: "cart".into() };
        let owners = Owners(vec![
            (target("apps/v1beta2", "Deployment", "cart"), hpa.clone()),
            (scaled_target(&json!({"spec": {"scaleTargetRef": {"name": "cart"}}})), keda.clone()),
            (target("apps/v1", "Deployment", "web"), hpa.clone()),
        ]);
        assert_eq!(owners.of(&target("apps/v1", "Deployment", "cart")), Some(&keda));
        assert_eq!(owners.of(&target("apps/v1", "Deployment", "web")), Some(&hpa));
        for other in [target("apps/v1", "StatefulSet", "cart"), target("argoproj.io/v1alpha1", "Deployment", "cart")] {
            assert_eq!(owners.of(&other), None);
        }
    }

    #[test]
    fn of_two_scalers_of_one_target_the_older_has_it() {
        let scaler = |name: &str, created: &str, target: &str| -> PoolScaler {
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "shop", "creationTimestamp": created},
                "spec": {"targetRef": {"name": target}, "budgetRef": {"name": "main"}, "maxReplicas": 1, "pool": {"ceiling": 2}},
            }))
            .unwrap()
        };
        let old = scaler("z", "2026-01-01T00:00:00Z", "cart");
        let new = scaler("a", "2026-01-02T00:00:00Z", "cart");
        let other = scaler("o", "2025-01-01T00:00:00Z", "web");
        let all = [old.clone(), new.clone(), other.clone()];
        assert_eq!(rival(&new, &all).map(kube::ResourceExt::name_any), Some("z".into()));
        assert_eq!(rival(&old, &all), None);
        assert_eq!(rival(&other, &all), None);
    }
}
