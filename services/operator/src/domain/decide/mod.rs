//! What is the matter with a scaler, and what would help.
//!
//! [`decide`] is a pure function of what is asked for ([`Spec`]), what was observed ([`Observations`]), what the ledger has
//! ([`LedgerView`]), and what the decision before has left ([`Memory`]). It says, of each scaler, which [`Class`] of trouble
//! it is in, how many replicas and connections per pod it should have, and why.
//!
//! It classifies first, and acts then. The first class that matches counts:
//!
//! | class | evidence | what is done |
//! |---|---|---|
//! | `NoSlotLeft` | the probe is refused with SQLSTATE 53300 | hold; who has more than its charge is named |
//! | `DatabaseGone` | the probe fails otherwise | hold |
//! | `MetricsStale` | half of the ready pods or more are silent for three reports | hold |
//! | `LockPileUp` | half of the active backends or more wait for locks | hold; the worst blocker is named |
//! | `SlowQuery` | this scaler's uses are slow, and nobody else's, nor is the probe's statement | hold |
//! | `Leak` | a lease is held for very long here, and nowhere else | hold |
//! | `DatabaseBound` | people wait, and the probe's statement is slow, or more backends are busy than the database has room for while uses are slow, or a raised limit got nothing more done | never scale out; cut, and take the cut back |
//! | `BudgetBound` | people wait, and the ledger has nothing left | more connections are asked of the ledger, which moves them; scalers that nobody presses give back what they don't need |
//! | `ReplicaBound` | people wait, neither uses nor a probe since then are slow, nor was one very slow a moment ago, and pods are at their ceiling or short of CPU, or all ceilings together won't do | replicas and limits grow |
//! | `PoolTooSmall` | the same, with room in pod and ledger | the limit grows |
//! | `Calm` | nobody has waited for the stabilisation window | it may shrink |
//! | `Hold` | none of these | hold, and the reason says which of them it isn't yet |
//!
//! “People wait” also means that they were refused, or that nearly all connections are in use. Uses are slow by comparison with
//! their baseline, which is learned for each operation while nobody on the database lacks anything. Each number is in [`rules`].
//!
//! What isn't known never makes anything smaller. A report whose limit is 0 comes from a source that lost its values, and counts
//! as none. Counters that went back are those of a new process, and say nothing about the time before.

mod act;
mod class;
mod decision;
mod evidence;
mod memory;
mod observed;
mod reason;
pub mod rules;
mod spec;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use class::Class;
pub use decision::{Constraint, Decision};
pub use memory::{Baselines, Memory};
pub use observed::{
    Blocker, Database, Exceeding, Lease, LedgerView, Observations, Outcome, PodSeen, PoolPart, Probe, Report,
    ScalerSeen, Uses,
};
pub use spec::{Behaviour, Mode, ScalerSpec, Spec};

use act::Case;
use class::{classify, is_spent};
use evidence::{Condition, Evidence};

use crate::domain::moment::Moment;

/// Decides for each scaler of a database whose workload was seen, in the order of the spec. It is to be called each second, and
/// after each report at an edge of saturation; `now` never goes back. The memory that comes back is for the next call.
pub fn decide(
    spec: &Spec,
    seen: &Observations,
    ledger: &LedgerView,
    mut memory: Memory,
    now: Moment,
) -> (Vec<Decision>, Memory) {
    memory.scalers.retain(|name, _| spec.scalers.iter().any(|scaler| scaler.name == *name));
    let by_name: BTreeMap<_, _> = seen.scalers.iter().map(|scaler| (scaler.name.as_str(), scaler)).collect();
    let (specs, evidence): (Vec<_>, Vec<_>) = spec
        .scalers
        .iter()
        .filter_map(|scaler| {
            let seen = by_name.get(scaler.name.as_str())?;
            let remembered = memory.scalers.entry(scaler.name.clone()).or_default();
            Some((scaler, Evidence::of(scaler, seen, remembered, now)))
        })
        .unzip();
    let condition = Condition::of(spec, seen.probe.as_ref(), &evidence, &mut memory.database, now);
    // Floors that are set aside as things stand, and as they grow in this decision.
    let mut set_aside: u64 = specs.iter().zip(&evidence).map(|(spec, seen)| spec.set_aside(seen.replicas)).sum();
    let headroom = ledger.headroom();
    let classes: Vec<_> = specs
        .iter()
        .enumerate()
        .map(|(index, scaler)| {
            let affordable = affordable(scaler, ledger, set_aside - scaler.set_aside(evidence[index].replicas));
            let remembered = memory.scalers.entry(scaler.name.clone()).or_default();
            classify(scaler, (index, &evidence), &condition, (headroom, affordable), remembered)
        })
        .collect();
    let is_budget_spent = classes.iter().zip(specs.iter().zip(&evidence)).any(|(class, (spec, scaler))| {
        *class == Class::BudgetBound || *class == Class::ReplicaBound && is_spent(spec, scaler, headroom)
    });
    let pods: u32 = evidence.iter().map(|scaler| scaler.ready).sum();
    let share = spec.concurrency.map(|most| most / pods.max(1));
    let mut decisions = Vec::new();
    for ((scaler, evidence), class) in specs.iter().zip(&evidence).zip(classes) {
        let others = set_aside - scaler.set_aside(evidence.replicas);
        let affordable = affordable(scaler, ledger, others);
        let condition = &condition;
        let quiet = scaler.quiet(share);
        let case = Case { spec: scaler, class, evidence, condition, ledger, affordable, quiet, is_budget_spent, now };
        let decision = case.decide(memory.scalers.entry(scaler.name.clone()).or_default());
        set_aside = others + scaler.set_aside(decision.replicas);
        decisions.push(decision);
    }
    learn(&mut memory, &specs, &evidence, &condition, seen);
    (decisions, memory)
}

/// The most replicas whose floors fit into the budget beside those of others, and are set aside.
fn affordable(scaler: &ScalerSpec, ledger: &LedgerView, others: u64) -> u32 {
    let left = u64::from(ledger.budget).saturating_sub(others);
    let fitting = left / u64::from(scaler.floor.max(1));
    let provided = ledger.provided.get(&scaler.name).map_or(fitting, |pods| fitting.min(u64::from(*pods)));
    // A roll-out may have a generation that ends beside them, and its surge.
    u32::try_from(provided.saturating_sub(u64::from(scaler.surge)) / 2).unwrap_or(u32::MAX)
}

/// Learns how long things take, while nobody on the database lacks anything: it would learn an overload otherwise.
fn learn(
    memory: &mut Memory,
    specs: &[&ScalerSpec],
    evidence: &[Evidence],
    condition: &Condition<'_>,
    seen: &Observations,
) {
    let is_cut = memory.scalers.values().any(|scaler| scaler.cut.is_some());
    if is_cut || condition.is_slow() || condition.is_locked() || evidence.iter().any(|scaler| scaler.is_pressed) {
        return;
    }
    for (scaler, evidence) in specs.iter().zip(evidence) {
        let baselines = &mut memory.scalers.entry(scaler.name.clone()).or_default().baselines;
        for (operation, ended) in &evidence.ended {
            if baselines.contains_key(operation) || baselines.len() < rules::MAX_OPERATIONS as usize {
                let known = baselines.entry(operation.clone()).or_default();
                known.learn(ended.count, ended.seconds, evidence.ended_within);
            }
        }
    }
    if let (Some(answer), Some(probe)) = (condition.answer, &seen.probe)
        && memory.database.learned_at.is_none_or(|at| at < probe.at)
    {
        let since = memory.database.learned_at.map_or(rules::REPORT_EVERY, |at| probe.at.since(at));
        memory.database.statement.learn(1.0, answer.statement.as_secs_f64(), since);
        memory.database.learned_at = Some(probe.at);
    }
}
