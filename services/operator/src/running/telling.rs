//! What was decided, for metrics and traces.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::desk::BudgetName;
use super::hearing;
use super::statuses::has;
use super::workloads::{Database, budget_name, scaler_id};
use super::writing::Batch;
use crate::domain::control::Next;
use crate::domain::decide::Constraint;
use crate::domain::ledger::{self, Entry, ScalerId, Standing};
use crate::probe;
use crate::resources::{Condition, ConditionStatus};
use crate::telemetry::acts::Acts;
use crate::telemetry::board::{AnswerShown, Board, BudgetShown, Conditions, ScalerShown, SessionsShown, Shown};
use crate::telemetry::counts;

/// What the last looks at a database said.
#[derive(Default)]
struct Looked {
    outcome: &'static str,
    /// The last one, if it was answered.
    answer: Option<AnswerShown>,
    /// When one was last answered.
    answered: Option<Instant>,
    /// The sessions that the last one showed that was answered.
    sessions: Option<ledger::Look>,
}

/// Tells what was decided.
pub(super) struct Telling {
    board: Board,
    acts: Acts,
    looks: BTreeMap<BudgetName, Looked>,
}

impl Telling {
    pub(super) fn new(board: Board) -> Self {
        Self { board, acts: Acts::default(), looks: BTreeMap::new() }
    }

    /// The decisions that act.
    pub(super) fn acts(&self) -> &Acts {
        &self.acts
    }

    /// A database was looked at.
    pub(super) fn looked(&mut self, budget: &BudgetName, look: &probe::Look, strangers: &BTreeSet<String>) {
        let looked = self.looks.entry(budget.clone()).or_default();
        match &look.outcome {
            probe::Outcome::Answered(observed) => {
                let (_, sessions) = hearing::looked(&look.outcome, strangers, Default::default(), Default::default());
                let answer = AnswerShown {
                    statement: observed.statement,
                    slowness: None,
                    free: observed.sees_others.then(|| observed.free()),
                    doing: observed.sees_others.then(|| observed.doing.clone()),
                };
                let (outcome, answered) = ("Answered", Some(look.began));
                *looked = Looked { outcome, answer: Some(answer), answered, sessions };
            }
            probe::Outcome::NoSlot(_) => (looked.outcome, looked.answer) = ("NoSlot", None),
            probe::Outcome::Failed(_) => (looked.outcome, looked.answer) = ("Failed", None),
        }
    }

    /// What was decided for a database: counted, and traced where it changes something.
    pub(super) fn decided(&mut self, database: &Database<'_>, next: &Next, now: Instant) {
        for (id, scaler) in &database.scalers {
            let Some(decision) = next.decisions.iter().find(|decision| decision.scaler == id.as_str()) else {
                continue;
            };
            counts::decided(decision.class);
            let asked = next.replicas.get(id).copied().filter(|_| scaler.refused.is_none());
            self.acts.decided(id, decision, scaler.replicas, asked, now);
        }
    }

    /// All that was decided, shown from now on. `learned` has the times that the probes' statement usually takes.
    pub(super) fn show(
        &mut self,
        databases: &BTreeMap<BudgetName, Database<'_>>,
        nexts: &BTreeMap<BudgetName, Next>,
        learned: &BTreeMap<BudgetName, Duration>,
        batch: &Batch,
        streams: usize,
    ) {
        self.looks.retain(|name, _| databases.get(name).is_some_and(|known| known.object.spec.database.is_some()));
        self.acts.keep(|id| databases.values().any(|database| database.scalers.contains_key(id)));
        let mut shown = Shown { streams: u32::try_from(streams).unwrap_or(u32::MAX), ..Shown::default() };
        for (object, status) in &batch.scalers {
            let (id, conditions) = (scaler_id(object), known(&status.conditions));
            let mut scaler = ScalerShown { name: id.to_string(), conditions, ..ScalerShown::default() };
            let home = databases.iter().find_map(|(name, database)| Some((name, database.scalers.get(&id)?)));
            if let Some((name, there)) = home
                && let Some(next) = nexts.get(name)
            {
                (scaler.present, scaler.ready) = (there.replicas, there.ready);
                of_scaler(&mut scaler, &id, next, self.looks.get(name));
            }
            shown.scalers.push(scaler);
        }
        for (object, status) in &batch.budgets {
            let name = budget_name(object);
            if let Some(next) = nexts.get(&name) {
                let conditions = known(&status.conditions);
                shown.budgets.push(of_budget(&name, next, self.looks.get(&name), learned.get(&name), conditions));
            }
        }
        // Of too many the same ones are shown each time.
        shown.scalers.sort_by(|one, other| one.name.cmp(&other.name));
        self.board.show(Some(shown));
    }

    /// This replica doesn't lead.
    pub(super) fn stop(&mut self) {
        self.board.show(None);
        self.acts.forget();
        self.looks.clear();
    }
}

/// The conditions of which something is known.
fn known(conditions: &[Condition]) -> Conditions {
    let is_known = |condition: &&Condition| condition.status != ConditionStatus::Unknown;
    let known = conditions.iter().filter(is_known);
    known.map(|condition| (condition.kind.clone(), condition.status == ConditionStatus::True)).collect()
}

fn of_scaler(shown: &mut ScalerShown, id: &ScalerId, next: &Next, looked: Option<&Looked>) {
    let own = || next.ledger.entries.iter().filter(|entry| entry.scaler.as_ref() == Some(id));
    let sum = |of: fn(&Entry) -> u32| own().map(of).fold(0, u32::saturating_add);
    shown.granted = sum(|entry| has(entry).unwrap_or_default());
    shown.charged = sum(|entry| entry.charged);
    shown.waiting = next.seen.get(id).map_or(0, |seen| seen.waiting);
    shown.open = looked.and_then(|looked| looked.sessions.as_ref()).map(|look| open(look, own()));
    if let Some(decision) = next.decisions.iter().find(|decision| decision.scaler == id.as_str()) {
        (shown.class, shown.desired, shown.wanted) =
            (Some(decision.class), Some(decision.replicas), Some(decision.connections));
        let lacks = decision.constraints.iter().filter(|limit| limit.is_lack());
        shown.limited = lacks.map(Constraint::name).collect();
    }
}

fn of_budget(
    name: &BudgetName,
    next: &Next,
    looked: Option<&Looked>,
    usual: Option<&Duration>,
    conditions: Conditions,
) -> BudgetShown {
    let view = &next.ledger;
    let slowness = |answer: &AnswerShown| {
        let usual = usual?.as_secs_f64();
        (usual > 0.0).then(|| answer.statement.as_secs_f64() / usual)
    };
    BudgetShown {
        name: format!("{}/{}", name.0, name.1),
        budget: view.budget,
        charged: view.charged,
        set_aside: view.set_aside,
        headroom: view.headroom,
        excess: view.excess,
        outcome: looked.map(|looked| looked.outcome).filter(|outcome| !outcome.is_empty()),
        answered: looked.and_then(|looked| looked.answered),
        answer: looked
            .and_then(|looked| looked.answer.clone())
            .map(|answer| AnswerShown { slowness: slowness(&answer), ..answer }),
        sessions: looked.and_then(|looked| looked.sessions.as_ref()).map(|look| of_whom(look, &view.entries)),
        conditions,
    }
}

/// Sessions of these pods, by a look.
fn open<'a>(look: &ledger::Look, pods: impl Iterator<Item = &'a Entry> + Clone) -> u32 {
    let boots: BTreeSet<_> = pods.clone().filter_map(|entry| entry.boot.as_ref()).collect();
    let of_runs = look.sessions.iter().filter(|sessions| boots.contains(&sessions.boot)).map(|sessions| sessions.count);
    total(of_runs.chain(pods.map(of_own_pool)))
}

/// Sessions that were told to be a pod's by its address or its name: they name no run.
fn of_own_pool(entry: &Entry) -> u32 {
    if let Standing::OwnPool { sessions, .. } = entry.standing { sessions } else { 0 }
}

/// Whose the sessions of a look are.
fn of_whom(look: &ledger::Look, entries: &[Entry]) -> SessionsShown {
    let known = entries.iter().filter(|entry| !matches!(entry.standing, Standing::Stray { .. }));
    let own = total(known.clone().map(of_own_pool));
    let pods = open(look, known);
    let strays = (total(look.sessions.iter().map(|sessions| sessions.count)) + own).saturating_sub(pods);
    let unnamed = total(look.unnamed.iter().map(|unnamed| unnamed.count));
    SessionsShown { pods, strays, others: look.others.saturating_add(unnamed.saturating_sub(own)) }
}

fn total(counts: impl Iterator<Item = u32>) -> u32 {
    counts.fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests {
    use crate::domain::ledger::{Look, Sessions, Unnamed};
    use crate::domain::moment::Moment;

    use super::*;

    fn entry(boot: Option<&str>, standing: Standing) -> Entry {
        Entry {
            pod: None,
            name: "cart-1".into(),
            boot: boot.map(Into::into),
            scaler: None,
            granted: None,
            accepted: None,
            open: 0,
            share: 0,
            charged: 9,
            excess: None,
            standing,
        }
    }

    #[test]
    fn each_session_is_somebodys() {
        let sessions = |boot: &str, count| Sessions { boot: boot.into(), pod: "cart-1".into(), count };
        let unnamed = |application: &str, count| Unnamed { address: None, application: application.into(), count };
        let look = Look {
            started_at: Moment::default(),
            sessions: vec![sessions("aaaa0001", 3), sessions("bbbb0002", 2), sessions("cccc0003", 1)],
            unnamed: vec![unnamed("java-1", 5), unnamed("psql", 4)],
            others: 7,
        };
        let run = entry(Some("aaaa0001"), Standing::Satisfied);
        let own = entry(None, Standing::OwnPool { most: 9, sessions: 5 });
        let stray = entry(Some("bbbb0002"), Standing::Stray { sessions: 2 });
        assert_eq!(open(&look, [&run, &own].into_iter()), 8);
        // The third run came after the ledger had looked.
        assert_eq!(of_whom(&look, &[run, own, stray]), SessionsShown { pods: 8, strays: 3, others: 11 });
    }
}
