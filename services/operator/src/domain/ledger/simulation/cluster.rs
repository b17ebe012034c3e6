//! The API server's pods, the controller that keeps a workload's number of them, and the kubelets that run them.

use super::super::{Address, Bounds, ObservedPod, Phase, PodName, PodUid, ScalerSpec};
use super::world::{Event, Millis, World};

pub(super) struct Pod {
    pub(super) scaler: usize,
    pub(super) uid: PodUid,
    pub(super) name: PodName,
    pub(super) bounds: Bounds,
    /// Its pool is its own.
    pub(super) is_fixed: bool,
    generation: u32,
    /// As the API server has it; nothing once it was deleted.
    pub(super) object: Option<Phase>,
    /// Of its last change.
    pub(super) version: u64,
    pub(super) runs: Vec<usize>,
    /// Its image can't be pulled, for example.
    pub(super) never_starts: bool,
    pub(super) is_ending: bool,
}

/// A Deployment, with `maxUnavailable` 0.
pub(super) struct Workload {
    /// What its template says.
    pub(super) bounds: Bounds,
    pub(super) generation: u32,
    pub(super) replicas: u32,
    pub(super) surge: u32,
    /// The most replicas that the leader has provided for.
    pub(super) max_replicas: u32,
    pub(super) is_fixed: bool,
}

impl Workload {
    pub(super) fn new(spec: ScalerSpec) -> Self {
        let ScalerSpec { bounds, max_replicas, surge, is_fixed } = spec;
        Self { bounds, generation: 0, replicas: max_replicas, surge, max_replicas, is_fixed }
    }

    /// Pods for which floors are set aside.
    pub(super) fn planned(&self) -> u32 {
        self.max_replicas * 2 + self.surge
    }
}

impl World {
    /// A process of the pod that lives.
    pub(super) fn alive(&self, pod: usize) -> Option<usize> {
        self.pods[pod].runs.last().copied().filter(|run| self.processes[*run].alive)
    }

    fn is_ready(&self, pod: usize) -> bool {
        self.alive(pod).is_some_and(|run| self.processes[run].is_ready())
    }

    /// Whether one pod more is within the plan, or nobody cares.
    pub(super) fn has_place(&self, scaler: usize) -> bool {
        self.beyond || self.places(scaler) < self.workloads[scaler].planned()
    }

    pub(super) fn workload_acts(&mut self, scaler: usize) {
        let pause = self.random.between(200, 700);
        self.after(pause, Event::WorkloadActs(scaler));
        let workload = &self.workloads[scaler];
        let (generation, replicas, surge) = (workload.generation, workload.replicas, workload.surge);
        // As a Deployment does, this one counts no pod that terminates.
        let counted: Vec<usize> = (0..self.pods.len())
            .filter(|pod| self.pods[*pod].scaler == scaler)
            .filter(|pod| matches!(self.pods[*pod].object, Some(Phase::Unbound | Phase::Bound)))
            .collect();
        let (new, old): (Vec<usize>, Vec<usize>) =
            counted.iter().partition(|pod| self.pods[**pod].generation == generation);
        let ready = counted.iter().filter(|pod| self.is_ready(**pod)).count() as u32;
        if (new.len() as u32) < replicas && (counted.len() as u32) < replicas + surge {
            if self.has_place(scaler) {
                self.creates_pod(scaler);
            }
        } else if let Some(pod) = old.iter().copied().find(|pod| ready > replicas || !self.is_ready(*pod)) {
            self.deletes_pod(pod);
        } else if old.is_empty() && new.len() as u32 > replicas {
            self.deletes_pod(new[0]);
        }
    }

    fn creates_pod(&mut self, scaler: usize) {
        let index = self.pods.len();
        let never_starts = !self.calm && self.random.percent(4);
        self.pods.push(Pod {
            scaler,
            uid: PodUid::from(format!("u{index}").as_str()),
            name: PodName::from(format!("shop-{scaler}-{index}").as_str()),
            bounds: self.workloads[scaler].bounds,
            is_fixed: self.workloads[scaler].is_fixed,
            generation: self.workloads[scaler].generation,
            object: None,
            version: 0,
            runs: Vec::new(),
            never_starts,
            is_ending: false,
        });
        self.changes(index, Some(Phase::Unbound));
        let delay = self.random.between(5, 1_500);
        self.after(delay, Event::Bound(index));
    }

    pub(super) fn bound(&mut self, pod: usize) {
        if self.pods[pod].object == Some(Phase::Unbound) {
            self.changes(pod, Some(Phase::Bound));
            let delay = self.random.between(50, 3_000);
            self.after(delay, Event::ContainerStarts(pod));
        }
    }

    pub(super) fn container_starts(&mut self, pod: usize) {
        let known = &self.pods[pod];
        if known.object.is_none() || known.is_ending || known.never_starts || self.alive(pod).is_some() {
            return;
        }
        let process = self.new_process(pod);
        self.pods[pod].runs.push(process);
    }

    pub(super) fn deletes_pod(&mut self, pod: usize) {
        match self.pods[pod].object {
            Some(Phase::Bound) => {
                self.changes(pod, Some(Phase::Terminating));
                let long = !self.calm && self.random.percent(self.long_graces);
                let grace = if long { self.random.between(20_000, 60_000) } else { self.random.between(50, 3_000) };
                self.after(grace, Event::GraceEnds(pod));
            }
            Some(Phase::Unbound) => self.changes(pod, None),
            _ => {}
        }
    }

    pub(super) fn grace_ends(&mut self, pod: usize) {
        if self.pods[pod].is_ending {
            return;
        }
        self.pods[pod].is_ending = true;
        if let Some(run) = self.alive(pod) {
            self.kill(run);
        }
        let delay = self.random.between(5, 1_000);
        let seen = self.random.percent(60);
        self.after(delay, if seen { Event::KubeletReports(pod) } else { Event::ObjectGoes(pod) });
    }

    pub(super) fn kubelet_reports(&mut self, pod: usize) {
        if self.pods[pod].object.is_some() {
            self.changes(pod, Some(Phase::Ended));
            let delay = self.random.between(5, 1_000);
            self.after(delay, Event::ObjectGoes(pod));
        }
    }

    pub(super) fn object_goes(&mut self, pod: usize) {
        if self.pods[pod].object.is_some() {
            self.changes(pod, None);
        }
    }

    /// The API server has a new version of it, and tells those who watch.
    pub(super) fn changes(&mut self, pod: usize, object: Option<Phase>) {
        self.api_version += 1;
        self.pods[pod].object = object;
        self.pods[pod].version = self.api_version;
        for operator in [0, 1] {
            let lag = match self.random.between(0, 99) {
                0..=4 if !self.calm => self.random.between(500, 8_000),
                _ => self.random.between(1, 100),
            };
            let watcher = &mut self.operators[operator];
            if watcher.watches() {
                // A watch keeps the order.
                let at = watcher.watched_until.max(self.now + lag);
                watcher.watched_until = at;
                let (incarnation, version) = (watcher.incarnation, self.api_version);
                self.after(at - self.now, Event::Watched { operator, incarnation, version, pod });
            }
        }
    }

    /// A pod as the API server shows it now.
    pub(super) fn shown(&self, pod: usize) -> Option<ObservedPod> {
        let known = &self.pods[pod];
        let scaler = self.scalers[known.scaler].clone();
        let (uid, name, bounds) = (known.uid.clone(), known.name.clone(), Some(known.bounds));
        // It has an address once it is on a node.
        let address = known.object.filter(|phase| *phase != Phase::Unbound).map(|_| self.address(pod));
        known.object.map(|phase| ObservedPod { uid, name, scaler, phase, bounds, address })
    }

    pub(super) fn address(&self, pod: usize) -> Address {
        format!("10.0.{}.{}", pod / 256, pod % 256).as_str().into()
    }
}

/// For how long a process may outlive its pod's object.
pub(super) const OUTLIVES: Millis = 40_000;
