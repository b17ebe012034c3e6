//! What the operator must be allowed to do, tried with a service account that may do that and nothing else.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::core::NamespaceResourceScope;
use selvage_operator::controllers::conditions::{Finding, READY, updated};
use selvage_operator::controllers::kinds::stale_kinds;
use selvage_operator::controllers::owners::Owners;
use selvage_operator::controllers::readers::Readers;
use selvage_operator::controllers::report::Reports;
use selvage_operator::controllers::rights::{CLUSTER, NAMESPACED, OWN, Right};
use selvage_operator::controllers::target::Target;
use selvage_operator::controllers::tokens::Tokens;
use selvage_operator::resources::{ConnectionBudget, PoolScaler, PoolScalerStatus, TargetRef};
use selvage_testkit::eventually;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// How long an API server takes to notice that a role is another.
const BOUND: Duration = Duration::from_secs(60);

/// Lists a kind and begins to watch it.
async fn watches<K>(client: &Client) -> anyhow::Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::all(client.clone());
    api.list(&ListParams::default()).await?;
    drop(api.watch(&WatchParams::default().timeout(1), "0").await?);
    Ok(())
}

/// Does everything that the operator does; what of it was refused.
async fn refused(client: &Client, scaler: &PoolScaler, turn: u64) -> Vec<String> {
    let leases: Api<Lease> = Api::default_namespaced(client.clone());
    let lease = async || -> anyhow::Result<()> {
        let new = serde_json::from_value(json!({"metadata": {"generateName": "tried-"}}))?;
        let kept = leases.create(&PostParams::default(), &new).await?;
        let name = kept.metadata.name.clone().unwrap_or_default();
        leases.get(&name).await?;
        leases.replace(&name, &PostParams::default(), &kept).await?;
        Ok(())
    };
    let scale = async || -> anyhow::Result<()> {
        for kind in ["Deployment", "StatefulSet"] {
            let target = TargetRef { api_version: "apps/v1".into(), kind: kind.into(), name: "cart".into() };
            let target = Target::find(client, "default", &target).await?;
            if target.scale().await?.is_some() {
                target.set(2).await?;
            }
        }
        Ok(())
    };
    let report = async || -> anyhow::Result<()> {
        let finding = Finding::new(READY, false, "Tried", turn.to_string());
        let status = PoolScalerStatus {
            observed_generation: i64::try_from(turn).ok(),
            conditions: updated(
                &[],
                &[finding],
                None,
                &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Default::default()),
            ),
            ..PoolScalerStatus::default()
        };
        Reports::new(client.clone(), "it".into()).report(scaler, &status).await.map(drop)
    };
    let budgets: Api<ConnectionBudget> = Api::default_namespaced(client.clone());
    let (apply, none) =
        (PatchParams::apply("it"), json!({"apiVersion": "selvage.dev/v1alpha1", "kind": "ConnectionBudget"}));
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::default_namespaced(client.clone());
    let event = json!({
        "metadata": {"generateName": "tried-"}, "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "it",
        "reportingInstance": "it", "action": "Try", "reason": "Tried", "type": "Normal",
        "regarding": {"namespace": "default", "kind": "PoolScaler", "name": "cart"},
    });
    let event = serde_json::from_value(event).expect("an event");
    let user = serde_json::from_value(json!({"username": "somebody"})).expect("a user");
    let tried: Vec<(&str, anyhow::Result<()>)> = vec![
        ("lease", lease().await),
        ("pods", watches::<Pod>(client).await),
        ("deployments", watches::<Deployment>(client).await),
        ("poolscalers", watches::<PoolScaler>(client).await),
        ("connectionbudgets", watches::<ConnectionBudget>(client).await),
        ("scale", scale().await),
        ("owners", Owners::of_namespace(client, "default").await.map(drop)),
        ("report", report().await),
        (
            "budget's status",
            budgets.patch_status("main", &apply, &Patch::Apply(&none)).await.map(drop).map_err(Into::into),
        ),
        ("events", events.create(&PostParams::default(), &event).await.map(drop).map_err(Into::into)),
        ("secret", secrets.get("url").await.map(drop).map_err(Into::into)),
        ("kinds", stale_kinds(client).await.map(drop)),
        ("tokens", Tokens::new(client.clone()).owner("x").await.map(drop).map_err(Into::into)),
        ("readers", Readers::new(client.clone()).may_list(&user, "default").await.map(drop).map_err(Into::into)),
    ];
    let failed = tried.into_iter().filter_map(|(what, tried)| tried.err().map(|error| format!("{what}: {error:#}")));
    failed.collect()
}

fn role(rights: &[Right]) -> Value {
    let rule = |right: &Right| json!({"apiGroups": [right.group], "resources": right.resources, "verbs": right.verbs});
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "operator"},
        "rules": rights.iter().map(rule).collect::<Vec<_>>(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_are_enough_and_none_is_needless() {
    let Some(cluster) = Cluster::start().await else { return };
    let all = [OWN, NAMESPACED, CLUSTER].concat();
    cluster.server.said(&["create", "serviceaccount", "operator"]);
    cluster.apply(&role(&all));
    let binding =
        ["create", "clusterrolebinding", "operator", "--clusterrole=operator", "--serviceaccount=default:operator"];
    cluster.server.said(&binding);
    cluster.server.said(&["create", "secret", "generic", "url", "--from-literal=url=postgres://a/b"]);
    cluster.server.said(&["create", "deployment", "cart", "--image=it"]);
    let spec =
        json!({"targetRef": {"name": "cart"}, "budgetRef": {"name": "main"}, "maxReplicas": 3, "pool": {"ceiling": 9}});
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "selvage.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec});
    cluster.apply(&object("PoolScaler", "cart", spec));
    cluster.apply(&object("ConnectionBudget", "main", json!({"maxConnections": 100})));
    let scaler: PoolScaler = Api::default_namespaced(cluster.client.clone()).get("cart").await.unwrap();
    let client = cluster.account("operator").await;

    let mut turn = 0;
    let mut tried = async || {
        turn += 1;
        refused(&client, &scaler, turn).await
    };
    let mut left = Vec::new();
    eventually(BOUND, "all of it is allowed", async || {
        left = tried().await;
        left.is_empty()
    })
    .await;
    for (index, right) in all.iter().enumerate() {
        // Where KEDA isn't installed, a right to list what it would have changes the refusal only.
        let mut others = all.clone();
        others.remove(index);
        cluster.apply(&role(&others));
        eventually(BOUND, &format!("{right:?} is missed"), async || !tried().await.is_empty()).await;
        cluster.apply(&role(&all));
        eventually(BOUND, "all of it is allowed again", async || tried().await.is_empty()).await;
    }
}
