//! What is written to the API server: replicas, and statuses.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Client, ResourceExt as _};
use opentelemetry::trace::{self, SpanKind};
use selvage_telemetry::span::Span;
use tokio::sync::watch;

use super::statuses;
use super::workloads::{Database, scaler_id};
use crate::controllers::report::Reports;
use crate::controllers::target::Target;
use crate::domain::control::Next;
use crate::domain::decide::{Baselines, Probe};
use crate::resources::{ConnectionBudget, ConnectionBudgetStatus, PoolScaler, PoolScalerStatus};
use crate::telemetry::acts::{Acts, Deciding};
use crate::telemetry::counts::{self, Written};

/// All that one decision wants written.
#[derive(Default)]
pub(super) struct Batch {
    replicas: Vec<(PoolScaler, i32, Option<Deciding>)>,
    pub(super) scalers: Vec<(PoolScaler, PoolScalerStatus)>,
    pub(super) budgets: Vec<(ConnectionBudget, ConnectionBudgetStatus)>,
}

impl Batch {
    /// What was decided for a database; the statuses of its budget and of its scalers.
    pub(super) fn add(
        &mut self,
        database: &Database<'_>,
        next: &Next,
        probe: Option<&Probe>,
        baselines: Option<&Baselines>,
        leader: &str,
        now: &Time,
    ) -> (Option<&ConnectionBudgetStatus>, &[(PoolScaler, PoolScalerStatus)]) {
        let before = self.scalers.len();
        for (id, scaler) in &database.scalers {
            if scaler.refused.is_none()
                && let Some(replicas) = next.replicas.get(id)
            {
                let replicas = i32::try_from(*replicas).unwrap_or(i32::MAX);
                self.replicas.push((scaler.object.clone(), replicas, None));
            }
            let status = statuses::of_scaler(id, scaler, next, baselines, now);
            self.scalers.push((scaler.object.clone(), status));
        }
        let status = statuses::of_budget(database, next, probe, baselines, leader, now);
        self.budgets.push((database.object.clone(), status));
        (self.budgets.last().map(|(_, status)| status), &self.scalers[before..])
    }

    /// Which decisions the replicas are of, for their traces.
    pub(super) fn of_decisions(&mut self, acts: &Acts) {
        for (scaler, _, deciding) in &mut self.replicas {
            *deciding = acts.deciding(&scaler_id(scaler));
        }
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
        for (scaler, replicas, deciding) in &batch.replicas {
            let write = deciding.as_ref().map_or_else(Span::none, |deciding| {
                Span::within(&deciding.context(), SpanKind::Client, "set replicas")
            });
            let is_set = write.run(set(&client, scaler, *replicas)).await;
            if let (Some(recorded), false) = (write.recorded(), is_set) {
                recorded.set_status(trace::Status::error("the replicas can't be set"));
            }
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

/// Whether the replicas are set.
async fn set(client: &Client, scaler: &PoolScaler, replicas: i32) -> bool {
    let (namespace, reference) = (scaler.namespace().unwrap_or_default(), &scaler.spec.target_ref);
    let set = async {
        let target = Target::find(client, &namespace, reference).await?;
        // A person may have set another number since the decision.
        match target.scale().await? {
            Some(scale) if scale.wanted != replicas => target.set(replicas).await.map(|()| Some(scale.wanted)),
            _ => Ok(None),
        }
    };
    let set = set.await;
    match &set {
        Ok(Some(before)) => {
            counts::wrote(Written::Replicas, true);
            tracing::info!(scaler = scaler.name_any(), target = reference.name, before, replicas, "replicas are set");
        }
        Ok(None) => {}
        Err(error) => {
            counts::wrote(Written::Replicas, false);
            tracing::warn!(scaler = scaler.name_any(), error = format!("{error:#}"), "replicas can't be set");
        }
    }
    set.is_ok()
}
