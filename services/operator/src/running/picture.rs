//! What was decided, as people are shown it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use prost_types::Timestamp;
use selvage_proto::pool::v1;

use super::desk::Heard;
use super::workloads::{Database, Scaler, budget_name};
use crate::controllers::target::is_paused;
use crate::decisions::{MAX_PODS, Picture};
use crate::domain::control::Next;
use crate::domain::decide::{self, Baselines, Outcome, Probe};
use crate::domain::ledger::{Entry, Holder, ScalerId};
use crate::domain::moment::Moment;
use crate::resources::{Condition, ConditionStatus, ConnectionBudgetStatus, Mode, PoolScaler, PoolScalerStatus};

/// Scalers of a budget that are shown.
const MAX_SCALERS: usize = 100;
/// Bounds of texts, in bytes.
const MAX_WORDS: usize = 256;
const MAX_MESSAGE: usize = 1024;
const MAX_REASON: usize = 4096;
/// Classes of callers.
const MAX_CLASSES: usize = 3;
const MAX_LISTED: usize = 16;

/// A picture that is being drawn.
pub(super) struct Drawing {
    epoch: Option<u64>,
    now: Moment,
    time: Timestamp,
    budgets: Vec<v1::Budget>,
}

/// A budget's status, and those of its scalers.
type Statuses<'a> = (Option<&'a ConnectionBudgetStatus>, &'a [(PoolScaler, PoolScalerStatus)]);

impl Drawing {
    /// Of what is decided in this epoch, at `now`, which is this time to people.
    pub(super) fn new(epoch: Option<u64>, now: Moment, time: &Time) -> Self {
        Self { epoch, now, time: timestamp(time), budgets: Vec::new() }
    }

    /// What was decided for a database. `heard` has what a run said last.
    pub(super) fn add<'h>(
        &mut self,
        database: &Database<'_>,
        next: &Next,
        probe: Option<&Probe>,
        baselines: Option<&Baselines>,
        (status, scalers): Statuses<'_>,
        heard: impl Fn(&Holder) -> Option<Heard<'h>>,
    ) {
        let view = &next.ledger;
        let mut room = MAX_PODS;
        let mut of_scaler: BTreeMap<&ScalerId, Vec<v1::Pod>> = BTreeMap::new();
        let mut strangers = Vec::new();
        for entry in &view.entries {
            let pod = self.pod(entry, &heard);
            match &entry.scaler {
                Some(id) if database.scalers.contains_key(id) => of_scaler.entry(id).or_default().push(pod),
                _ => strangers.push(pod),
            }
        }
        let shown = database.scalers.iter().zip(scalers).take(MAX_SCALERS).map(|((id, scaler), (_, status))| {
            let pods = some_of(of_scaler.remove(id).unwrap_or_default(), &mut room);
            self::scaler(id, scaler, status, next, pods)
        });
        let shown: Vec<_> = shown.collect();
        let strangers = some_of(strangers, &mut room);
        let listed = strangers.len() + shown.iter().map(|scaler| scaler.pods.len()).sum::<usize>();
        let (namespace, name) = budget_name(database.object);
        self.budgets.push(v1::Budget {
            namespace,
            name,
            time: Some(self.time),
            budget: view.budget,
            charged: view.charged,
            set_aside: view.set_aside,
            headroom: view.headroom,
            open: view.entries.iter().map(|entry| entry.open).fold(0, u32::saturating_add),
            held: cut(view.held.unwrap_or_default(), MAX_WORDS),
            leader: status.and_then(|status| status.leader.clone()).unwrap_or_default(),
            epoch: view.epoch.unwrap_or_default(),
            probe: probe.map(|probe| self.probe(probe, baselines)),
            conditions: status.map(|status| conditions(&status.conditions)).unwrap_or_default(),
            scalers_omitted: count(database.scalers.len().saturating_sub(shown.len())),
            scalers: shown,
            pods_omitted: count(view.entries.len().saturating_sub(listed)),
            strangers,
        });
    }

    /// The whole of it.
    pub(super) fn finish(self) -> Picture {
        Picture { epoch: self.epoch, budgets: self.budgets }
    }

    fn pod<'h>(&self, entry: &Entry, heard: &impl Fn(&Holder) -> Option<Heard<'h>>) -> v1::Pod {
        let run = entry.pod.as_ref().zip(entry.boot.as_ref());
        let run = run.map(|(pod, boot)| Holder { pod: pod.clone(), boot: boot.clone() });
        let heard = run.as_ref().and_then(heard);
        let said = heard.as_ref().map(|heard| heard.report);
        let refused = heard.as_ref().and_then(|heard| heard.refused).into_iter().flatten().take(MAX_CLASSES);
        v1::Pod {
            name: entry.name.to_string(),
            boot_id: entry.boot.as_ref().map(ToString::to_string).unwrap_or_default(),
            granted: entry.granted.map(|grant| grant.connections),
            charged: entry.charged,
            limit: said.map(|said| said.limit),
            open: entry.open,
            in_use: said.map_or(0, |said| said.in_use),
            waiting: said.map_or(0, |said| said.waiting),
            refused: refused.map(|(class, count)| v1::ClassRefused { class: class.clone(), count: *count }).collect(),
            standing: cut(&entry.standing.to_string(), MAX_WORDS),
            report_age: said.map(|said| duration(self.now.since(said.at))),
        }
    }

    fn probe(&self, probe: &Probe, baselines: Option<&Baselines>) -> v1::Probe {
        let (outcome, failure, statement) = match &probe.outcome {
            Outcome::Answered(database) => ("Answered", "", Some(database.statement)),
            Outcome::NoSlot => ("NoSlot", "", None),
            Outcome::Failed(why) => ("Failed", why.as_str(), None),
        };
        v1::Probe {
            outcome: outcome.to_owned(),
            failure: cut(failure, MAX_MESSAGE),
            age: Some(duration(self.now.since(probe.at))),
            statement: statement.map(duration),
            baseline: baselines.and_then(|known| known.statement).map(duration),
        }
    }
}

fn scaler(
    id: &ScalerId,
    scaler: &Scaler<'_>,
    status: &PoolScalerStatus,
    next: &Next,
    pods: Vec<v1::Pod>,
) -> v1::Scaler {
    let spec = &scaler.object.spec;
    let whole = i32::unsigned_abs;
    let decided = next.decisions.iter().find(|decision| decision.scaler == id.as_str());
    let places = next.ledger.scalers.get(id);
    let own = next.ledger.entries.iter().filter(|entry| entry.scaler.as_ref() == Some(id));
    let usage = next.seen.get(id).copied().unwrap_or_default();
    let totals = status.pool.clone().unwrap_or_default();
    v1::Scaler {
        name: id.as_str().rsplit('/').next().unwrap_or_default().to_owned(),
        target_kind: spec.target_ref.kind.clone(),
        target: spec.target_ref.name.clone(),
        mode: match spec.mode {
            _ if is_paused(scaler.object) => "Paused",
            Mode::Enforce => "Enforce",
            Mode::Observe => "Observe",
        }
        .to_owned(),
        decision: decided.map(|decided| decision(decided, status)),
        conditions: conditions(&status.conditions),
        replicas: scaler.replicas.unwrap_or_default(),
        ready_replicas: scaler.ready,
        min_replicas: whole(spec.min_replicas),
        max_replicas: whole(spec.max_replicas),
        floor: whole(spec.pool.floor),
        ceiling: whole(spec.pool.ceiling),
        granted: whole(totals.granted),
        charged: own.map(|entry| entry.charged).fold(0, u32::saturating_add),
        open: whole(totals.open),
        in_use: usage.in_use,
        waiting: usage.waiting,
        places: places.map_or(0, |scaler| scaler.places),
        provided: places.map_or(0, |scaler| scaler.provided),
        pods,
    }
}

fn decision(decided: &decide::Decision, status: &PoolScalerStatus) -> v1::Decision {
    let constraints = decided
        .constraints
        .iter()
        .take(MAX_LISTED)
        .map(|limit| v1::Constraint { name: limit.name().to_owned(), message: cut(&limit.to_string(), MAX_MESSAGE) });
    v1::Decision {
        time: status.last_decision.as_ref().map(|last| timestamp(&last.time)),
        class: decided.class.name().to_owned(),
        reason: cut(&decided.why, MAX_REASON),
        otherwise: cut(&decided.otherwise, MAX_REASON),
        raw: Some(v1::Wanted {
            replicas: decided.raw_replicas,
            connections_per_replica: decided.raw_connections,
            connections_at_most: None,
        }),
        r#final: Some(v1::Wanted {
            replicas: decided.replicas,
            connections_per_replica: decided.connections,
            connections_at_most: decided.cut,
        }),
        constraints: constraints.collect(),
        enforced: decided.is_enforced,
    }
}

fn conditions(of: &[Condition]) -> Vec<v1::Condition> {
    let condition = |condition: &Condition| v1::Condition {
        r#type: condition.kind.clone(),
        status: match condition.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        }
        .to_owned(),
        reason: condition.reason.clone(),
        message: cut(&condition.message, MAX_MESSAGE),
        last_transition_time: Some(timestamp(&condition.last_transition_time)),
    };
    of.iter().take(MAX_LISTED).map(condition).collect()
}

/// As many as there is room for, in the order of their names.
fn some_of(mut pods: Vec<v1::Pod>, room: &mut usize) -> Vec<v1::Pod> {
    pods.sort_by(|one, other| (&one.name, &one.boot_id).cmp(&(&other.name, &other.boot_id)));
    pods.truncate(*room);
    *room -= pods.len();
    pods
}

/// The beginning of a text, of so many bytes at the most.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn duration(time: Duration) -> prost_types::Duration {
    time.try_into().unwrap_or_default()
}

fn timestamp(time: &Time) -> Timestamp {
    Timestamp { seconds: time.0.as_second(), nanos: time.0.subsec_nanosecond() }
}
