//! Ours: the decision and the ledger, as the operator has them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use selvage_operator::domain::decide::{
    Blocker, Class, Database, Decision, Lease, Memory, Observations, Outcome, PodSeen, Probe, Report, ScalerSeen,
    ScalerSpec, Spec, Uses, decide,
};
use selvage_operator::domain::moment::Moment;

use super::super::random::Random;
use super::super::shape::{MIN_REPLICAS, Metrics, SERVICES, SURGE};
use super::super::shop::{Pod, STEP, STEPS, Shop};
use super::ledger::Ledger;
use super::{CEILING, FLOOR, Policy};

pub(crate) struct Selvage {
    spec: Spec,
    memory: Memory,
    ledger: Ledger,
    /// The last report of each pod, and whether somebody waited then.
    reports: BTreeMap<u32, Report>,
    wanted: [u32; SERVICES.len()],
    noise: Random,
    probe: Option<Probe>,
    /// The classes that were decided, by service.
    pub(crate) classes: [BTreeSet<Class>; SERVICES.len()],
}

impl Selvage {
    /// One that is told that the database can keep `concurrency` backends busy, or isn't.
    pub(crate) fn new(concurrency: Option<u32>) -> Self {
        let scaler = |service: &super::super::shape::Service| ScalerSpec {
            surge: SURGE,
            ..ScalerSpec::new(service.name, (MIN_REPLICAS, service.max_replicas), (FLOOR, CEILING))
        };
        let spec = Spec { concurrency, scalers: SERVICES.iter().map(scaler).collect() };
        Self {
            spec,
            memory: Memory::default(),
            ledger: Ledger::new(),
            reports: Default::default(),
            wanted: [FLOOR; SERVICES.len()],
            noise: Random::new(7),
            probe: None,
            classes: Default::default(),
        }
    }

    /// Takes the reports that are due: each second, and when the first waits or nobody does any more.
    fn hear(&mut self, shop: &Shop, now: Moment) -> bool {
        let metrics = shop.shape.metrics(shop.second());
        let mut is_edge = false;
        for (index, service) in shop.services.iter().enumerate() {
            for pod in service.pods.iter().filter(|pod| pod.is_ready()) {
                let known = self.reports.get(&pod.id);
                let is_due = (shop.step + pod.id as usize).is_multiple_of(STEPS);
                let is_at_edge = known.is_none_or(|known| (known.waiting > 0) != (pod.waiting() > 0));
                if metrics == Metrics::Missing || !(is_due || is_at_edge) {
                    continue;
                }
                is_edge |= is_at_edge;
                let report = match metrics {
                    Metrics::Zero => Report { at: now, ..Report::default() },
                    _ => report(pod, SERVICES[index].name, shop.step, now),
                };
                self.reports.insert(pod.id, report);
            }
        }
        self.reports.retain(|id, _| shop.services.iter().flat_map(|service| &service.pods).any(|pod| pod.id == *id));
        is_edge
    }

    fn probe(&mut self, shop: &Shop, now: Moment) -> Probe {
        let noise = 0.95 + self.noise.share() / 10.0;
        let seconds = 0.002 * shop.database.slowness * noise;
        let on_locks = shop.database.locked.round() as u32;
        let blocker = Blocker { application: "migration".into(), query: "ALTER TABLE orders".into(), blocks: on_locks };
        Probe {
            at: now,
            outcome: Outcome::Answered(Database {
                statement: Duration::from_secs_f64(seconds),
                on_cpu: shop.database.busy.round() as u32,
                on_locks,
                blockers: if on_locks > 0 { vec![blocker] } else { Vec::new() },
                ..Database::default()
            }),
        }
    }

    fn decide(&mut self, shop: &Shop, now: Moment) -> Vec<Decision> {
        let pod = |pod: &Pod| PodSeen {
            holder: pod.id.to_string(),
            ready_since: moment(pod.ready_since),
            report: self.reports.get(&pod.id).cloned(),
        };
        let scaler = |(service, spec): (&super::super::shop::Deployment, &ScalerSpec)| ScalerSeen {
            name: spec.name.clone(),
            replicas: service.replicas,
            pods: service.pods.iter().filter(|pod| pod.is_ready()).map(pod).collect(),
        };
        let seen = Observations {
            scalers: shop.services.iter().zip(&self.spec.scalers).map(scaler).collect(),
            probe: self.probe.clone(),
        };
        let view = self.ledger.view(now);
        let memory = std::mem::take(&mut self.memory);
        let (decisions, memory) = decide(&self.spec, &seen, &view, memory, now);
        self.memory = memory;
        decisions
    }
}

impl Policy for Selvage {
    fn name(&self) -> &'static str {
        "Selvage"
    }

    fn initial(&self) -> Option<u32> {
        None
    }

    fn step(&mut self, shop: &mut Shop) {
        let now = moment(shop.step);
        self.ledger.hear(shop, now);
        let is_edge = self.hear(shop, now);
        if shop.step % STEPS == PROBED_AT {
            self.probe = Some(self.probe(shop, now));
        }
        if shop.step.is_multiple_of(STEPS) || is_edge {
            let decisions = self.decide(shop, now);
            for (index, decision) in decisions.iter().enumerate() {
                self.classes[index].insert(decision.class);
                shop.services[index].replicas = decision.replicas;
                self.wanted[index] = decision.connections;
            }
        }
        self.ledger.share(shop, &self.wanted, now);
    }
}

/// The database is asked each second, and not in step with the decision.
const PROBED_AT: usize = 4;

fn moment(step: usize) -> Moment {
    Moment::after_start(Duration::from_secs_f64(step as f64 * STEP))
}

fn report(pod: &Pod, name: &str, step: usize, now: Moment) -> Report {
    let held = |since: usize| Duration::from_secs_f64((step - since) as f64 * STEP);
    Report {
        at: now,
        limit: pod.limit,
        open: pod.open,
        in_use: pod.in_use(),
        waiting: pod.waiting(),
        refused: pod.refused,
        uses: vec![Uses { operation: name.into(), count: pod.uses, time: Duration::from_secs_f64(pod.use_seconds) }],
        pools: Vec::new(),
        longest_lease: pod.leaked_since.map(|since| Lease { operation: name.into(), held: held(since) }),
        cpu: None,
    }
}
