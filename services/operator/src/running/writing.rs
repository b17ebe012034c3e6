//! What is written to the API server: replicas, and statuses.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;

use super::statuses;
use super::workloads::Database;
use crate::controllers::report::Reports;
use crate::controllers::target::Target;
use crate::domain::control::Next;
use crate::domain::decide::{Baselines, Probe};
use crate::resources::{ConnectionBudget, ConnectionBudgetStatus, PoolScaler, PoolScalerStatus};

/// All that one decision wants written.
#[derive(Default)]
pub(super) struct Batch {
    replicas: Vec<(PoolScaler, i32)>,
    scalers: Vec<(PoolScaler, PoolScalerStatus)>,
    budgets: Vec<(ConnectionBudget, ConnectionBudgetStatus)>,
}

impl Batch {
    /// What was decided for a database.
    pub(super) fn add(
        &mut self,
        database: &Database<'_>,
        next: &Next,
        probe: Option<&Probe>,
        baselines: Option<&Baselines>,
        leader: &str,
        now: &Time,
    ) {
        for (id, scaler) in &database.scalers {
            if scaler.refused.is_none()
                && let Some(replicas) = next.replicas.get(id)
            {
                self.replicas.push((scaler.object.clone(), i32::try_from(*replicas).unwrap_or(i32::MAX)));
            }
            let status = statuses::of_scaler(id, scaler, next, baselines, now);
            self.scalers.push((scaler.object.clone(), status));
        }
        let status = statuses::of_budget(database, next, probe, baselines, leader, now);
        self.budgets.push((database.object.clone(), status));
    }

    /// A scaler without a budget.
    pub(super) fn homeless(&mut self, scaler: &PoolScaler, now: &Time) {
        self.scalers.push((scaler.clone(), statuses::of_homeless(scaler, now)));
    }
}

/// Where batches are put, the newest in place of one that wasn't begun yet, and the work that writes them.
pub(super) fn start(client: Client, instance: String) -> (watch::Sender<Arc<Batch>>, impl Future<Output = ()> + Send) {
    let (sender, batches) = watch::channel(Arc::default());
    (sender, write_all(client, instance, batches))
}

async fn write_all(client: Client, instance: String, mut batches: watch::Receiver<Arc<Batch>>) {
    let mut scalers = Reports::<PoolScalerStatus>::new(client.clone(), instance.clone());
    let mut budgets = Reports::<ConnectionBudgetStatus>::new(client.clone(), instance);
    while batches.changed().await.is_ok() {
        let batch = batches.borrow_and_update().clone();
        // Replicas first: somebody waits for them.
        for (scaler, replicas) in &batch.replicas {
            set(&client, scaler, *replicas).await;
        }
        for (object, status) in &batch.scalers {
            if let Err(error) = scalers.report(object, status).await {
                tracing::warn!(scaler = object.name_any(), error = format!("{error:#}"), "a status can't be written");
            }
        }
        for (object, status) in &batch.budgets {
            if let Err(error) = budgets.report(object, status).await {
                tracing::warn!(budget = object.name_any(), error = format!("{error:#}"), "a status can't be written");
            }
        }
        scalers.keep(batch.scalers.iter().map(|(object, _)| object));
        budgets.keep(batch.budgets.iter().map(|(object, _)| object));
    }
}

async fn set(client: &Client, scaler: &PoolScaler, replicas: i32) {
    let (namespace, reference) = (scaler.namespace().unwrap_or_default(), &scaler.spec.target_ref);
    let set = async {
        let target = Target::find(client, &namespace, reference).await?;
        // A person may have set another number since the decision.
        match target.scale().await? {
            Some(scale) if scale.wanted != replicas => target.set(replicas).await.map(|()| Some(scale.wanted)),
            _ => Ok(None),
        }
    };
    match set.await {
        Ok(Some(before)) => {
            tracing::info!(scaler = scaler.name_any(), target = reference.name, before, replicas, "replicas are set");
        }
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(scaler = scaler.name_any(), error = format!("{error:#}"), "replicas can't be set");
        }
    }
}
