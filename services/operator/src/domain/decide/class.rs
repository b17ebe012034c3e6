//! What is the matter, first match.

use std::fmt;

use super::evidence::{Condition, Evidence};
use super::memory::ScalerMemory;
use super::observed::Outcome;
use super::rules;
use super::spec::ScalerSpec;

/// What is the matter with a scaler. The first that matches, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The probe was refused because the server has no slot left.
    NoSlotLeft,
    /// The probe failed otherwise.
    DatabaseGone,
    /// Too few pods are heard.
    MetricsStale,
    /// Active backends mostly wait for locks.
    LockPileUp,
    /// This scaler's uses are slow, and nobody else's.
    SlowQuery,
    /// This scaler doesn't give connections back, and nobody else does that.
    Leak,
    /// More connections get no more done.
    DatabaseBound,
    /// People wait, every connection of the budget is given out, and no more pods may come for which floors are set aside.
    BudgetBound,
    /// People wait, and the pods can't take more connections, or use more.
    ReplicaBound,
    /// People wait, and pods and ledger have room for more connections.
    PoolTooSmall,
    /// Nobody has waited for long.
    Calm,
    /// None of these.
    Hold,
}

impl Class {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::NoSlotLeft,
        Self::DatabaseGone,
        Self::MetricsStale,
        Self::LockPileUp,
        Self::SlowQuery,
        Self::Leak,
        Self::DatabaseBound,
        Self::BudgetBound,
        Self::ReplicaBound,
        Self::PoolTooSmall,
        Self::Calm,
        Self::Hold,
    ];

    /// Its name, as conditions and metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSlotLeft => "NoSlotLeft",
            Self::DatabaseGone => "DatabaseGone",
            Self::MetricsStale => "MetricsStale",
            Self::LockPileUp => "LockPileUp",
            Self::SlowQuery => "SlowQuery",
            Self::Leak => "Leak",
            Self::DatabaseBound => "DatabaseBound",
            Self::BudgetBound => "BudgetBound",
            Self::ReplicaBound => "ReplicaBound",
            Self::PoolTooSmall => "PoolTooSmall",
            Self::Calm => "Calm",
            Self::Hold => "Hold",
        }
    }

    /// Whether the lack is behind the connections, so that more replicas or connections would do harm.
    pub fn is_behind(self) -> bool {
        self <= Self::DatabaseBound && self != Self::MetricsStale
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is the matter with the scaler at `index` of `all`, where the budget has so many connections left, and floors for so
/// many replicas of it.
pub(super) fn classify(
    spec: &ScalerSpec,
    (index, all): (usize, &[Evidence]),
    condition: &Condition<'_>,
    (headroom, affordable): (u32, u32),
    memory: &ScalerMemory,
) -> Class {
    let scaler = &all[index];
    let mut others = all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
    match condition.outcome {
        Some(Outcome::NoSlot) => return Class::NoSlotLeft,
        Some(Outcome::Failed(_)) => return Class::DatabaseGone,
        Some(Outcome::Answered(_)) | None => {}
    }
    if scaler.silent > 0 && f64::from(scaler.silent) >= f64::from(scaler.ready) * rules::STALE_SHARE {
        return Class::MetricsStale;
    }
    if condition.is_locked() {
        return Class::LockPileUp;
    }
    // While a cut is taken back, the database was the cause a moment ago.
    let is_alone = memory.cut.is_none() && condition.has_room(scaler.pressed_since);
    if scaler.is_pressed && scaler.is_slow() && is_alone {
        let is_known = scaler.normal > 0 || others.clone().any(|other| other.slowness.is_some());
        if is_known && !others.clone().any(Evidence::is_slow) {
            return Class::SlowQuery;
        }
    }
    if scaler.has_leak() && !others.any(Evidence::has_leak) {
        return Class::Leak;
    }
    if memory.cut.is_some() || condition.is_bound() || (scaler.failed.is_some() && scaler.has_waiters) {
        return Class::DatabaseBound;
    }
    let is_lasting = scaler.pressed_reports >= rules::PRESSED_REPORTS;
    let is_well = !scaler.is_slow() && condition.has_room(scaler.pressed_since);
    // Floors are set aside for further pods: each of them comes with connections that nobody else may have.
    let may_grow = is_well && scaler.replicas < affordable.min(spec.max_replicas);
    let is_spent = is_spent(spec, scaler, headroom);
    if is_spent && !may_grow {
        return Class::BudgetBound;
    }
    if is_lasting && is_well {
        let is_beyond = spec.for_demand(scaler.steady_demand) > f64::from(scaler.ready) * f64::from(spec.ceiling);
        // A raised limit is given the time to show what it gains, before replicas are added to it; and a server that was very
        // slow a moment ago the time to show whether it is well: a pod is far harder to take back than a connection.
        let may_show = scaler.is_on_trial || condition.is_lately_hard_slow;
        if !may_show && (scaler.is_at_ceiling || scaler.is_cpu_bound() || is_beyond || is_spent) {
            return Class::ReplicaBound;
        }
        if !scaler.is_at_ceiling && headroom > 0 {
            return Class::PoolTooSmall;
        }
    }
    if !scaler.is_pressed && scaler.calm_for >= spec.behaviour.calm_for { Class::Calm } else { Class::Hold }
}

/// People wait for connections of which the ledger can't give one more to each pod. A pool that can't be resized has the whole of
/// its ceiling already.
pub(super) fn is_spent(spec: &ScalerSpec, scaler: &Evidence, headroom: u32) -> bool {
    !spec.is_fixed
        && scaler.pressed_reports >= rules::PRESSED_REPORTS
        && scaler.has_waiters
        && headroom < scaler.ready.max(1)
}

impl Condition<'_> {
    /// People wait, and the database itself shows for long enough that it is the bottleneck.
    pub(super) fn is_bound(&self) -> bool {
        self.waiting_for >= rules::BOUND_FOR && self.slow_for.max(self.crowded_for) >= rules::BOUND_FOR
    }
}
