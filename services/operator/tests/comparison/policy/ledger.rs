//! A stand-in for the ledger: grants, and what is charged until they are acknowledged. A message takes a step.

use std::collections::BTreeMap;

use selvage_operator::domain::decide::LedgerView;

use super::super::database::BUDGET;
use super::super::shape::{SERVICES, SURGE};
use super::super::shop::{Deployment, Pod};
use super::{CEILING, FLOOR};

#[derive(Clone, Copy, Debug)]
struct Grant {
    sent: u32,
    /// What the pod may have open at the most, as far as it is known.
    charged: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    grants: BTreeMap<u32, Grant>,
    /// What was shared out last, and how.
    asked: (u32, Vec<Wish>),
    shares: BTreeMap<u32, u32>,
}

/// A pod, what it wants, and its weight.
type Wish = (u32, u32, u32);

/// One connection at a time to whoever has the least for its weight: max-min in whole connections, above the floors.
fn max_min(mut left: u32, wishes: &[Wish]) -> BTreeMap<u32, u32> {
    let mut shares: Vec<_> = wishes.iter().map(|(id, want, weight)| (*id, FLOOR, *want, *weight)).collect();
    while left > 0 {
        let wanting = shares.iter_mut().filter(|(_, share, want, _)| share < want);
        let Some(least) = wanting.min_by_key(|(id, share, _, weight)| (*share * 1000 / weight, *id)) else { break };
        least.1 += 1;
        left -= 1;
    }
    shares.into_iter().map(|(id, share, ..)| (id, share)).collect()
}

impl Ledger {
    /// Hears what the pods have. What a pod was charged with falls only to what it says that it keeps to. A pod that is
    /// gone is charged until the server has nothing of it, which is here when it is gone.
    pub(super) fn hear(&mut self, services: &[Deployment]) {
        let pods = || services.iter().flat_map(|service| &service.pods);
        self.grants.retain(|id, _| pods().any(|pod| pod.id == *id));
        for pod in pods() {
            let grant = self.grants.entry(pod.id).or_insert(Grant { sent: 0, charged: FLOOR });
            grant.charged = grant.sent.max(pod.limit).max(pod.sessions()).max(FLOOR);
        }
    }

    /// Floors of pods that may still come: all replicas, a roll-out's surge, and a generation that ends.
    fn set_aside(services: &[Deployment]) -> u32 {
        let absent = |(service, deployment): (&super::super::shape::Service, &Deployment)| {
            (2 * service.max_replicas + SURGE).saturating_sub(deployment.pods.len() as u32) * FLOOR
        };
        SERVICES.iter().zip(services).map(absent).sum()
    }

    pub(super) fn view(&self, services: &[Deployment]) -> LedgerView {
        let charged = self.grants.values().map(|grant| grant.charged).sum();
        LedgerView { budget: BUDGET, charged, set_aside: Self::set_aside(services), exceeding: Vec::new() }
    }

    /// Shares out what is above the floors: by weight, and to nobody more than it wants. What shrinks is sent at once, what
    /// grows only out of what nobody is charged with.
    pub(super) fn share(&mut self, services: &mut [Deployment], wanted: &[u32], step: usize) {
        let mut wishes: Vec<Wish> = Vec::new();
        for (index, service) in services.iter().enumerate() {
            for pod in &service.pods {
                // A pod is there when it has attached: one that starts has its floor until then.
                let want = if pod.has_started(step) { wanted[index].clamp(FLOOR, CEILING) } else { FLOOR };
                wishes.push((pod.id, want, SERVICES[index].weight));
            }
        }
        // Those that end keep what they have open, whatever they are told.
        let held = |pod: &Pod| if pod.is_ending() { pod.sessions().max(FLOOR) } else { FLOOR };
        let floors: u32 = services.iter().flat_map(|service| &service.pods).map(held).sum();
        let left = BUDGET.saturating_sub(Self::set_aside(services) + floors);
        if self.asked != (left, wishes.clone()) {
            self.shares = max_min(left, &wishes);
            self.asked = (left, wishes);
        }
        let mut free = BUDGET
            .saturating_sub(Self::set_aside(services))
            .saturating_sub(self.grants.values().map(|grant| grant.charged).sum());
        for pod in services.iter_mut().flat_map(|service| &mut service.pods) {
            let (Some(grant), Some(share)) = (self.grants.get_mut(&pod.id), self.shares.get(&pod.id)) else { continue };
            let more = share.saturating_sub(grant.charged).min(free);
            free -= more;
            grant.sent = (*share).min(grant.charged + more);
            grant.charged = grant.charged.max(grant.sent);
            if pod.has_started(step) || pod.is_ending() {
                pod.limit = grant.sent;
            }
        }
    }
}
