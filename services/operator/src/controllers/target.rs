//! A workload: how many replicas it has, which pods are its own, and how it is given another number.

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, discovery};
use serde_json::json;
use tokio::time::timeout;

use super::{ANSWER, MANAGER};
use crate::resources::{PAUSED, PoolScaler, TargetRef};

/// A workload with a scale subresource.
#[derive(Clone, Debug)]
pub struct Target {
    api: Api<DynamicObject>,
    name: String,
}

/// What a workload's scale subresource says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Replicas that are wanted.
    pub wanted: i32,
    /// Replicas that there are.
    pub present: i32,
    /// Which pods are its own, as a label selector.
    pub selector: String,
}

impl Target {
    /// Finds out how the kind is asked for.
    ///
    /// # Errors
    /// If the cluster has no such kind, or doesn't answer.
    pub async fn find(client: &Client, namespace: &str, target: &TargetRef) -> anyhow::Result<Self> {
        let (group, version) = target.api_version.rsplit_once('/').unwrap_or(("", &target.api_version));
        let kind = GroupVersionKind::gvk(group, version, &target.kind);
        let resource: ApiResource = match (group, target.kind.as_str()) {
            // What nearly everybody has needn't be asked for.
            ("apps", "Deployment" | "StatefulSet" | "ReplicaSet") => ApiResource::from_gvk(&kind),
            _ => {
                let found = timeout(ANSWER, discovery::pinned_kind(client, &kind)).await?;
                found.with_context(|| format!("the cluster has no {} of {}", target.kind, target.api_version))?.0
            }
        };
        let api = Api::namespaced_with(client.clone(), namespace, &resource);
        Ok(Self { api, name: target.name.clone() })
    }

    /// What it is scaled to. Nothing if it isn't there.
    ///
    /// # Errors
    /// If it has no scale subresource, or the API server refuses or doesn't answer.
    pub async fn scale(&self) -> anyhow::Result<Option<Scale>> {
        match timeout(ANSWER, self.api.get_scale(&self.name)).await? {
            Ok(scale) => {
                let status = scale.status.unwrap_or_default();
                Ok(Some(Scale {
                    wanted: scale.spec.and_then(|spec| spec.replicas).unwrap_or_default(),
                    present: status.replicas,
                    selector: status.selector.unwrap_or_default(),
                }))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives it another number of replicas.
    ///
    /// # Errors
    /// If the API server refuses or doesn't answer.
    pub async fn set(&self, replicas: i32) -> anyhow::Result<()> {
        let patch = json!({"spec": {"replicas": replicas}});
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        timeout(ANSWER, self.api.patch_scale(&self.name, &parameters, &Patch::Merge(&patch))).await??;
        Ok(())
    }
}

/// Whether somebody wants everything left as it is.
pub fn is_paused(scaler: &PoolScaler) -> bool {
    scaler.metadata.annotations.as_ref().and_then(|all| all.get(PAUSED)).is_some_and(|value| value == "true")
}

/// How many pods beyond `replicas` a roll-out of a Deployment starts. A percentage is rounded up, as Kubernetes does.
pub fn surge(deployment: &Deployment, replicas: i32) -> i32 {
    let Some(spec) = &deployment.spec else { return 0 };
    let strategy = spec.strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
        return 0;
    }
    let surge = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.max_surge.as_ref());
    let percent = |percent: i32| (i64::from(replicas) * i64::from(percent) + 99) / 100;
    match surge {
        Some(IntOrString::Int(pods)) => *pods,
        Some(IntOrString::String(text)) => {
            // What isn't a percentage the API server has refused.
            let share = text.strip_suffix('%').and_then(|share| share.parse().ok()).unwrap_or(100);
            i32::try_from(percent(share)).unwrap_or(i32::MAX)
        }
        None => i32::try_from(percent(25)).unwrap_or(i32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(strategy: serde_json::Value) -> Deployment {
        let template = json!({"metadata": {}, "spec": {"containers": []}});
        serde_json::from_value(json!({
            "metadata": {"name": "cart"}, "spec": {"selector": {}, "template": template, "strategy": strategy},
        }))
        .unwrap()
    }

    #[test]
    fn a_surge_is_counted_as_kubernetes_counts_it() {
        let rolling = |surge: serde_json::Value| json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge}});
        for (strategy, replicas, wanted) in [
            (rolling(json!(2)), 10, 2),
            (rolling(json!("25%")), 10, 3),
            (rolling(json!("100%")), 7, 7),
            (rolling(json!("0%")), 7, 0),
            (json!({"type": "RollingUpdate"}), 9, 3),
            (json!({"type": "Recreate"}), 9, 0),
        ] {
            assert_eq!(surge(&deployment(strategy.clone()), replicas), wanted, "{strategy} of {replicas}");
        }
    }
}
