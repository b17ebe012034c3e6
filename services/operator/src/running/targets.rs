//! Workloads that aren't watched, for they may be of any kind: their scale subresource is asked for, each few seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::{Client, ResourceExt as _};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::controllers::owners::Refused;
use crate::controllers::target::{Scale, Target};
use crate::resources::{PoolScaler, TargetRef};

/// How often each is asked: a person who scales one by hand is noticed within that.
const EVERY: Duration = Duration::from_secs(2);

/// A workload: its namespace, group and version, kind, and name.
pub(super) type TargetName = (String, String, String, String);

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// What its scale subresource says.
    Scaled(Scale),
    /// It can't be scaled, and why.
    Refused(Refused),
}

/// A scaler's target.
pub(super) fn target_name(scaler: &PoolScaler) -> TargetName {
    let TargetRef { api_version, kind, name } = scaler.spec.target_ref.clone();
    (scaler.namespace().unwrap_or_default(), api_version, kind, name)
}

/// Whether it is of the kind that is watched.
pub(super) fn is_watched(target: &TargetRef) -> bool {
    target.kind == "Deployment" && target.api_version == "apps/v1"
}

/// All that are asked for.
pub(super) struct Targets {
    client: Client,
    known: Arc<Mutex<BTreeMap<TargetName, Known>>>,
    asked: BTreeMap<TargetName, AbortOnDropHandle<()>>,
}

impl Targets {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Arc::default(), asked: BTreeMap::new() }
    }

    /// Those of these scalers are asked for from now on, and no others. What is known of them; nothing of one that hasn't answered
    /// yet.
    pub(super) fn keep(&mut self, scalers: &[Arc<PoolScaler>]) -> BTreeMap<TargetName, Known> {
        let wanted = scalers.iter().filter(|scaler| !is_watched(&scaler.spec.target_ref));
        let wanted: BTreeSet<_> = wanted.map(|scaler| target_name(scaler)).collect();
        self.asked.retain(|name, _| wanted.contains(name));
        for name in &wanted {
            let (client, known) = (self.client.clone(), self.known.clone());
            self.asked
                .entry(name.clone())
                .or_insert_with(|| AbortOnDropHandle::new(tokio::spawn(ask(client, name.clone(), known))));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|name, _| wanted.contains(name));
        known.clone()
    }
}

async fn ask(client: Client, name: TargetName, known: Arc<Mutex<BTreeMap<TargetName, Known>>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (namespace, api_version, kind, object) = name.clone();
    let reference = TargetRef { api_version, kind, name: object };
    let mut found: Option<Target> = None;
    loop {
        ticks.tick().await;
        let answer = async {
            if found.is_none() {
                found = Some(Target::find(&client, &namespace, &reference).await?);
            }
            match &found {
                Some(target) => target.scale().await,
                None => Ok(None),
            }
        };
        let answer = answer.await;
        let now = match answer {
            Ok(Some(scale)) => Known::Scaled(scale),
            Ok(None) => {
                let TargetRef { api_version, kind, name } = &reference;
                let message = format!("there is no {kind} {name} of {api_version} with a scale subresource");
                Known::Refused(Refused { reason: "TargetMissing", message })
            }
            Err(error) => match refused(&reference, &error) {
                Some(refused) => Known::Refused(refused),
                None => {
                    // What was known stays, as in a watch that is away for a while.
                    tracing::warn!(target = reference.name, error = format!("{error:#}"), "a scale can't be asked for");
                    continue;
                }
            },
        };
        // A kind that is installed anew is found anew.
        if matches!(now, Known::Refused(_)) {
            found = None;
        }
        known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), now);
    }
}

/// What an error says for certain; nothing if another try may go well.
fn refused(target: &TargetRef, error: &anyhow::Error) -> Option<Refused> {
    let TargetRef { api_version, kind, .. } = target;
    let of_kube = error.chain().find_map(|cause| cause.downcast_ref::<kube::Error>())?;
    match of_kube {
        kube::Error::Api(status) if status.code == 403 => {
            let message =
                format!("the operator may not scale {kind} of {api_version}: name it in operator.targets of the chart");
            Some(Refused { reason: "TargetForbidden", message })
        }
        kube::Error::Api(status) if status.code == 404 => {
            Some(Refused { reason: "TargetUnknown", message: format!("the cluster has no {kind} of {api_version}") })
        }
        kube::Error::Discovery(_) => {
            Some(Refused { reason: "TargetUnknown", message: format!("the cluster has no {kind} of {api_version}") })
        }
        _ => None,
    }
}
