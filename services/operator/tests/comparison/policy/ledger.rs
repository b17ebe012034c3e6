//! The ledger, as the operator runs it: it is told of pods, reports and sessions, and its grants take a step to arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use selvage_operator::domain::decide::LedgerView;
use selvage_operator::domain::ledger::{
    Bounds, Budget, Grant, GrantId, Hello, Holder, Look, ObservedPod, Phase, PodSet, Report, ScalerId, ScalerSpec,
    Sessions,
};
use selvage_operator::domain::moment::Moment;

use super::super::database::{MAX_CONNECTIONS, OTHERS, RESERVE, SUPERUSERS};
use super::super::shape::{Metrics, SERVICES, SURGE};
use super::super::shop::{Pod, STEPS, Shop};
use super::{CEILING, FLOOR};

const BOUNDS: Bounds = Bounds { floor: FLOOR, ceiling: CEILING };
const EPOCH: u64 = 1;
/// For how long its Lease is renewed.
const LEASE: Duration = Duration::from_secs(10);

pub(super) struct Ledger {
    ledger: selvage_operator::domain::ledger::Ledger,
    /// The pods that have attached, and the newest grant that each has taken.
    attached: BTreeMap<u32, Option<GrantId>>,
    /// What each last reported.
    reported: BTreeMap<u32, Report>,
    /// Grants on their way.
    sent: Vec<(Holder, Grant)>,
    /// The pods that the watch has shown, and whether they end.
    watched: Vec<(u32, bool)>,
    /// Something was heard since grants were last given.
    is_stirred: bool,
}

fn holder(id: u32) -> Holder {
    Holder { pod: id.to_string().as_str().into(), boot: format!("{id:08x}").as_str().into() }
}

fn scaler(index: usize) -> ScalerId {
    SERVICES[index].name.into()
}

/// Pods with the index of their service.
fn pods(shop: &Shop) -> impl Iterator<Item = (usize, &Pod)> {
    shop.services.iter().enumerate().flat_map(|(index, service)| service.pods.iter().map(move |pod| (index, pod)))
}

impl Ledger {
    pub(super) fn new() -> Self {
        let (superuser_reserved, reserve, others) = (SUPERUSERS, RESERVE, OTHERS);
        let budget = Budget { max_connections: MAX_CONNECTIONS, superuser_reserved, reserved: 0, reserve, others };
        let spec = |index: usize| ScalerSpec {
            bounds: BOUNDS,
            max_replicas: SERVICES[index].max_replicas,
            surge: SURGE,
            is_fixed: false,
        };
        let scalers = (0..SERVICES.len()).map(|index| (scaler(index), spec(index)));
        Self {
            ledger: selvage_operator::domain::ledger::Ledger::new(budget, scalers.collect()),
            attached: BTreeMap::new(),
            reported: BTreeMap::new(),
            sent: Vec::new(),
            watched: Vec::new(),
            is_stirred: false,
        }
    }

    pub(super) fn view(&self, now: Moment) -> LedgerView {
        LedgerView::of(&self.ledger.view(now))
    }

    /// Grants arrive, pods come, report and go, and each second the server's sessions are looked at.
    pub(super) fn hear(&mut self, shop: &mut Shop, now: Moment) {
        self.ledger.lead(EPOCH, now + LEASE, now);
        for (holder, grant) in self.sent.drain(..) {
            let all = shop.services.iter_mut().flat_map(|service| &mut service.pods);
            for pod in all.filter(|pod| pod.id.to_string() == holder.pod.as_str()) {
                pod.limit = grant.connections;
                self.attached.insert(pod.id, Some(grant.id));
            }
        }
        self.watch(shop, now);
        if shop.shape.metrics(shop.second()) != Metrics::Missing {
            self.streams(shop, now);
        }
        if shop.step.is_multiple_of(STEPS) {
            let sessions = pods(shop).filter(|(_, pod)| pod.sessions() > 0).map(|(_, pod)| {
                let Holder { pod: name, boot } = holder(pod.id);
                Sessions { boot, pod: name.as_str().into(), count: pod.sessions() }
            });
            self.ledger.backends(
                &Look { started_at: now, sessions: sessions.collect(), unnamed: Vec::new(), others: OTHERS },
                now,
            );
        }
    }

    /// Pods attach, and report each second and when they have taken a grant.
    fn streams(&mut self, shop: &Shop, now: Moment) {
        for (_, pod) in pods(shop) {
            if pod.has_started(shop.step) && !self.attached.contains_key(&pod.id) {
                self.attached.insert(pod.id, None);
                let hello = Hello { name: pod.id.to_string().as_str().into(), bounds: BOUNDS };
                self.ledger.attached(&holder(pod.id), &hello, now);
            }
            let Some(newest) = self.attached.get(&pod.id).copied() else { continue };
            let report = Report { epoch: EPOCH, newest, limit: pod.limit, open: pod.open };
            let is_new = self.reported.get(&pod.id).is_none_or(|last| (last.newest, last.limit) != (newest, pod.limit));
            if is_new || (shop.step + pod.id as usize).is_multiple_of(STEPS) {
                self.ledger.report(&holder(pod.id), &report, now);
                self.reported.insert(pod.id, report);
                self.is_stirred = true;
            }
        }
    }

    /// The watch shows what has changed.
    fn watch(&mut self, shop: &Shop, now: Moment) {
        let watched = pods(shop).map(|(_, pod)| (pod.id, pod.is_ending())).collect();
        if self.watched == watched && !shop.step.is_multiple_of(STEPS) {
            return;
        }
        (self.watched, self.is_stirred) = (watched, true);
        let present: BTreeSet<_> = pods(shop).map(|(_, pod)| pod.id).collect();
        let gone: Vec<_> = self.attached.keys().copied().filter(|id| !present.contains(id)).collect();
        for id in gone {
            self.attached.remove(&id);
            self.reported.remove(&id);
            self.ledger.detached(&holder(id), now);
        }
        let observed = pods(shop).map(|(index, pod)| ObservedPod {
            uid: holder(pod.id).pod,
            name: pod.id.to_string().as_str().into(),
            scaler: scaler(index),
            phase: if pod.is_ending() { Phase::Terminating } else { Phase::Bound },
            bounds: Some(BOUNDS),
            address: None,
        });
        self.ledger.pods(&PodSet { listed_at: now, pods: observed.collect() }, now);
    }

    /// Says what each pod should have, and sends what the ledger grants.
    pub(super) fn share(&mut self, shop: &Shop, wanted: &[u32], now: Moment) {
        if !std::mem::take(&mut self.is_stirred) {
            return;
        }
        let demands = pods(shop).map(|(index, pod)| (holder(pod.id), wanted[index])).collect();
        let weights = (0..SERVICES.len()).map(|index| (scaler(index), SERVICES[index].weight)).collect();
        self.ledger.demands(&demands, &weights);
        self.sent = self.ledger.grants(now);
    }
}
