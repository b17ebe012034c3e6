//! Pods whose pools are their own: whom the leader asks for metrics, and what came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod as Object;
use kube::ResourceExt as _;
use tokio::sync::mpsc;

use super::desk::BudgetName;
use super::workloads::Database;
use crate::controllers::pods;
use crate::resources::{PoolScaler, SourceType};
use crate::scrape::{Asked, Found, Page, Pod, Reading, Rounds, Wanted};

/// How a pod of a scaler is asked, if its metrics are to be read and it has an address.
pub(super) fn asked(scaler: &PoolScaler, pod: &Object) -> Option<(Pod, Asked)> {
    let source = &scaler.spec.source;
    let scrape = source.scrape.as_ref().filter(|_| source.kind == SourceType::Scrape)?;
    let port = u16::try_from(scrape.port).ok()?;
    let page = Page { address: SocketAddr::new(pods::address(pod)?, port), path: scrape.path.clone() };
    let wanted = Wanted { dialect: scrape.dialect, pool: scrape.pool_name.clone() };
    let every = Duration::from_secs(u64::from(scrape.interval_seconds.unsigned_abs().max(1)));
    Some((Pod { uid: pod.uid()?, restarts: pods::restarts(pod) }, Asked { page, wanted, every }))
}

/// All that are asked.
pub(super) struct Scraping {
    rounds: Rounds,
    of: BTreeMap<Pod, BudgetName>,
    failures: BTreeMap<Pod, String>,
}

impl Scraping {
    pub(super) fn new(sender: mpsc::Sender<Found>) -> Self {
        Self { rounds: Rounds::new(sender), of: BTreeMap::new(), failures: BTreeMap::new() }
    }

    /// The ready pods of these databases are asked, and no others; none, by whoever doesn't lead.
    pub(super) fn keep(&mut self, databases: &mut BTreeMap<BudgetName, Database<'_>>, leads: bool) {
        let (mut of, mut wanted) = (BTreeMap::new(), BTreeMap::new());
        for (name, database) in databases.iter_mut().filter(|_| leads) {
            for scaler in database.scalers.values_mut().filter(|scaler| scaler.refused.is_none()) {
                for (pod, asked) in &scaler.asked {
                    of.insert(pod.clone(), name.clone());
                    wanted.insert(pod.clone(), asked.clone());
                }
                scaler.unread = scaler.asked.iter().find_map(|(pod, _)| self.failures.get(pod)).cloned();
            }
        }
        self.failures.retain(|pod, _| of.contains_key(pod));
        self.of = of;
        self.rounds.keep(wanted);
    }

    /// What came of asking one: what its metrics say, and of which database its pools are.
    pub(super) fn found(&mut self, found: Found) -> Option<(BudgetName, Pod, Reading)> {
        let Found { pod, outcome, .. } = found;
        let budget = self.of.get(&pod)?.clone();
        match outcome {
            Ok(reading) => {
                self.failures.remove(&pod);
                Some((budget, pod, reading))
            }
            Err(why) => {
                tracing::debug!(pod = pod.uid, why, "metrics can't be read");
                self.failures.insert(pod, why);
                None
            }
        }
    }
}
