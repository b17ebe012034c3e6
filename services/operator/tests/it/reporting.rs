//! Statuses and events, at a real API server.

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use selvage_operator::controllers::conditions::{Finding, READY, updated};
use selvage_operator::controllers::report::Reports;
use selvage_operator::resources::{PoolScaler, PoolScalerStatus, PoolTotals};
use serde_json::json;

use crate::cluster::Cluster;

fn scaler() -> PoolScaler {
    serde_json::from_value(json!({
        "metadata": {"name": "cart"},
        "spec": {"targetRef": {"name": "cart"}, "budgetRef": {"name": "main"}, "maxReplicas": 3, "pool": {"ceiling": 9}},
    }))
    .unwrap()
}

/// What became of it: ready or not, with so many who wait.
fn status(before: &PoolScalerStatus, is_ready: bool, waiting: i32) -> PoolScalerStatus {
    let (reason, message) =
        if is_ready { ("AtWork", "3 pods report") } else { ("TargetOwned", "an autoscaler has it") };
    let finding = Finding::new(READY, is_ready, reason, message);
    PoolScalerStatus {
        observed_generation: Some(1),
        replicas: 3,
        pool: Some(PoolTotals { waiting, ..PoolTotals::default() }),
        conditions: updated(
            &before.conditions,
            &[finding],
            Some(1),
            &Time(Timestamp::from_second(1_800_000_000).unwrap()),
        ),
        ..PoolScalerStatus::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_is_written_when_it_changed_and_an_event_at_a_turn() {
    let Some(cluster) = Cluster::start().await else { return };
    let scalers: Api<PoolScaler> = Api::default_namespaced(cluster.client.clone());
    let object = scalers.create(&PostParams::default(), &scaler()).await.unwrap();
    let mut reports = Reports::new(cluster.client.clone(), "operator-0".to_owned());
    let events = async || {
        let all: Api<Event> = Api::default_namespaced(cluster.client.clone());
        // The API server has something to say of its own Service now and then.
        let ours = |event: &Event| event.regarding.as_ref().is_some_and(|about| about.name.as_deref() == Some("cart"));
        all.list(&ListParams::default()).await.unwrap().items.into_iter().filter(ours).collect::<Vec<_>>()
    };

    let well = status(&PoolScalerStatus::default(), true, 0);
    assert!(reports.report(&object, &well).await.unwrap());
    let written = scalers.get("cart").await.unwrap();
    assert_eq!(written.status.as_ref(), Some(&well), "nothing of it is dropped");
    let manager = |scaler: &PoolScaler| {
        let entries = scaler.metadata.managed_fields.clone().unwrap_or_default();
        let ours: Vec<_> = entries.into_iter().filter(|entry| entry.subresource.as_deref() == Some("status")).collect();
        assert_eq!(ours.len(), 1, "one field manager");
        (ours[0].manager.clone().unwrap(), ours[0].operation.clone().unwrap())
    };
    assert_eq!(manager(&written), ("selvage-operator".to_owned(), "Apply".to_owned()));
    assert!(events().await.is_empty(), "all is well from the beginning");

    // The object is what the watch showed; what was written since is known.
    assert!(!reports.report(&object, &well).await.unwrap());
    assert!(!reports.report(&object, &status(&well, true, 7)).await.unwrap(), "counts alone can wait");
    assert_eq!(scalers.get("cart").await.unwrap().resource_version(), written.resource_version());

    let refused = status(&well, false, 7);
    assert!(reports.report(&object, &refused).await.unwrap());
    assert!(!reports.report(&object, &refused).await.unwrap());
    let said = events().await;
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!((said[0].reason.as_deref(), said[0].type_.as_deref()), (Some("TargetOwned"), Some("Warning")));
    assert_eq!(said[0].note.as_deref(), Some("not Ready: an autoscaler has it"));
    assert_eq!(said[0].reporting_instance.as_deref(), Some("operator-0"));
    let shown = cluster.server.said(&["describe", "poolscaler", "cart"]);
    assert!(shown.contains("TargetOwned") && shown.contains("an autoscaler has it"), "{shown}");

    // A new leader reads what the old one wrote, and has nothing to add.
    let mut others = Reports::new(cluster.client.clone(), "operator-1".to_owned());
    let object = scalers.get("cart").await.unwrap();
    assert!(!others.report(&object, &refused).await.unwrap());

    scalers.delete("cart", &DeleteParams::default()).await.unwrap();
    others.report(&object, &well).await.expect_err("it is gone");
}
