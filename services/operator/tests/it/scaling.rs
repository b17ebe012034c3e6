//! Workloads' replicas, and who else sets them, at a real API server.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, PostParams};
use selvage_operator::controllers::owners::{Owner, Owners};
use selvage_operator::controllers::target::Target;
use selvage_operator::resources::TargetRef;
use serde_json::{Value, json};

use crate::cluster::Cluster;

fn target(api_version: &str, kind: &str, name: &str) -> TargetRef {
    TargetRef { api_version: api_version.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

fn deployment() -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "cart"},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "cart"}},
            "template": {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [{"name": "it", "image": "it"}]}},
        },
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_is_scaled_through_its_scale_subresource() {
    let Some(cluster) = Cluster::start().await else { return };
    let deployments: Api<Deployment> = Api::default_namespaced(cluster.client.clone());
    deployments.create(&PostParams::default(), &deployment()).await.unwrap();
    let found = Target::find(&cluster.client, "default", &target("apps/v1", "Deployment", "cart")).await.unwrap();
    let scale = found.scale().await.unwrap().expect("it is there");
    assert_eq!((scale.wanted, scale.present, scale.selector.as_str()), (3, 0, "app=cart"));
    found.set(5).await.unwrap();
    assert_eq!(found.scale().await.unwrap().unwrap().wanted, 5);
    let kept = deployments.get("cart").await.unwrap();
    let managers = kept.metadata.managed_fields.unwrap_or_default();
    let ours = managers.iter().find(|entry| entry.manager.as_deref() == Some("selvage-operator")).expect("we did it");
    assert_eq!(ours.subresource.as_deref(), Some("scale"));
    assert_eq!(kept.spec.unwrap().template.spec.unwrap().containers.len(), 1, "nothing else was touched");

    let nobody = Target::find(&cluster.client, "default", &target("apps/v1", "Deployment", "nobody")).await.unwrap();
    assert_eq!(nobody.scale().await.unwrap(), None);
    nobody.set(5).await.expect_err("there is nothing to scale");
    // A kind that has to be asked for; it has a scale subresource too.
    cluster.apply(&json!({
        "apiVersion": "selvage.dev/v1alpha1", "kind": "PoolScaler", "metadata": {"name": "cart", "namespace": "default"},
        "spec": {"targetRef": {"name": "cart"}, "budgetRef": {"name": "main"}, "maxReplicas": 6, "pool": {"ceiling": 20}},
    }));
    let other =
        Target::find(&cluster.client, "default", &target("selvage.dev/v1alpha1", "PoolScaler", "cart")).await.unwrap();
    other.set(4).await.unwrap();
    assert_eq!(other.scale().await.unwrap().unwrap().wanted, 4);
    let unknown = Target::find(&cluster.client, "default", &target("example.org/v1", "Loom", "x")).await;
    assert_eq!(unknown.unwrap_err().to_string(), "the cluster has no Loom of example.org/v1");
}

/// KEDA's kind, as far as it is looked at.
fn scaled_objects() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "scaledobjects.keda.sh"},
        "spec": {
            "group": "keda.sh", "scope": "Namespaced",
            "names": {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_somebody_else_scales_is_known() {
    let Some(cluster) = Cluster::bare().await else { return };
    let owners = async || Owners::of_namespace(&cluster.client, "default").await.unwrap();
    let [cart, web] = ["cart", "web"].map(|name| target("apps/v1", "Deployment", name));
    assert_eq!(owners().await.of(&cart), None, "and no KEDA is no error");
    let autoscalers: Api<HorizontalPodAutoscaler> = Api::default_namespaced(cluster.client.clone());
    let autoscaler = serde_json::from_value(json!({
        "metadata": {"name": "on-cpu"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}, "maxReplicas": 3},
    }));
    autoscalers.create(&PostParams::default(), &autoscaler.unwrap()).await.unwrap();
    let found = owners().await;
    assert_eq!(found.of(&cart), Some(&Owner { kind: "HorizontalPodAutoscaler", name: "on-cpu".to_owned() }));
    assert_eq!(found.of(&web), None);

    cluster.apply(&scaled_objects());
    cluster.server.said(&["wait", "--for=condition=Established", "--timeout=60s", "crd/scaledobjects.keda.sh"]);
    cluster.apply(&json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "on-waiters", "namespace": "default"},
        "spec": {"scaleTargetRef": {"name": "web"}, "triggers": []},
    }));
    assert_eq!(owners().await.of(&web), Some(&Owner { kind: "ScaledObject", name: "on-waiters".to_owned() }));
}
