//! The whole: what there is, what happens next, and the judgement after each step.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use super::super::{BootId, Bounds, Budget, Holder, Look, Mutant, Report, ScalerId, ScalerSpec, Sessions, Unnamed};
use super::cluster::{Pod, Workload};
use super::operator::Operator;
use super::process::{Down, Process};
use super::random::Random;
use super::trouble::{Repair, Trouble};
use crate::domain::moment::Moment;

/// Milliseconds, or a moment as milliseconds since the beginning.
pub(super) type Millis = u64;

pub(super) fn moment(millis: Millis) -> Moment {
    Moment::after_start(Duration::from_millis(millis))
}

/// What a process sends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Up {
    Hello,
    Report(Report),
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Something goes wrong, or somebody changes something.
    Trouble,
    /// Callers come and go.
    LoadMoves,
    Repaired(Repair),
    WorkloadActs(usize),
    Bound(usize),
    ContainerStarts(usize),
    GraceEnds(usize),
    KubeletReports(usize),
    ObjectGoes(usize),
    ProcessWorks(usize),
    ProcessTicks(usize),
    SessionEnds(usize),
    ToProcess {
        process: usize,
        stream: u64,
        down: Down,
    },
    ToOperator {
        operator: usize,
        incarnation: u32,
        process: usize,
        stream: u64,
        up: Up,
    },
    OperatorTicks {
        operator: usize,
        incarnation: u32,
    },
    OperatorStarts(usize),
    Watched {
        operator: usize,
        incarnation: u32,
        version: u64,
        pod: usize,
    },
    ListTaken {
        operator: usize,
        incarnation: u32,
        began: Millis,
    },
    Listed {
        operator: usize,
        incarnation: u32,
        began: Millis,
        version: u64,
        pods: Vec<super::super::ObservedPod>,
    },
    LookTaken {
        operator: usize,
        incarnation: u32,
        began: Millis,
    },
    Looked {
        operator: usize,
        incarnation: u32,
        look: Look,
    },
    LeaseAsked {
        operator: usize,
        incarnation: u32,
        sent: Millis,
        takes: Option<u64>,
    },
    LeaseAnswered {
        operator: usize,
        incarnation: u32,
        sent: Millis,
        answer: LeaseAnswer,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum LeaseAnswer {
    Mine { epoch: u64 },
    Others { version: u64 },
}

#[derive(Default)]
pub(super) struct Lease {
    pub(super) holder: Option<(usize, u32)>,
    pub(super) transitions: u64,
    pub(super) version: u64,
}

struct Due {
    at: Millis,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What is configured: `kubectl apply` changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configured {
    pub(super) budget: Budget,
    pub(super) scalers: BTreeMap<ScalerId, ScalerSpec>,
}

/// A budget that the floors fit into, with some of what the pods would take beyond them.
pub(super) fn scarce(specs: &BTreeMap<ScalerId, ScalerSpec>, random: &mut Random) -> Budget {
    // A pod that was made before may have the higher floor of the two that there are, unless its pool is its own.
    let floor = |spec: &ScalerSpec| if spec.is_fixed { spec.bounds.floor } else { 2 };
    let floors: u32 = specs.values().map(|spec| spec.places() * floor(spec)).sum();
    let most: u32 = specs.values().map(|spec| spec.max_replicas * (spec.bounds.ceiling - spec.bounds.floor)).sum();
    let above = most * random.count(10, 90) / 100;
    Budget { max_connections: floors + above + 10, superuser_reserved: 3, reserved: 2, reserve: 3, others: 2 }
}

/// How many connections a pod's callers keep busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callers {
    /// All that there are.
    TakeAll,
    /// As many as the operator's decisions want for it.
    AsWanted,
    /// Any number, which changes often.
    Erratic,
}

/// How often what happened: a run in which nothing happened proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) steps: u64,
    pub(super) grants_taken: u64,
    pub(super) leaders: u64,
    /// Divisions by the leader, and those that left nothing over.
    pub(super) led: u64,
    pub(super) full: u64,
    /// Steps after which 90 % of the budget was open.
    pub(super) nearly_all_open: u64,
    /// Steps after which only the boundary that the module names allowed what was open.
    pub(super) beyond_boundary: u64,
}

impl Seen {
    pub(super) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.grants_taken += other.grants_taken;
        self.leaders += other.leaders;
        self.led += other.led;
        self.full += other.full;
        self.nearly_all_open += other.nearly_all_open;
        self.beyond_boundary += other.beyond_boundary;
    }
}

/// More was open than may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) seed: u64,
    pub(super) at: Millis,
    pub(super) open: u32,
    pub(super) allowed: u32,
}

pub(super) struct World {
    seed: u64,
    pub(super) random: Random,
    pub(super) now: Millis,
    events: BinaryHeap<Reverse<Due>>,
    scheduled: u64,
    pub(super) mutant: Option<Mutant>,
    /// Pods may be more than were planned for, and processes outlive their objects without a session.
    pub(super) beyond: bool,
    pub(super) troubles: Vec<Trouble>,
    /// Something goes wrong each so many milliseconds, on average.
    pub(super) trouble_each: Millis,
    /// Of a hundred messages so many are lost, repeated, or late.
    unreliable: u64,
    pub(super) load_moves_each: Millis,
    /// Of a hundred pods so many take long to terminate.
    pub(super) long_graces: u64,
    pub(super) callers: Callers,
    /// Nothing goes wrong any more.
    pub(super) calm: bool,
    pub(super) scalers: Vec<ScalerId>,
    pub(super) configured: Configured,
    pub(super) workloads: Vec<Workload>,
    pub(super) pods: Vec<Pod>,
    pub(super) processes: Vec<Process>,
    pub(super) operators: [Operator; 2],
    pub(super) lease: Lease,
    /// Until then no new process finds a broker either.
    pub(super) no_broker_until: Millis,
    pub(super) api_version: u64,
    pub(super) streams: u64,
    /// Sessions that the server has of pods.
    pub(super) sessions: u32,
    pub(super) others: u32,
    /// What may be open: the budget, or a former one that was larger, until the leader's ledger has come down to this
    /// one.
    pub(super) judged_budget: u32,
    pub(super) seen: Seen,
}

impl World {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>, beyond: bool) -> Self {
        let mut random = Random::new(seed);
        let scalers: Vec<_> =
            (0..random.between(1, 2)).map(|index| ScalerId::from(format!("shop/{index}").as_str())).collect();
        let mut specs = BTreeMap::new();
        for id in &scalers {
            let floor = if random.percent(80) { 1 } else { 2 };
            let mut bounds = Bounds { floor, ceiling: floor + random.count(1, 40) };
            // In half of the runs the second of two workloads has pools of its own.
            let is_fixed = !specs.is_empty() && (seed / 17) % 4 >= 2;
            if is_fixed {
                let size = bounds.ceiling.min(12);
                bounds = Bounds { floor: size, ceiling: size };
            }
            let spec = ScalerSpec { bounds, max_replicas: random.count(1, 3), surge: random.count(1, 2), is_fixed };
            specs.insert(id.clone(), spec);
        }
        let budget = scarce(&specs, &mut random);
        let configured = Configured { budget, scalers: specs };
        let workloads = scalers.iter().map(|id| Workload::new(configured.scalers[id])).collect();
        let operators = [0, 1].map(|_| Operator::new(&configured, mutant));
        let trouble_each = [2_000, 6_000, 15_000][random.between(0, 2) as usize];
        let unreliable = [0, 3, 10][random.between(0, 2) as usize];
        let mut world = Self {
            seed,
            troubles: Trouble::of_seed(seed, &mut random),
            trouble_each,
            unreliable,
            long_graces: [20, 95][random.between(0, 1) as usize],
            load_moves_each: [1_500, 8_000][random.between(0, 1) as usize],
            callers: [Callers::TakeAll, Callers::AsWanted, Callers::Erratic][random.between(0, 2) as usize],
            random,
            now: 60_000,
            events: BinaryHeap::new(),
            scheduled: 0,
            mutant,
            beyond,
            calm: false,
            scalers,
            judged_budget: configured.budget.connections(),
            configured,
            workloads,
            pods: Vec::new(),
            processes: Vec::new(),
            operators,
            lease: Lease::default(),
            no_broker_until: 0,
            api_version: 0,
            streams: 0,
            sessions: 0,
            others: 0,
            seen: Seen::default(),
        };
        for operator in [0, 1] {
            world.after(100, Event::OperatorTicks { operator, incarnation: 0 });
        }
        for scaler in 0..world.scalers.len() {
            world.after(200, Event::WorkloadActs(scaler));
        }
        world.after(25_000, Event::Trouble);
        world.after(1_000, Event::LoadMoves);
        world
    }

    pub(super) fn after(&mut self, delay: Millis, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse(Due { at: self.now + delay, number: self.scheduled, event }));
    }

    /// Runs until then. The first instant at which too much is open ends it.
    pub(super) fn run_until(&mut self, end: Millis) -> Result<(), Violation> {
        while let Some(Reverse(due)) = self.events.pop() {
            if due.at > end {
                self.events.push(Reverse(due));
                break;
            }
            self.now = due.at;
            self.happens(due.event);
            self.seen.steps += 1;
            self.judge()?;
        }
        Ok(())
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Trouble => self.trouble(),
            Event::LoadMoves => self.load_moves(),
            Event::Repaired(repair) => self.repaired(repair),
            Event::WorkloadActs(scaler) => self.workload_acts(scaler),
            Event::Bound(pod) => self.bound(pod),
            Event::ContainerStarts(pod) => self.container_starts(pod),
            Event::GraceEnds(pod) => self.grace_ends(pod),
            Event::KubeletReports(pod) => self.kubelet_reports(pod),
            Event::ObjectGoes(pod) => self.object_goes(pod),
            Event::ProcessWorks(process) => self.process_works(process),
            Event::ProcessTicks(process) => self.process_ticks(process),
            Event::SessionEnds(process) => {
                let process = &mut self.processes[process];
                if process.closing > 0 {
                    process.closing -= 1;
                    self.sessions -= 1;
                }
            }
            Event::ToProcess { process, stream, down } => {
                let takes_old = self.mutant == Some(Mutant::TakesOldLeaders);
                let (now, process) = (self.now, &mut self.processes[process]);
                if process.alive {
                    self.seen.grants_taken += u64::from(matches!(down, Down::Grant(_)));
                    process.receives(stream, down, takes_old, now);
                }
            }
            Event::ToOperator { operator, incarnation, process, stream, up } => {
                self.for_operator(
                    operator,
                    incarnation,
                    Event::ToOperator { operator, incarnation, process, stream, up },
                );
            }
            Event::OperatorTicks { operator, incarnation }
            | Event::Watched { operator, incarnation, .. }
            | Event::Listed { operator, incarnation, .. }
            | Event::Looked { operator, incarnation, .. }
            | Event::LeaseAnswered { operator, incarnation, .. } => self.for_operator(operator, incarnation, event),
            Event::OperatorStarts(operator) => self.operator_starts(operator),
            Event::ListTaken { operator, incarnation, began } => self.list_taken(operator, incarnation, began),
            Event::LookTaken { operator, incarnation, began } => self.look_taken(operator, incarnation, began),
            Event::LeaseAsked { operator, incarnation, sent, takes } => {
                self.lease_asked(operator, incarnation, sent, takes);
            }
        }
    }

    /// How long a message takes, if it arrives at all. Seldom, for so long that its sender has been replaced since.
    pub(super) fn delay(&mut self) -> Option<Millis> {
        if self.calm {
            return Some(self.random.between(1, 30));
        }
        if !self.random.percent(self.unreliable) {
            return Some(self.random.between(1, 60));
        }
        match self.random.between(0, 9) {
            0..=3 => None,
            4..=5 => Some(self.random.between(2_000, 20_000)),
            _ => Some(self.random.between(60, 2_000)),
        }
    }

    /// Sends a message: it may be lost, or come twice.
    pub(super) fn send(&mut self, event: Event) {
        self.send_after(0, event);
    }

    pub(super) fn send_after(&mut self, pause: Millis, event: Event) {
        if !self.calm
            && self.random.percent(self.unreliable)
            && let Some(delay) = self.delay()
        {
            self.after(pause + delay, event.clone());
        }
        if let Some(delay) = self.delay() {
            self.after(pause + delay, event);
        }
    }

    fn process_works(&mut self, index: usize) {
        if !self.processes[index].alive {
            return;
        }
        let pause = self.random.between(50, 600);
        self.after(pause, Event::ProcessWorks(index));
        if self.callers == Callers::Erratic && !self.calm && self.random.percent(5) {
            self.processes[index].load = if self.random.percent(60) { u32::MAX } else { 0 };
        }
        let process = &self.processes[index];
        let (limit, open) = (process.limit(), process.open);
        let aim = process.load.max(process.least()).min(limit);
        if open > limit && (!process.stubborn || self.random.percent(3)) {
            let count = self.random.count(1, open - limit);
            self.closes(index, count);
        } else if open > aim && self.random.percent(10) {
            self.closes(index, 1);
        } else if open > 1 && !self.calm && self.random.percent(2) {
            // A connection has lived for long enough; another takes its place.
            self.closes(index, 1);
        } else if !process.cut_from_database && process.sessions() < aim {
            let count = self.random.count(1, aim - process.sessions());
            self.processes[index].open += count;
            self.sessions += count;
        }
    }

    fn closes(&mut self, index: usize, count: u32) {
        let process = &mut self.processes[index];
        process.open -= count;
        process.closing += count;
        for _ in 0..count {
            let lag = self.random.between(1, 950);
            self.after(lag, Event::SessionEnds(index));
        }
    }

    fn process_ticks(&mut self, index: usize) {
        let now = self.now;
        if !self.processes[index].alive {
            return;
        }
        let pause = self.random.between(900, 1_100);
        self.after(pause, Event::ProcessTicks(index));
        if self.processes[index].is_fixed {
            return;
        }
        self.processes[index].looks_at_its_stream(now);
        match self.processes[index].stream {
            None => {
                let operator = self.random.between(0, 1) as usize;
                self.streams += 1;
                self.processes[index].begins_stream(operator, self.streams, now);
                self.says(index, Up::Hello);
            }
            Some(stream) if stream.welcomed => {
                let report = self.processes[index].report();
                self.says(index, Up::Report(report));
            }
            Some(_) => {}
        }
    }

    fn says(&mut self, index: usize, up: Up) {
        let process = &self.processes[index];
        if let Some(stream) =
            process.stream.filter(|stream| !process.cut[stream.operator] && self.now >= self.no_broker_until)
        {
            let (operator, stream) = (stream.operator, stream.id);
            let incarnation = self.operators[operator].incarnation;
            self.send(Event::ToOperator { operator, incarnation, process: index, stream, up });
        }
    }

    /// All sessions of the server.
    pub(super) fn look(&self, began: Millis) -> Look {
        let has_some = |process: &&Process| process.sessions() > 0;
        let own = self.processes.iter().filter(has_some).filter(|process| process.is_fixed).map(|process| Unnamed {
            address: Some(self.address(process.pod)),
            application: String::new(),
            count: process.sessions(),
        });
        let granted = self.processes.iter().filter(has_some).filter(|process| !process.is_fixed);
        let shown = granted.map(|process| Sessions {
            boot: process.boot().clone(),
            pod: self.pods[process.pod].name.clone(),
            count: process.sessions(),
        });
        Look { started_at: moment(began), sessions: shown.collect(), unnamed: own.collect(), others: self.others }
    }

    pub(super) fn new_process(&mut self, pod: usize) -> usize {
        let index = self.processes.len();
        let boot = BootId::from(format!("{index:08x}").as_str());
        let holder = Holder { pod: self.pods[pod].uid.clone(), boot };
        let mut process = Process::new(pod, holder, self.pods[pod].bounds, self.pods[pod].is_fixed, self.now);
        process.wanted = if self.calm { u32::MAX } else { self.random.count(0, 40) };
        let takes_all = self.calm || self.callers == Callers::TakeAll;
        process.load = if takes_all { u32::MAX } else { process.wanted };
        process.stubborn = !self.calm && self.random.percent(20);
        self.processes.push(process);
        self.after(10, Event::ProcessTicks(index));
        self.after(20, Event::ProcessWorks(index));
        index
    }

    /// The process ends; the server ends its sessions soon, or some of them only when their statements end.
    pub(super) fn kill(&mut self, index: usize) {
        if !self.processes[index].alive {
            return;
        }
        self.processes[index].dies();
        for _ in 0..self.processes[index].closing {
            let is_busy = !self.calm && self.random.percent(15);
            let lag = self.random.between(1, if is_busy { 25_000 } else { 900 });
            self.after(lag, Event::SessionEnds(index));
        }
    }

    fn judge(&mut self) -> Result<(), Violation> {
        self.seen.nearly_all_open += u64::from(self.sessions * 10 >= self.judged_budget * 9);
        if self.sessions <= self.judged_budget {
            return Ok(());
        }
        let allowed = self.judged_budget + self.beyond_the_plan();
        if self.sessions <= allowed {
            self.seen.beyond_boundary += 1;
            return Ok(());
        }
        Err(Violation { seed: self.seed, at: self.now, open: self.sessions, allowed })
    }

    /// What the protocol can't prevent: floors that pods beyond the plan opened alone, and what processes have whose
    /// pods' objects are gone and that had no session when the server was asked.
    fn beyond_the_plan(&self) -> u32 {
        let unseen: u32 = self.processes.iter().filter(|process| process.unseen).map(Process::sessions).sum();
        let alone = (0..self.scalers.len()).map(|scaler| {
            let surplus = self.places(scaler).saturating_sub(self.workloads[scaler].planned());
            let mut alone: Vec<_> = self
                .processes
                .iter()
                .filter(|process| self.pods[process.pod].scaler == scaler)
                .filter(|process| process.began_alone || process.is_fixed)
                // A leader that comes later grants it that, for it has it.
                .map(|process| process.sessions().min(process.bounds.floor))
                .collect();
            alone.sort_unstable_by_key(|sessions| Reverse(*sessions));
            alone.iter().take(surplus as usize).sum::<u32>()
        });
        unseen + alone.sum::<u32>()
    }

    /// Pods of which something is there, and further runs of them of which something is left.
    pub(super) fn places(&self, scaler: usize) -> u32 {
        let pods = self.pods.iter().enumerate().filter(|(_, pod)| pod.scaler == scaler);
        let places = pods.map(|(index, pod)| {
            let left =
                pod.runs.iter().filter(|run| self.processes[**run].alive || self.processes[**run].sessions() > 0);
            let starts = pod.object.is_some() && !pod.runs.iter().any(|run| self.processes[*run].alive);
            debug_assert!(pod.runs.iter().all(|run| self.processes[*run].pod == index));
            left.count() as u32 + u32::from(starts)
        });
        places.sum()
    }
}
