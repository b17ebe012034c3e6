//! All databases together, and the streams of the processes: what is heard goes to the database that it is about, and what was decided
//! goes to the streams.

use std::collections::{BTreeMap, BTreeSet};

use super::hearing;
use crate::broker::{Event, Happening, Offer, Outbox};
use crate::domain::control::{Config, Control, Next, Workloads};
use crate::domain::decide::{self, Baselines};
use crate::domain::ledger::Holder;
use crate::domain::moment::Moment;
use crate::probe;
use crate::scrape::{self, Reading};

/// A ConnectionBudget: its namespace and its name.
pub(super) type BudgetName = (String, String);

/// A process's stream.
struct Stream {
    number: u64,
    budget: BudgetName,
    /// The pod's name.
    pod: String,
    outbox: Outbox,
    /// Somebody waited for a connection by its last report.
    has_waiters: bool,
    /// Since when it needs more than it was granted: callers have begun to wait, or it has nothing yet.
    needs_since: Option<Moment>,
    /// Connections of the newest grant that was put into the outbox.
    granted: u32,
    /// Who got none by its last report.
    refused: BTreeMap<String, u64>,
}

/// What a run said last.
pub(super) struct Heard<'a> {
    pub(super) report: &'a decide::Report,
    /// Callers who got no connection since it started, by class, while it has a stream.
    pub(super) refused: Option<&'a BTreeMap<String, u64>>,
}

/// All databases, and all streams.
#[derive(Default)]
pub(super) struct Desk {
    databases: BTreeMap<BudgetName, Control>,
    streams: BTreeMap<Holder, Stream>,
    lead: Option<(u64, Moment)>,
    /// Since when those needed it who were granted more by the last decision.
    met: Vec<Moment>,
}

impl Desk {
    /// These databases are looked after, and no others. Of a new one, `baselines` says what was learned before.
    pub(super) fn configure(
        &mut self,
        configs: BTreeMap<BudgetName, Config>,
        baselines: impl Fn(&BudgetName) -> Baselines,
        now: Moment,
    ) {
        self.databases.retain(|name, _| configs.contains_key(name));
        for (name, config) in configs {
            if let Some(known) = self.databases.get_mut(&name) {
                known.configure(config);
                continue;
            }
            let mut control = Control::new(config, &baselines(&name));
            if let Some((epoch, until)) = self.lead {
                control.lead(epoch, until, now);
            }
            self.databases.insert(name, control);
        }
    }

    /// This process leads in this epoch until then; or doesn't.
    pub(super) fn lead(&mut self, lead: Option<(u64, Moment)>, now: Moment) {
        self.lead = lead;
        for control in self.databases.values_mut() {
            match lead {
                Some((epoch, until)) => control.lead(epoch, until, now),
                None => control.stop_leading(now),
            }
        }
    }

    /// What the API server shows of a database's workloads.
    pub(super) fn workloads(&mut self, database: &BudgetName, workloads: Workloads, now: Moment) {
        if let Some(control) = self.databases.get_mut(database) {
            control.workloads(workloads, now);
        }
    }

    /// A pod's metrics were read.
    pub(super) fn measured(
        &mut self,
        database: &BudgetName,
        pod: &scrape::Pod,
        reading: &Reading,
        at: Moment,
        now: Moment,
    ) {
        if let Some(control) = self.databases.get_mut(database) {
            control.measured(&hearing::run(pod), hearing::measured(reading, at), now);
        }
    }

    /// A database was looked at; `began` and `heard` say from when to when.
    pub(super) fn probed(
        &mut self,
        database: &BudgetName,
        outcome: &probe::Outcome,
        strangers: &BTreeSet<String>,
        (began, heard): (Moment, Moment),
        now: Moment,
    ) {
        if let Some(control) = self.databases.get_mut(database) {
            let (probe, look) = hearing::looked(outcome, strangers, began, heard);
            control.probed(probe, look, now);
        }
    }

    /// A stream begins, says something, or ends. Whether something is to be decided at once: callers have begun to wait somewhere, or
    /// a process waits for its first grant.
    pub(super) fn heard(&mut self, event: Event, now: Moment) -> bool {
        let Event { holder, stream: number, what } = event;
        let holder = hearing::holder(&holder);
        if let Happening::Attached { epoch, identity, hello, outbox } = what {
            // Of an epoch that is over: it ends by itself, and comes again.
            if self.lead.is_none_or(|(current, _)| current != epoch)
                || self.streams.get(&holder).is_some_and(|known| known.number > number)
            {
                return false;
            }
            if let Some(control) = self.databases.get_mut(&hello.budget) {
                control.attached(&holder, &hearing::hello(&identity.pod, &hello), now);
            } else {
                let (namespace, name) = &hello.budget;
                outbox.put(Offer::Pending(format!("there is no ConnectionBudget {namespace}/{name}")));
            }
            let stream = Stream {
                number,
                budget: hello.budget,
                pod: identity.pod,
                outbox,
                has_waiters: false,
                needs_since: None,
                granted: 0,
                refused: BTreeMap::new(),
            };
            self.streams.insert(holder, stream);
            return false;
        }
        let Some(stream) = self.streams.get_mut(&holder).filter(|stream| stream.number == number) else { return false };
        let control = self.databases.get_mut(&stream.budget);
        match what {
            Happening::Attached { .. } => false,
            Happening::Changed(hello) => {
                if let Some(control) = control {
                    control.attached(&holder, &hearing::hello(&stream.pod, &hello), now);
                }
                false
            }
            Happening::Reported(report) => {
                let reported = hearing::reported(&report, now);
                let had_waiters = std::mem::replace(&mut stream.has_waiters, reported.pools.waiting > 0);
                stream.refused = hearing::refused(&report);
                let is_edge = had_waiters != stream.has_waiters || report.known.is_none();
                stream.needs_since = match stream.has_waiters || report.known.is_none() {
                    true if is_edge => stream.needs_since.or(Some(now)),
                    true => stream.needs_since,
                    false => None,
                };
                if let Some(control) = control {
                    control.reported(&holder, reported, now);
                }
                is_edge
            }
            Happening::Detached => {
                if let Some(control) = control {
                    control.detached(&holder, now);
                }
                self.streams.remove(&holder);
                false
            }
        }
    }

    /// Decides for each database, sends what is granted, and says what is to be done besides.
    pub(super) fn next(&mut self, now: Moment) -> BTreeMap<BudgetName, Next> {
        let mut all = BTreeMap::new();
        self.met.clear();
        for (name, control) in &mut self.databases {
            let next = control.next(now);
            let mut granted = BTreeSet::new();
            for (holder, grant) in &next.grants {
                granted.insert(holder);
                if let Some(stream) = self.streams.get_mut(holder) {
                    let id = (grant.id.epoch, grant.id.sequence);
                    stream.outbox.put(Offer::Grant { id, connections: grant.connections });
                    let before = std::mem::replace(&mut stream.granted, grant.connections);
                    if grant.connections > before {
                        self.met.extend(stream.needs_since.take());
                    }
                }
            }
            // Whoever has nothing yet is told why.
            for entry in next.ledger.entries.iter().filter(|entry| entry.granted.is_none()) {
                let (Some(pod), Some(boot)) = (&entry.pod, &entry.boot) else { continue };
                let holder = Holder { pod: pod.clone(), boot: boot.clone() };
                if let Some(stream) = self.streams.get(&holder).filter(|_| !granted.contains(&holder)) {
                    stream.outbox.put(Offer::Pending(entry.standing.to_string()));
                }
            }
            all.insert(name.clone(), next);
        }
        all
    }

    /// Since when those needed it who were granted more by the last decision.
    pub(super) fn met(&self) -> &[Moment] {
        &self.met
    }

    /// Processes that have a stream.
    pub(super) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// What a run said last, and by class who got no connection there.
    pub(super) fn heard_of(&self, database: &BudgetName, holder: &Holder) -> Option<Heard<'_>> {
        let report = self.databases.get(database)?.heard(holder)?;
        Some(Heard { report, refused: self.streams.get(holder).map(|stream| &stream.refused) })
    }

    /// What was learned of a database.
    pub(super) fn baselines(&self, database: &BudgetName) -> Option<Baselines> {
        self.databases.get(database).map(Control::baselines)
    }
}
