//! An operator's process: its Lease, its watch, its looks, its streams, and the ledger that all of them feed.

use std::collections::BTreeMap;

use super::super::{Grant, Hello, Holder, Ledger, Mutant, ObservedPod, PodSet};
use super::process::Down;
use super::world::{Configured, Event, Lease, LeaseAnswer, Millis, Up, World, moment};

/// For how long a Lease holds that was asked for, by the clock of whoever asked.
const LEASE: Millis = 8_000;
/// For how long another one sees no change of it before it takes the Lease.
const LAPSES_AFTER: Millis = 10_000;
/// A stream by which nothing has come for so long has ended.
const SILENCE: Millis = 6_000;

#[derive(Clone, Copy, Debug)]
struct Stream {
    id: u64,
    heard_at: Millis,
}

pub(super) struct Operator {
    pub(super) ledger: Ledger,
    /// Grows when the process begins again, without a memory.
    pub(super) incarnation: u32,
    pub(super) alive: bool,
    pub(super) paused_until: Millis,
    /// It is to stand still for so long once it has decided what to send.
    pub(super) pauses_before_sending: Millis,
    pub(super) cut_from_api: bool,
    pub(super) cut_from_database: bool,
    pub(super) watch_is_broken: bool,
    pub(super) watched_until: Millis,
    configured: Configured,
    epoch: u64,
    streams: BTreeMap<usize, Stream>,
    /// Pods as its watch has shown them.
    pods: BTreeMap<usize, ObservedPod>,
    listed_at: Option<Millis>,
    listed_version: u64,
    list_asked_at: Millis,
    looked_at: Millis,
    lease_seen: Option<(u64, Millis)>,
}

impl Operator {
    pub(super) fn new(configured: &Configured, mutant: Option<Mutant>) -> Self {
        let mut ledger = Ledger::new(configured.budget, configured.scalers.clone());
        ledger.mutant = mutant;
        Self {
            ledger,
            incarnation: 0,
            alive: true,
            paused_until: 0,
            pauses_before_sending: 0,
            cut_from_api: false,
            cut_from_database: false,
            watch_is_broken: false,
            watched_until: 0,
            configured: configured.clone(),
            epoch: 0,
            streams: BTreeMap::new(),
            pods: BTreeMap::new(),
            listed_at: None,
            listed_version: 0,
            list_asked_at: 0,
            looked_at: 0,
            lease_seen: None,
        }
    }

    pub(super) fn watches(&self) -> bool {
        self.alive && !self.cut_from_api && !self.watch_is_broken
    }

    /// It has to list again: its watch missed something.
    pub(super) fn lists_again(&mut self) {
        self.list_asked_at = 0;
        self.watch_is_broken = false;
    }
}

impl World {
    /// Lets something happen in an operator's process: later, if it is paused; never, if it has begun again since.
    pub(super) fn for_operator(&mut self, operator: usize, incarnation: u32, event: Event) {
        let process = &self.operators[operator];
        if !process.alive || process.incarnation != incarnation {
            return;
        }
        if self.now < process.paused_until {
            let wakes_in = process.paused_until - self.now;
            self.after(wakes_in, event);
            return;
        }
        match event {
            Event::OperatorTicks { .. } => self.operator_ticks(operator, incarnation),
            Event::ToOperator { process, stream, up, .. } => self.hears(operator, process, stream, up),
            Event::Watched { version, pod, .. } => self.watched(operator, version, pod),
            Event::Listed { began, version, pods, .. } => self.listed(operator, began, version, pods),
            Event::Looked { look, .. } => self.operators[operator].ledger.backends(&look, moment(self.now)),
            Event::LeaseAnswered { sent, answer, .. } => self.lease_answered(operator, sent, answer),
            _ => {}
        }
    }

    pub(super) fn operator_starts(&mut self, operator: usize) {
        let incarnation = self.operators[operator].incarnation + 1;
        let mut process = Operator::new(&self.configured, self.mutant);
        (process.incarnation, process.cut_from_api) = (incarnation, self.operators[operator].cut_from_api);
        process.cut_from_database = self.operators[operator].cut_from_database;
        self.operators[operator] = process;
        self.after(50, Event::OperatorTicks { operator, incarnation });
    }

    fn operator_ticks(&mut self, operator: usize, incarnation: u32) {
        let now = self.now;
        let pause = self.random.between(400, 600);
        self.after(pause, Event::OperatorTicks { operator, incarnation });
        self.asks_for_lease(operator, incarnation);
        self.asks_for_list(operator, incarnation);
        if !self.operators[operator].cut_from_api && self.operators[operator].configured != self.configured {
            let configured = self.configured.clone();
            self.operators[operator].ledger.configure(configured.budget, configured.scalers.clone());
            self.operators[operator].configured = configured;
        }
        let process = &mut self.operators[operator];
        if let Some(listed_at) = process.listed_at {
            let set = PodSet { listed_at: moment(listed_at), pods: process.pods.values().cloned().collect() };
            process.ledger.pods(&set, moment(now));
        }
        let leads = process.ledger.is_leading(moment(now));
        let silent = |stream: &Stream| now - stream.heard_at > SILENCE || !leads;
        let ended: Vec<usize> =
            process.streams.iter().filter(|(_, stream)| silent(stream)).map(|(index, _)| *index).collect();
        for index in ended {
            process.streams.remove(&index);
            process.ledger.detached(&self.processes[index].holder, moment(now));
        }
        if leads {
            self.leader_ticks(operator, incarnation);
        }
    }

    fn leader_ticks(&mut self, operator: usize, incarnation: u32) {
        let now = self.now;
        let process = &mut self.operators[operator];
        if !process.cut_from_database && now - process.looked_at >= 900 {
            process.looked_at = now;
            let delay = self.random.between(1, 150);
            self.after(delay, Event::LookTaken { operator, incarnation, began: now });
        }
        let process = &mut self.operators[operator];
        let wanted: BTreeMap<Holder, u32> = process
            .streams
            .keys()
            .map(|index| (self.processes[*index].holder.clone(), self.processes[*index].wanted))
            .collect();
        process.ledger.demands(&wanted, &BTreeMap::new());
        let grants = process.ledger.grants(moment(now));
        let grows = |(holder, grant): &(Holder, Grant)| {
            let process = self.processes.iter().find(|process| process.holder == *holder);
            process.is_some_and(|process| grant.connections > process.limit() + 3)
        };
        let waits = process.pauses_before_sending > 0 && grants.iter().any(grows);
        let pause = if waits { std::mem::take(&mut process.pauses_before_sending) } else { 0 };
        process.paused_until = process.paused_until.max(now + pause);
        let streams = process.streams.clone();
        for (holder, grant) in grants {
            let Some(index) = streams.keys().copied().find(|index| self.processes[*index].holder == holder) else {
                continue;
            };
            if !self.processes[index].cut[operator] {
                let event = Event::ToProcess { process: index, stream: streams[&index].id, down: Down::Grant(grant) };
                self.send_after(pause + self.processes[index].slow, event);
            }
        }
        self.takes_note_of(operator);
    }

    /// What the leader's ledger has come to, and with it what is allowed from now on.
    fn takes_note_of(&mut self, operator: usize) {
        let process = &self.operators[operator];
        if self.lease.holder != Some((operator, process.incarnation)) || process.configured != self.configured {
            return;
        }
        let view = process.ledger.view(moment(self.now));
        self.seen.led += 1;
        self.seen.full += u64::from(view.headroom == 0);
        if view.excess > 0 || view.held.is_some() || view.scalers.values().any(|scaler| scaler.provided < scaler.places)
        {
            return;
        }
        let budget = self.configured.budget.connections();
        if self.sessions <= budget {
            self.judged_budget = budget;
        }
        for (scaler, id) in self.scalers.iter().enumerate() {
            let (spec, workload) = (self.configured.scalers[id], &mut self.workloads[scaler]);
            (workload.max_replicas, workload.surge) = (spec.max_replicas, spec.surge);
            if workload.bounds != spec.bounds {
                // Its template is changed, and so it is rolled.
                workload.bounds = spec.bounds;
                workload.generation += 1;
            }
        }
    }

    fn hears(&mut self, operator: usize, index: usize, stream: u64, up: Up) {
        let (now, process) = (self.now, &mut self.operators[operator]);
        if !process.ledger.is_leading(moment(now)) {
            return;
        }
        let known = process.streams.get(&index).map(|known| known.id);
        let (holder, pod) = (&self.processes[index].holder, &self.pods[self.processes[index].pod]);
        let down = match up {
            Up::Hello if known.is_none_or(|known| known < stream) => {
                process.streams.insert(index, Stream { id: stream, heard_at: now });
                let hello = Hello { name: pod.name.clone(), bounds: pod.bounds };
                process.ledger.attached(holder, &hello, moment(now));
                Down::Welcome(process.epoch)
            }
            Up::Report(report) if known == Some(stream) => {
                process.streams.insert(index, Stream { id: stream, heard_at: now });
                process.ledger.report(holder, &report, moment(now));
                Down::Heard
            }
            _ => return,
        };
        if !self.processes[index].cut[operator] {
            self.send_after(self.processes[index].slow, Event::ToProcess { process: index, stream, down });
        }
    }

    fn watched(&mut self, operator: usize, version: u64, pod: usize) {
        let shown = self.shown(pod);
        let process = &mut self.operators[operator];
        if version <= process.listed_version || process.watch_is_broken {
            return;
        }
        // Only the pod's last change is told here: those before are told with it, which a watch's relist does too.
        match shown {
            Some(shown) => drop(process.pods.insert(pod, shown)),
            None => drop(process.pods.remove(&pod)),
        }
    }

    fn asks_for_list(&mut self, operator: usize, incarnation: u32) {
        let (now, calm) = (self.now, self.calm);
        let process = &mut self.operators[operator];
        let is_due = process.list_asked_at == 0 || now - process.list_asked_at > if calm { 5_000 } else { 20_000 };
        if is_due && !process.cut_from_api {
            process.list_asked_at = now;
            let delay = self.random.between(1, 300);
            self.after(delay, Event::ListTaken { operator, incarnation, began: now });
        }
    }

    pub(super) fn list_taken(&mut self, operator: usize, incarnation: u32, began: Millis) {
        let pods = (0..self.pods.len()).filter_map(|pod| self.shown(pod)).collect();
        let (version, delay) = (self.api_version, self.random.between(1, 300));
        if !self.operators[operator].cut_from_api {
            self.after(delay, Event::Listed { operator, incarnation, began, version, pods });
        }
    }

    fn listed(&mut self, operator: usize, began: Millis, version: u64, pods: Vec<ObservedPod>) {
        let index: BTreeMap<_, _> = self.pods.iter().enumerate().map(|(index, pod)| (&pod.uid, index)).collect();
        let pods = pods.into_iter().map(|pod| (index[&pod.uid], pod)).collect();
        let process = &mut self.operators[operator];
        if version >= process.listed_version {
            (process.pods, process.listed_version, process.listed_at) = (pods, version, Some(began));
        }
    }

    pub(super) fn look_taken(&mut self, operator: usize, incarnation: u32, began: Millis) {
        if self.operators[operator].cut_from_database {
            return;
        }
        let look = self.look(began);
        for process in &mut self.processes {
            process.unseen |= process.alive && process.sessions() == 0 && self.pods[process.pod].object.is_none();
        }
        if let Some(delay) = self.delay() {
            self.after(delay, Event::Looked { operator, incarnation, look });
        }
    }

    fn asks_for_lease(&mut self, operator: usize, incarnation: u32) {
        let now = self.now;
        let process = &self.operators[operator];
        if process.cut_from_api {
            return;
        }
        let takes = process.lease_seen.filter(|(_, since)| now - since >= LAPSES_AFTER).map(|(version, _)| version);
        if let Some(delay) = self.delay() {
            self.after(delay, Event::LeaseAsked { operator, incarnation, sent: now, takes });
        }
    }

    pub(super) fn lease_asked(&mut self, operator: usize, incarnation: u32, sent: Millis, takes: Option<u64>) {
        if self.operators[operator].cut_from_api {
            return;
        }
        let Lease { holder, transitions, version } = &mut self.lease;
        let is_mine = *holder == Some((operator, incarnation));
        let answer = if is_mine || takes == Some(*version) || holder.is_none() {
            *transitions += u64::from(!is_mine);
            (*holder, *version) = (Some((operator, incarnation)), *version + 1);
            LeaseAnswer::Mine { epoch: *transitions }
        } else {
            LeaseAnswer::Others { version: *version }
        };
        if let Some(delay) = self.delay() {
            self.after(delay, Event::LeaseAnswered { operator, incarnation, sent, answer });
        }
    }

    fn lease_answered(&mut self, operator: usize, sent: Millis, answer: LeaseAnswer) {
        let now = self.now;
        let process = &mut self.operators[operator];
        match answer {
            LeaseAnswer::Mine { epoch } => {
                process.lease_seen = None;
                if epoch > process.epoch {
                    process.epoch = epoch;
                    process.streams.clear();
                    process.list_asked_at = 0;
                    process.looked_at = 0;
                    self.seen.leaders += 1;
                    process.ledger.configure(self.configured.budget, self.configured.scalers.clone());
                    process.configured = self.configured.clone();
                }
                process.ledger.lead(epoch, moment(sent + LEASE), moment(now));
            }
            LeaseAnswer::Others { version } => {
                if process.lease_seen.is_none_or(|(seen, _)| seen < version) {
                    process.lease_seen = Some((version, now));
                }
            }
        }
    }

    /// Where the leader's ledger stands, if there is one leader who can do its work.
    pub(super) fn leader(&self) -> Option<&Ledger> {
        let (operator, incarnation) = self.lease.holder?;
        let process = &self.operators[operator];
        let leads = process.incarnation == incarnation && process.ledger.is_leading(moment(self.now));
        leads.then_some(&process.ledger)
    }

    pub(super) fn mends_operators(&mut self) {
        for operator in [0, 1] {
            let process = &mut self.operators[operator];
            (process.cut_from_api, process.cut_from_database) = (false, false);
            (process.paused_until, process.pauses_before_sending) = (0, 0);
            process.lists_again();
        }
    }
}
