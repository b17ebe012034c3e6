//! What is done about it.

use std::collections::VecDeque;
use std::time::Duration;

use super::class::Class;
use super::decision::{Constraint, Decision};
use super::evidence::{Condition, Evidence};
use super::memory::{Cut, ScalerMemory, forget, remember};
use super::observed::LedgerView;
use super::reason;
use super::rules;
use super::spec::{Mode, ScalerSpec, ceil};
use crate::domain::moment::Moment;

/// Changes of replicas that are remembered; more in one period are some hand's doing, and the oldest is forgotten.
const MAX_CHANGES: usize = 64;
/// Needed replicas are remembered by this, so that a window of five minutes is thirty numbers.
const NEEDED_GRAIN: Duration = Duration::from_secs(10);

/// Everything that a decision about one scaler rests on.
pub(super) struct Case<'a> {
    pub(super) spec: &'a ScalerSpec,
    pub(super) class: Class,
    pub(super) evidence: &'a Evidence,
    pub(super) condition: &'a Condition<'a>,
    pub(super) ledger: &'a LedgerView,
    /// Replicas for which the budget has floors, beside those of all other scalers.
    pub(super) affordable: u32,
    /// Connections of one of its pods as long as nobody lacks any.
    pub(super) quiet: u32,
    /// Somebody on this database lacks connections that the ledger doesn't have.
    pub(super) is_budget_spent: bool,
    pub(super) now: Moment,
}

impl Case<'_> {
    pub(super) fn decide(&self, memory: &mut ScalerMemory) -> Decision {
        let mut constraints = Vec::new();
        let needed = self.needed();
        if self.evidence.heard() > 0 {
            remember(&mut memory.needed, needed, NEEDED_GRAIN, self.now);
        }
        forget(&mut memory.needed, self.spec.behaviour.calm_for, self.now);
        note_replicas(&mut memory.replicas, self.evidence.replicas, self.spec, self.now);
        let raw_replicas = self.replicas(needed, memory);
        let replicas = self.constrained(raw_replicas, memory, &mut constraints);
        let (raw_connections, connections) = self.connections(memory, &mut constraints);
        let is_enforced = self.spec.mode == Mode::Enforce && !self.spec.is_paused;
        if self.spec.is_paused {
            constraints.push(Constraint::Paused);
        } else if self.spec.mode == Mode::Observe {
            constraints.push(Constraint::Observed);
        }
        let cut = memory.cut.map(|cut| cut.connections);
        let (why, otherwise) = reason::of(self, replicas, connections, needed, cut);
        Decision {
            scaler: self.spec.name.clone(),
            class: self.class,
            replicas,
            connections,
            cut,
            raw_replicas,
            raw_connections,
            constraints,
            why,
            otherwise,
            is_enforced,
        }
    }

    /// Replicas at which the target's share of their connections, and of their CPU, would be in use.
    fn needed(&self) -> u32 {
        let Evidence { steady_demand, ready, cpu, .. } = self.evidence;
        let for_pool = ceil(self.spec.for_demand(*steady_demand) / f64::from(self.of_one_pod()));
        let for_cpu = cpu.map_or(0, |cpu| ceil(f64::from(*ready) * cpu / self.spec.target));
        for_pool.max(for_cpu)
    }

    /// Connections that one more pod brings: its ceiling, or less where the budget has no more, or where pools can't be resized.
    pub(super) fn of_one_pod(&self) -> u32 {
        let left = if self.spec.is_fixed { 0 } else { self.ledger.headroom() };
        let all = self.evidence.limit.saturating_add(left);
        all.checked_div(self.evidence.heard()).map_or(self.spec.ceiling, |each| each.min(self.spec.ceiling)).max(1)
    }

    fn replicas(&self, needed: u32, memory: &ScalerMemory) -> u32 {
        let present = self.evidence.replicas;
        let tolerance = |factor: f64| f64::from(present) * factor;
        match self.class {
            // While people wait there is nothing to tolerate.
            Class::ReplicaBound if self.evidence.has_waiters && needed > present => needed,
            Class::ReplicaBound if f64::from(needed) > tolerance(1.0 + rules::TOLERANCE) => needed,
            Class::Calm => {
                let window = memory.needed.iter().map(|(_, needed)| *needed).max().unwrap_or(present);
                if f64::from(window) < tolerance(1.0 - rules::TOLERANCE) { window } else { present }
            }
            _ => present,
        }
    }

    fn constrained(&self, raw: u32, memory: &ScalerMemory, constraints: &mut Vec<Constraint>) -> u32 {
        let (spec, present) = (self.spec, self.evidence.replicas);
        if spec.is_paused {
            return present;
        }
        if present == 0 {
            constraints.push(Constraint::SwitchedOff);
            return 0;
        }
        let within = |window| had(&memory.replicas, window, self.now);
        let mut replicas = raw;
        if spec.is_fixed && self.evidence.highest > spec.ceiling {
            // What the ledger set aside for each isn't what each would have.
            constraints.push(Constraint::PoolsExceed(self.evidence.highest, spec.ceiling));
            replicas = replicas.min(present);
        }
        if replicas > present {
            let base = within(spec.behaviour.up_every).min().unwrap_or(present).min(present);
            let by_factor = ceil(f64::from(base) * spec.behaviour.up_factor);
            let most = by_factor.max(base.saturating_add(spec.behaviour.up_pods)).max(present);
            if replicas > most {
                constraints.push(Constraint::Growth(most, spec.behaviour.up_every));
                replicas = most;
            }
            let affordable = self.affordable.max(present);
            if replicas > affordable {
                constraints.push(Constraint::Floors(affordable));
                replicas = affordable;
            }
        } else if replicas < present {
            let base = within(spec.behaviour.down_every).max().unwrap_or(present).max(present);
            let step = ((f64::from(base) * spec.behaviour.down_share) as u32).max(1);
            let least = base.saturating_sub(step).min(present);
            if replicas < least {
                constraints.push(Constraint::Shrinking(least, spec.behaviour.down_every));
                replicas = least;
            }
        } else if self.class == Class::MetricsStale || self.evidence.silent > 0 {
            constraints.push(Constraint::Silent(self.evidence.silent));
        }
        if replicas > spec.max_replicas {
            constraints.push(Constraint::MaxReplicas(spec.max_replicas));
        } else if replicas < spec.min_replicas {
            constraints.push(Constraint::MinReplicas(spec.min_replicas));
        }
        replicas.clamp(spec.min_replicas, spec.max_replicas.max(spec.min_replicas))
    }

    /// Connections per pod, before and after what constrains them.
    fn connections(&self, memory: &mut ScalerMemory, constraints: &mut Vec<Constraint>) -> (u32, u32) {
        let (spec, evidence) = (self.spec, self.evidence);
        if spec.is_fixed {
            return (spec.ceiling, spec.ceiling);
        }
        let heard = evidence.heard();
        let in_force = evidence.limit.checked_div(heard).map(|mean| spec.within(mean));
        let last = memory.connections.or(in_force).map_or(self.quiet, |last| spec.within(last));
        if spec.is_paused || heard == 0 {
            memory.connections = Some(last);
            return (last, last);
        }
        let per_pod = |demand: f64| ceil(spec.for_demand(demand) / f64::from(evidence.ready.max(1)));
        let mut raw = last;
        let mut wanted = last;
        match self.class {
            Class::PoolTooSmall | Class::ReplicaBound | Class::BudgetBound => {
                let in_force = in_force.unwrap_or(last);
                raw = per_pod(evidence.demand).max(in_force.saturating_add(1)).max(last);
                let step = ceil(f64::from(in_force) * rules::LIMIT_FACTOR).max(last);
                if raw > spec.ceiling {
                    constraints.push(Constraint::Ceiling(spec.ceiling));
                } else if raw > step {
                    constraints.push(Constraint::Step(step));
                }
                if self.class == Class::BudgetBound {
                    constraints.push(Constraint::Headroom(self.ledger.headroom()));
                }
                wanted = raw.min(step);
            }
            Class::Calm | Class::Hold if !evidence.is_pressed && evidence.silent == 0 => {
                let peak = memory.demand.iter().map(|(_, demand)| *demand).fold(0.0, f64::max);
                let need = spec.within(per_pod(peak));
                raw = match (self.is_budget_spent, self.class) {
                    (true, _) => need,
                    (false, Class::Calm) => self.quiet.max(need),
                    (false, _) => last.max(self.quiet).max(need),
                };
                // More than it needs, it takes from nobody.
                let spare = in_force.unwrap_or(last).saturating_add(self.ledger.headroom() / evidence.ready.max(1));
                wanted = raw.min(spare.max(need));
            }
            Class::DatabaseBound => self.cut(memory, last),
            _ => {}
        }
        let wanted = spec.within(wanted);
        memory.connections = Some(wanted);
        let Some(cut) = memory.cut else { return (raw, wanted) };
        constraints.push(Constraint::Cut(cut.connections));
        (raw, wanted.min(spec.within(cut.connections / evidence.ready.max(1))))
    }

    /// Cuts what all pods together may have, or takes a cut back by a step.
    fn cut(&self, memory: &mut ScalerMemory, uncut: u32) {
        let evidence = self.evidence;
        let floors = self.spec.floor.saturating_mul(evidence.ready);
        let whole = uncut.saturating_mul(evidence.ready);
        let (before, since) = match memory.cut {
            Some(cut) => (cut.connections.max(floors), self.now.since(cut.at)),
            None => (evidence.limit.min(whole).max(floors), Duration::MAX),
        };
        let failed = memory.failed.as_mut().filter(|failed| !failed.is_answered);
        let is_due = evidence.is_pressed && since >= rules::CUT_EVERY;
        let next = if is_due && (self.condition.is_bound() || failed.is_some()) {
            if let Some(failed) = failed {
                failed.is_answered = true;
            }
            let is_hard = self.condition.slowness.is_some_and(|slowness| slowness >= rules::HARD_SLOW);
            let factor = if is_hard { rules::CUT_HARD } else { rules::CUT };
            ceil(f64::from(before) * factor).max(floors)
        } else if self.condition.is_slow() || self.condition.is_crowded || memory.cut.is_none() {
            return;
        } else if self.condition.is_well() && !evidence.is_slow() && memory.failed.is_none() {
            if since < rules::RECOVER_WELL_EVERY {
                return;
            }
            before.saturating_add(ceil(f64::from(before) * rules::RECOVER_WELL))
        } else if since < rules::RECOVER_EVERY {
            return;
        } else {
            before.saturating_add(ceil(f64::from(before) * rules::RECOVER).max(1))
        };
        let is_over = next >= whole && next > before || evidence.calm_for >= rules::STABLE_WINDOW;
        memory.cut = (!is_over).then_some(Cut { connections: next, at: self.now });
    }
}

/// Remembers how many replicas there were, as far back as a rate needs it.
fn note_replicas(kept: &mut VecDeque<(Moment, u32)>, replicas: u32, spec: &ScalerSpec, now: Moment) {
    if kept.back().is_none_or(|(_, last)| *last != replicas) {
        kept.push_back((now, replicas));
    }
    let window = spec.behaviour.up_every.max(spec.behaviour.down_every);
    // What began before the window was still so when it began.
    while kept.len() > MAX_CHANGES || kept.get(1).is_some_and(|(next, _)| now.since(*next) > window) {
        kept.pop_front();
    }
}

/// How many replicas there were during `window`.
fn had(kept: &VecDeque<(Moment, u32)>, window: Duration, now: Moment) -> impl Iterator<Item = u32> {
    let before = kept.iter().rposition(|(at, _)| now.since(*at) > window).unwrap_or_default();
    kept.iter().skip(before).map(|(_, replicas)| *replicas)
}
