//! What the operator says of the kinds that a cluster serves.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use selvage_operator::controllers::kinds::stale_kinds;
use selvage_operator::resources::definitions;
use serde_json::json;

use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stale_is_named() {
    let Some(cluster) = Cluster::bare().await else { return };
    let found = stale_kinds(&cluster.client).await.unwrap();
    let missing =
        ["ConnectionBudget", "PoolScaler"].map(|kind| format!("{kind} isn't there: install charts/selvage-crds"));
    assert_eq!(found, missing);

    cluster.install();
    assert_eq!(stale_kinds(&cluster.client).await.unwrap(), [""; 0], "what the API server fills in is no difference");

    // As an earlier chart left it: a field that came later, a bound that was another, no rule yet.
    let mut older = serde_json::to_value(&definitions()[1]).unwrap();
    let spec = &mut older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"].as_object_mut().unwrap().remove("maxSurge");
    spec["properties"]["maxReplicas"]["maximum"] = json!(100);
    spec.as_object_mut().unwrap().remove("x-kubernetes-validations");
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    api.delete("poolscalers.selvage.dev", &DeleteParams::default()).await.unwrap();
    selvage_testkit::eventually(std::time::Duration::from_secs(30), "the definition is gone", async || {
        api.get_opt("poolscalers.selvage.dev").await.is_ok_and(|found| found.is_none())
    })
    .await;
    let parameters = PatchParams::apply("an-earlier-chart");
    api.patch("poolscalers.selvage.dev", &parameters, &Patch::Apply(&older)).await.unwrap();
    let found = stale_kinds(&cluster.client).await.unwrap();
    assert_eq!(found.len(), 3, "{found:#?}");
    for words in [
        "PoolScaler: spec.maxSurge is unknown, and is dropped without a word",
        "PoolScaler: spec.maxReplicas: maximum is 100.0 instead of 1000.0",
        "PoolScaler: spec: x-kubernetes-validations isn't there",
    ] {
        assert!(found.iter().any(|found| found.starts_with(words)), "{words}: {found:#?}");
    }
}
