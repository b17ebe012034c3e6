//! One database server: what is known of it and of all that is scaled on it, and what is to be done next.
//!
//! [`Control`] keeps the ledger and what the last decision left. It is told what others observe, and each second, or at an edge
//! of saturation, [`Control::next`] decides for every scaler, asks the ledger for the connections that were decided on, and says which
//! grants are to be sent and which replicas to be set. Whoever doesn't lead is told the same, and has nothing to send or set.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::decide::{
    self, Baselines, Decision, LedgerView, Memory, Mode, Observations, PodSeen, Probe, ScalerSeen, ScalerSpec, Spec,
};
use super::ledger::{self, Bounds, Budget, Grant, Hello, Holder, Ledger, Look, Phase, PodSet, PodUid, ScalerId, View};
use super::moment::Moment;

/// Reports of a pod's former runs are kept for this long: by then they are stale for every rule.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// What is asked for: a server, and what is scaled on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// What the server has.
    pub budget: Budget,
    /// Backends that it can keep busy at once, if somebody said how many.
    pub concurrency: Option<u32>,
    /// The scalers.
    pub scalers: BTreeMap<ScalerId, Scaled>,
}

/// What is asked for one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled {
    /// Its bounds. The name is that of its [`ScalerId`].
    pub spec: ScalerSpec,
    /// How much it counts where the budget is short.
    pub weight: u32,
}

impl Config {
    fn for_ledger(&self) -> BTreeMap<ScalerId, ledger::ScalerSpec> {
        let specs = self.scalers.iter().map(|(id, Scaled { spec, .. })| {
            let bounds = Bounds { floor: spec.floor, ceiling: spec.ceiling };
            let (max_replicas, surge, is_fixed) = (spec.max_replicas, spec.surge, spec.is_fixed);
            (id.clone(), ledger::ScalerSpec { bounds, max_replicas, surge, is_fixed })
        });
        specs.collect()
    }
}

/// What the API server shows of the workloads.
#[derive(Clone, Debug, PartialEq)]
pub struct Workloads {
    /// All their pods.
    pub pods: PodSet,
    /// Since when pods are ready; those that aren't are left out.
    pub ready: BTreeMap<PodUid, Moment>,
    /// Replicas that each workload is asked to have.
    pub replicas: BTreeMap<ScalerId, u32>,
}

/// What a pod says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// What it is charged by.
    pub connections: ledger::Report,
    /// How its pools are.
    pub pools: decide::Report,
}

/// What is to be done, and what it was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    /// Grants to be sent, those that were sent before and aren't confirmed yet among them.
    pub grants: Vec<(Holder, Grant)>,
    /// Replicas to be set, where they are others than the workload has.
    pub replicas: BTreeMap<ScalerId, u32>,
    /// What was decided for each scaler.
    pub decisions: Vec<Decision>,
    /// The ledger.
    pub ledger: View,
    /// How the pools of each workload are.
    pub seen: BTreeMap<ScalerId, Usage>,
}

/// How the pools of a workload are, all pods together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Connections in use.
    pub in_use: u32,
    /// Callers who wait.
    pub waiting: u32,
}

/// One database server, and all that is scaled on it.
#[derive(Clone, Debug)]
pub struct Control {
    config: Config,
    ledger: Ledger,
    memory: Memory,
    workloads: Option<Workloads>,
    reports: BTreeMap<Holder, decide::Report>,
    probe: Option<Probe>,
}

impl Control {
    /// Of a server. `baselines` are those that whoever led before has left.
    pub fn new(config: Config, baselines: &Baselines) -> Self {
        Self {
            ledger: Ledger::new(config.budget, config.for_ledger()),
            config,
            memory: Memory::of(baselines),
            workloads: None,
            reports: BTreeMap::new(),
            probe: None,
        }
    }

    /// The budget or the scalers have changed.
    pub fn configure(&mut self, config: Config) {
        if config != self.config {
            self.ledger.configure(config.budget, config.for_ledger());
            self.config = config;
        }
    }

    /// What is asked for.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// This process leads until `until`: see [`Ledger::lead`].
    pub fn lead(&mut self, epoch: u64, until: Moment, now: Moment) {
        self.ledger.lead(epoch, until, now);
    }

    /// This process leads no more.
    pub fn stop_leading(&mut self, now: Moment) {
        self.ledger.stop_leading(now);
    }

    /// What the API server shows.
    pub fn workloads(&mut self, workloads: Workloads, now: Moment) {
        self.ledger.pods(&workloads.pods, now);
        let present: BTreeSet<_> = workloads.pods.pods.iter().map(|pod| &pod.uid).collect();
        self.reports.retain(|holder, _| present.contains(&holder.pod));
        self.workloads = Some(workloads);
    }

    /// A pod has begun a stream.
    pub fn attached(&mut self, holder: &Holder, hello: &Hello, now: Moment) {
        self.ledger.attached(holder, hello, now);
    }

    /// An attached pod says how it is.
    pub fn reported(&mut self, holder: &Holder, reported: Reported, now: Moment) {
        self.ledger.report(holder, &reported.connections, now);
        // A container that was started anew is another holder of its pod.
        self.reports.retain(|other, report| other.pod != holder.pod || now.since(report.at) < FORGOTTEN_AFTER);
        self.reports.insert(holder.clone(), reported.pools);
    }

    /// A pod whose pool is its own was looked at. Its run, in `holder`, is a number that another run doesn't have.
    pub fn measured(&mut self, holder: &Holder, report: decide::Report, now: Moment) {
        self.ledger.measured(&holder.pod, report.limit, report.open);
        self.reports.retain(|other, report| other.pod != holder.pod || now.since(report.at) < FORGOTTEN_AFTER);
        self.reports.insert(holder.clone(), report);
    }

    /// A pod's stream has ended. What it said last stays, and grows old.
    pub fn detached(&mut self, holder: &Holder, now: Moment) {
        self.ledger.detached(holder, now);
    }

    /// The server was looked at, and its sessions as well if it answered.
    pub fn probed(&mut self, probe: Probe, look: Option<Look>, now: Moment) {
        if let Some(look) = &look {
            self.ledger.backends(look, now);
        }
        self.probe = Some(probe);
    }

    /// How long things take where nobody lacks anything, for whoever leads next.
    pub fn baselines(&self) -> Baselines {
        self.memory.baselines()
    }

    /// What a run said last of its pools.
    pub fn heard(&self, holder: &Holder) -> Option<&decide::Report> {
        self.reports.get(holder)
    }

    /// What is to be done. To be called each second, and after a report at an edge of saturation.
    pub fn next(&mut self, now: Moment) -> Next {
        let observations = self.observations();
        let before = self.ledger.view(now);
        let spec = Spec {
            concurrency: self.config.concurrency,
            scalers: self.config.scalers.values().map(|scaled| scaled.spec.clone()).collect(),
        };
        let view = LedgerView::of(&before);
        let memory = std::mem::take(&mut self.memory);
        let (decisions, memory) = decide::decide(&spec, &observations, &view, memory, now);
        self.memory = memory;
        let weights = self.config.scalers.iter().map(|(id, scaled)| (id.clone(), scaled.weight)).collect();
        self.ledger.demands(&self.wanted(&decisions), &weights);
        let grants = self.ledger.grants(now);
        let after = self.ledger.view(now);
        let replicas = if self.ledger.is_leading(now) { self.replicas(&decisions, &after) } else { BTreeMap::new() };
        Next { grants, replicas, decisions, ledger: after, seen: usage(&self.config, &observations) }
    }

    /// What is known of each scaler whose workload is known.
    fn observations(&self) -> Observations {
        let Some(workloads) = &self.workloads else {
            return Observations { probe: self.probe.clone(), ..Default::default() };
        };
        let mut newest: BTreeMap<&PodUid, (&Holder, &decide::Report)> = BTreeMap::new();
        for (holder, report) in &self.reports {
            // Of a pod's runs the one that spoke last is the one that runs.
            let known = newest.entry(&holder.pod).or_insert((holder, report));
            if known.1.at < report.at {
                *known = (holder, report);
            }
        }
        let mut pods: BTreeMap<&ScalerId, Vec<PodSeen>> = BTreeMap::new();
        for pod in workloads.pods.pods.iter().filter(|pod| pod.phase == Phase::Bound) {
            let Some(ready_since) = workloads.ready.get(&pod.uid).copied() else { continue };
            let said = newest.get(&pod.uid);
            let holder = said.map_or_else(|| pod.uid.to_string(), |(holder, _)| named(holder));
            let seen = PodSeen { holder, ready_since, report: said.map(|(_, report)| (*report).clone()) };
            pods.entry(&pod.scaler).or_default().push(seen);
        }
        let scalers = self.config.scalers.iter().filter_map(|(id, scaled)| {
            let replicas = *workloads.replicas.get(id)?;
            Some(ScalerSeen { name: scaled.spec.name.clone(), replicas, pods: pods.remove(id).unwrap_or_default() })
        });
        Observations { scalers: scalers.collect(), probe: self.probe.clone() }
    }

    /// What each holder should have. A scaler that only observes lets its pods have what they can use, as without an operator.
    fn wanted(&self, decisions: &[Decision]) -> BTreeMap<Holder, u32> {
        let Some(workloads) = &self.workloads else { return BTreeMap::new() };
        let of_scaler: BTreeMap<_, _> = self
            .config
            .scalers
            .iter()
            .map(|(id, Scaled { spec, .. })| {
                let decided = decisions.iter().find(|decision| decision.scaler == spec.name);
                let is_watched = spec.mode == Mode::Observe && !spec.is_paused;
                let connections = decided.filter(|_| !is_watched).map_or(spec.ceiling, |decision| decision.connections);
                (id, connections)
            })
            .collect();
        let of_pod: BTreeMap<_, _> =
            workloads.pods.pods.iter().filter_map(|pod| Some((&pod.uid, *of_scaler.get(&pod.scaler)?))).collect();
        self.reports.keys().filter_map(|holder| Some((holder.clone(), *of_pod.get(&holder.pod)?))).collect()
    }

    /// Replicas that are to be set. More only where floors are set aside for all of them.
    fn replicas(&self, decisions: &[Decision], view: &View) -> BTreeMap<ScalerId, u32> {
        let Some(workloads) = &self.workloads else { return BTreeMap::new() };
        let wanted = self.config.scalers.iter().filter_map(|(id, Scaled { spec, .. })| {
            let decision = decisions.iter().find(|decision| decision.scaler == spec.name)?;
            let present = *workloads.replicas.get(id)?;
            let provided = view.scalers.get(id).map_or(0, |scaler| scaler.provided.saturating_sub(spec.surge) / 2);
            let replicas = decision.replicas.min(provided.max(present));
            (decision.is_enforced && replicas != present).then(|| (id.clone(), replicas))
        });
        wanted.collect()
    }
}

fn usage(config: &Config, observations: &Observations) -> BTreeMap<ScalerId, Usage> {
    let of = |seen: &ScalerSeen| {
        let reports = || seen.pods.iter().filter_map(|pod| pod.report.as_ref());
        Usage {
            in_use: reports().map(|report| report.in_use).fold(0, u32::saturating_add),
            waiting: reports().map(|report| report.waiting).fold(0, u32::saturating_add),
        }
    };
    let known = |name: &str| observations.scalers.iter().find(|seen| seen.name == name).map(of);
    config.scalers.iter().filter_map(|(id, scaled)| Some((id.clone(), known(&scaled.spec.name)?))).collect()
}

/// A holder's name in what is decided.
fn named(holder: &Holder) -> String {
    format!("{}/{}", holder.pod, holder.boot)
}
