//! Statuses: written when something changed, by server-side apply, as one field manager.
//!
//! A status that is written wakes whoever watches the object. So one is written at once if it says something else, and one in
//! which only counts have moved once in [`COUNTS`]; see also [`crate::controllers::generation`].

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use super::{ANSWER, MANAGER};
use crate::resources::{Condition, ConnectionBudgetStatus, PoolScalerStatus};

/// How often a status is written of which only counts have moved. With 100 scalers that is three writes a second.
pub const COUNTS: Duration = Duration::from_secs(30);

/// A status of one of our kinds.
pub trait Status: Clone + Default + PartialEq + Serialize {
    /// It without what moves all the time: counts, times, and sentences that have them in them.
    #[must_use]
    fn without_counts(&self) -> Self;

    /// Its conditions.
    fn conditions(&self) -> &[Condition];
}

impl Status for PoolScalerStatus {
    fn without_counts(&self) -> Self {
        let mut rest = self.clone();
        rest.pool = None;
        rest.baselines.clear();
        rest.conditions.iter_mut().for_each(silence);
        if let Some(decision) = &mut rest.last_decision {
            decision.time = Time(Timestamp::default());
            decision.reason.clear();
            decision.inputs = crate::resources::DecisionInputs::default();
            decision.raw = crate::resources::Wanted::default();
            decision.constraints.iter_mut().for_each(|constraint| constraint.message.clear());
        }
        rest
    }

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Status for ConnectionBudgetStatus {
    fn without_counts(&self) -> Self {
        let mut rest = self.clone();
        rest.set_aside = None;
        rest.charged = None;
        rest.headroom = None;
        rest.open = None;
        rest.probe_baseline_microseconds = None;
        rest.scalers.clear();
        rest.holders.clear();
        rest.holders_omitted = None;
        rest.conditions.iter_mut().for_each(silence);
        rest
    }

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

fn silence(condition: &mut Condition) {
    condition.message.clear();
}

/// Whether a status is to be written: `before` is what the object has, and was written so long ago.
pub fn is_due<S: Status>(before: Option<&S>, after: &S, written: Option<Duration>) -> bool {
    let none = S::default();
    let before = before.unwrap_or(&none);
    if before == after {
        return false;
    }
    before.without_counts() != after.without_counts() || written.is_none_or(|since| since >= COUNTS)
}

/// Writes a status.
///
/// # Errors
/// What the API server says, for instance that the object is gone, or that it doesn't answer. One that was deleted and made
/// anew under its name a moment ago gets this status too, until the next: the API server compares no uid here.
pub async fn write<K, S>(api: &Api<K>, object: &K, status: &S) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Status,
{
    let name = object.name_any();
    let patch = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": {"name": name},
        "status": status,
    });
    let parameters = PatchParams::apply(MANAGER).force();
    timeout(ANSWER, api.patch_status(&name, &parameters, &Patch::Apply(&patch))).await??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{Constraint, LastDecision, PoolTotals, Wanted};

    fn status(class: &str, waiting: i32, replicas: i32) -> PoolScalerStatus {
        PoolScalerStatus {
            replicas: 3,
            desired_replicas: Some(replicas),
            pool: Some(PoolTotals { waiting, ..PoolTotals::default() }),
            last_decision: Some(LastDecision {
                time: Time(Timestamp::default()),
                class: class.to_owned(),
                reason: format!("{waiting} wait"),
                inputs: crate::resources::DecisionInputs::default(),
                raw: Wanted { replicas: replicas + waiting, ..Wanted::default() },
                bounded: Wanted { replicas, ..Wanted::default() },
                constraints: vec![Constraint { name: "maxReplicas".into(), message: format!("{waiting}") }],
            }),
            ..PoolScalerStatus::default()
        }
    }

    #[test]
    fn what_changed_is_written_at_once_and_counts_now_and_then() {
        let before = status("ReplicaBound", 5, 6);
        let just = Some(Duration::from_secs(1));
        assert!(is_due(None, &before, None));
        assert!(!is_due(Some(&before), &before, None), "it says the same");
        let counted = status("ReplicaBound", 9, 6);
        assert!(!is_due(Some(&before), &counted, just));
        assert!(is_due(Some(&before), &counted, Some(COUNTS)));
        assert!(is_due(Some(&before), &counted, None), "a new leader doesn't know when it was");
        assert!(is_due(Some(&before), &status("Calm", 5, 6), just));
        assert!(is_due(Some(&before), &status("ReplicaBound", 5, 7), just));
        let charged =
            |charged| ConnectionBudgetStatus { budget: Some(85), charged: Some(charged), ..Default::default() };
        assert!(!is_due(Some(&charged(5)), &charged(6), just));
        let larger = ConnectionBudgetStatus { budget: Some(86), ..charged(5) };
        assert!(is_due(Some(&charged(5)), &larger, just));
    }
}
