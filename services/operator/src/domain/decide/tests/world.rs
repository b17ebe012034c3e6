//! Pods that say what a test lets them say, second by second.

use std::time::Duration;

use super::super::{
    Database, Decision, Lease, LedgerView, Memory, Observations, Outcome, PodSeen, PoolPart, Probe, Report, ScalerSeen,
    ScalerSpec, Spec, Uses, decide,
};
use crate::domain::moment::Moment;

/// What each pod of a scaler does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) limit: u32,
    pub(super) in_use: u32,
    pub(super) waiting: u32,
    pub(super) refused: u64,
    pub(super) uses: u64,
    pub(super) millis: u64,
    /// Beside the milliseconds.
    pub(super) micros: u64,
    pub(super) held: Option<u64>,
    pub(super) cpu: Option<f64>,
    /// Connections of a second pool, which are idle: nobody comes there.
    pub(super) spare: u32,
}

/// Two connections of ten in use.
pub(super) const QUIET: Load = Load {
    limit: 10,
    in_use: 2,
    waiting: 0,
    refused: 0,
    uses: 200,
    millis: 10,
    micros: 0,
    held: None,
    cpu: None,
    spare: 0,
};
/// All of ten in use, and five wait.
pub(super) const PRESSED: Load = Load { in_use: 10, waiting: 5, uses: 1000, ..QUIET };
/// All of the ceiling in use, and many wait.
pub(super) const FULL: Load = Load { limit: 20, in_use: 20, waiting: 50, uses: 2000, ..QUIET };
/// The probe's statement when all is well.
pub(super) const STATEMENT: Duration = Duration::from_millis(2);

/// Time as a test sees it: two scalers, `stars` and `moons`, with two pods each, of 2 to 20 replicas and connections.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) spec: Spec,
    pub(super) seen: Observations,
    pub(super) ledger: LedgerView,
    pub(super) memory: Memory,
    pub(super) now: Moment,
    pub(super) loads: [Load; 2],
    pub(super) database: Database,
    pub(super) is_probed: bool,
    pub(super) decisions: Vec<Decision>,
}

impl World {
    pub(super) fn new() -> Self {
        let scalers = ["stars", "moons"].map(|name| ScalerSpec::new(name, (2, 20), (2, 20)));
        let seen = ["stars", "moons"].map(|name| ScalerSeen { name: name.into(), replicas: 2, pods: Vec::new() });
        let mut world = Self {
            spec: Spec { concurrency: Some(40), scalers: scalers.into() },
            seen: Observations { scalers: seen.into(), probe: None },
            ledger: LedgerView { budget: 400, charged: 40, set_aside: 160, ..LedgerView::default() },
            memory: Memory::default(),
            now: Moment::after_start(Duration::from_secs(1000)),
            loads: [QUIET; 2],
            database: Database { statement: STATEMENT, on_cpu: 4, ..Database::default() },
            is_probed: true,
            decisions: Vec::new(),
        };
        world.pods(0, 2);
        world.pods(1, 2);
        world
    }

    /// One that has seen enough quiet to know what is normal.
    pub(super) fn experienced() -> Self {
        let mut world = Self::new();
        world.run(70);
        world
    }

    /// So many pods, all ready.
    pub(super) fn pods(&mut self, scaler: usize, count: usize) {
        let name = self.spec.scalers[scaler].name.clone();
        let since = self.now;
        let pods = &mut self.seen.scalers[scaler].pods;
        pods.truncate(count);
        while pods.len() < count {
            let holder = format!("{name}-{}", pods.len());
            pods.push(PodSeen { holder, ready_since: since, report: None });
        }
        self.seen.scalers[scaler].replicas = count as u32;
    }

    /// A second, at whose end everybody reports, and the decision for `stars`.
    pub(super) fn second(&mut self) -> Decision {
        self.now = self.now + Duration::from_secs(1);
        for (scaler, load) in self.seen.scalers.iter_mut().zip(self.loads) {
            for pod in &mut scaler.pods {
                pod.report = Some(next(pod.report.as_ref(), load, self.now));
            }
        }
        if self.is_probed {
            self.probe(Outcome::Answered(self.database.clone()));
        }
        self.decide()
    }

    pub(super) fn probe(&mut self, outcome: Outcome) {
        self.seen.probe = Some(Probe { at: self.now, outcome });
    }

    pub(super) fn decide(&mut self) -> Decision {
        let memory = std::mem::take(&mut self.memory);
        (self.decisions, self.memory) = decide(&self.spec, &self.seen, &self.ledger, memory, self.now);
        self.decisions[0].clone()
    }

    pub(super) fn run(&mut self, seconds: usize) -> Decision {
        (0..seconds).map(|_| self.second()).last().expect("a second at least")
    }
}

fn next(before: Option<&Report>, load: Load, now: Moment) -> Report {
    let (count, time, refused) = before.map_or((0, Duration::ZERO, 0), |before| {
        let uses = before.uses.first().cloned().unwrap_or_default();
        (uses.count, uses.time, before.refused)
    });
    let time = time + Duration::from_micros(load.uses * (load.millis * 1000 + load.micros));
    let main = PoolPart {
        name: "main".into(),
        limit: load.limit,
        in_use: load.in_use,
        waiting: load.waiting,
        refused: refused + load.refused,
        uses: (count + load.uses, time),
    };
    let spare = PoolPart { name: "relay".into(), limit: load.spare, ..PoolPart::default() };
    Report {
        at: now,
        limit: load.limit + load.spare,
        open: load.limit + load.spare,
        in_use: load.in_use,
        waiting: load.waiting,
        refused: refused + load.refused,
        uses: vec![Uses { operation: "read".into(), count: count + load.uses, time }],
        pools: if load.spare == 0 { Vec::new() } else { vec![main, spare] },
        longest_lease: load.held.map(|held| Lease { operation: "report".into(), held: Duration::from_secs(held) }),
        cpu: load.cpu,
    }
}
