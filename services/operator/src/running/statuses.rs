//! What was decided, as the statuses of objects say it.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::workloads::{Database, Scaler};
use crate::controllers::conditions::{
    BUDGET_SATISFIED, DATABASE_BOTTLENECK, Finding, METRICS_FRESH, PAUSED, PODS_WITHIN_BOUNDS, PROBED, READY,
    SCALING_LIMITED, updated,
};
use crate::controllers::target::is_paused;
use crate::domain::control::Next;
use crate::domain::decide::{Baselines, Class, Constraint as Limit, Decision, Outcome, Probe};
use crate::domain::ledger::{Budget, Entry, Excess, ScalerId, Standing, View};
use crate::resources::{
    ConditionStatus, ConnectionBudgetStatus, Constraint, DecisionInputs, HolderCharge, LastDecision, OperationBaseline,
    PoolScaler, PoolScalerStatus, PoolTotals, ScalerShare, Wanted,
};

/// Holders that a status lists at the most.
const MAX_HOLDERS: usize = 200;
/// Bounds of texts in the schema.
const MAX_REASON: usize = 4096;
const MAX_MESSAGE: usize = 1024;

fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A scaler's status after a decision. `before` is what was last known of it.
pub(super) fn of_scaler(
    id: &ScalerId,
    scaler: &Scaler<'_>,
    next: &Next,
    baselines: Option<&Baselines>,
    now: &Time,
) -> PoolScalerStatus {
    let object = scaler.object;
    let before = object.status.clone().unwrap_or_default();
    let decision = next.decisions.iter().find(|decision| decision.scaler == id.as_str());
    let totals = totals(id, next);
    let generation = object.metadata.generation;
    let findings = findings(object, scaler, decision, &next.ledger, id);
    let last = decision.map(|decision| last_decision(decision, scaler, &totals, &next.ledger, &before, now));
    PoolScalerStatus {
        observed_generation: generation,
        replicas: scaler.replicas.map_or(0, whole),
        ready_replicas: whole(scaler.ready),
        desired_replicas: decision.map(|decision| whole(decision.replicas)),
        selector: Some(scaler.selector.clone()).filter(|selector| !selector.is_empty()),
        pool: Some(totals),
        last_decision: last.or(before.last_decision),
        baselines: baselines.and_then(|known| known.uses.get(id.as_str())).map_or(before.baselines, learned),
        conditions: updated(&before.conditions, &findings, generation, now),
    }
}

/// The status of a scaler whose budget isn't there.
pub(super) fn of_homeless(object: &PoolScaler, now: &Time) -> PoolScalerStatus {
    let before = object.status.clone().unwrap_or_default();
    let message = format!("there is no ConnectionBudget {}: nothing is granted or scaled", object.spec.budget_ref.name);
    let findings = [Finding::new(READY, false, "BudgetMissing", message)];
    let conditions = updated(&before.conditions, &findings, object.metadata.generation, now);
    PoolScalerStatus { observed_generation: object.metadata.generation, conditions, ..before }
}

fn learned(uses: &std::collections::BTreeMap<String, Duration>) -> Vec<OperationBaseline> {
    let baseline = |(operation, time): (&String, &Duration)| OperationBaseline {
        operation: operation.clone(),
        microseconds: micros(*time),
    };
    uses.iter().map(baseline).collect()
}

fn totals(id: &ScalerId, next: &Next) -> PoolTotals {
    let own = || next.ledger.entries.iter().filter(|entry| entry.scaler.as_ref() == Some(id));
    let seen = next.seen.get(id).copied().unwrap_or_default();
    PoolTotals {
        granted: whole(own().filter_map(has).sum()),
        open: whole(own().map(|entry| entry.open).sum()),
        in_use: whole(seen.in_use),
        waiting: whole(seen.waiting),
    }
}

/// What a pod may have open by a grant, or because its pool is its own.
pub(super) fn has(entry: &Entry) -> Option<u32> {
    match entry.standing {
        Standing::OwnPool { .. } => Some(entry.charged),
        _ => entry.granted.map(|grant| grant.connections),
    }
}

fn last_decision(
    decision: &Decision,
    scaler: &Scaler<'_>,
    totals: &PoolTotals,
    ledger: &View,
    before: &PoolScalerStatus,
    now: &Time,
) -> LastDecision {
    let pods = whole(scaler.ready);
    let wanted = |replicas: u32, connections: u32, at_most: Option<u32>| Wanted {
        replicas: whole(replicas),
        connections_per_replica: whole(connections),
        connections_at_most: at_most.map(whole),
    };
    let constraints = decision.constraints.iter().take(16);
    let utilization = (totals.granted > 0).then(|| totals.in_use.saturating_mul(100) / totals.granted);
    let class = decision.class.name().to_owned();
    let (raw, bounded) = (
        wanted(decision.raw_replicas, decision.raw_connections, None),
        wanted(decision.replicas, decision.connections, decision.cut),
    );
    // The time is that of the first of equal decisions.
    let same = before.last_decision.as_ref().filter(|last| last.class == class && last.bounded == bounded);
    LastDecision {
        time: same.map_or_else(|| now.clone(), |last| last.time.clone()),
        class,
        reason: cut(&decision.reason(), MAX_REASON),
        inputs: DecisionInputs {
            replicas: scaler.replicas.map(whole),
            ready_replicas: Some(pods),
            pool: Some(totals.clone()),
            utilization_percent: utilization,
            budget: Some(whole(ledger.budget)),
            headroom: Some(whole(ledger.headroom)),
            ..DecisionInputs::default()
        },
        raw,
        bounded,
        constraints: constraints.map(constraint).collect(),
    }
}

fn constraint(limit: &Limit) -> Constraint {
    Constraint { name: limit.name().to_owned(), message: cut(&limit.to_string(), MAX_MESSAGE) }
}

fn findings(
    object: &PoolScaler,
    scaler: &Scaler<'_>,
    decision: Option<&Decision>,
    ledger: &View,
    id: &ScalerId,
) -> Vec<Finding> {
    let ready = match (&scaler.refused, decision) {
        (Some(refused), _) => Finding::new(READY, false, refused.reason, refused.message.clone()),
        (None, None) => Finding::new(READY, false, "NothingKnown", "nothing is known of its pods yet"),
        (None, Some(_)) => Finding::new(READY, true, "AtWork", "it is at work"),
    };
    let mut findings = vec![ready];
    let paused = is_paused(object);
    let annotated = if paused { "the annotation selvage.dev/paused is set" } else { "nobody paused it" };
    findings.push(Finding::new(PAUSED, paused, if paused { "Annotated" } else { "NotPaused" }, annotated));
    if let Some(decision) = decision {
        let is_stale = decision.class == Class::MetricsStale;
        let reason = if is_stale { "ReportsMissing" } else { "ReportsFresh" };
        let unread = scaler.unread.as_ref().filter(|_| is_stale).map(|why| format!(" {why}."));
        let why = cut(&format!("{}{}", decision.why, unread.unwrap_or_default()), MAX_MESSAGE);
        findings.push(Finding::new(METRICS_FRESH, !is_stale, reason, why));
        let is_behind = decision.class.is_behind();
        let reason = if is_behind { decision.class.name() } else { "NoSign" };
        findings.push(Finding::new(DATABASE_BOTTLENECK, is_behind, reason, decision.why.clone()));
        let limits = decision.constraints.iter().filter(|limit| limit.is_lack());
        let limits: Vec<_> = limits.map(ToString::to_string).collect();
        let reason = if limits.is_empty() { "NothingLacks" } else { "Limited" };
        findings.push(Finding::new(SCALING_LIMITED, !limits.is_empty(), reason, limits.join("; ")));
    }
    let provided = ledger.scalers.get(id).is_none_or(|scaler| scaler.provided >= scaler.places);
    let (reason, message) = if provided {
        ("FloorsFit", "floors of all its pods are set aside".to_owned())
    } else {
        (
            "FloorsDontFit",
            format!("the budget of {} connections has no room for the floors of all its pods", ledger.budget),
        )
    };
    findings.push(Finding::new(BUDGET_SATISFIED, provided, reason, message));
    findings.push(within_bounds(ledger, id));
    findings
}

/// Whether pods say that they need more than the scaler allows a pod. More than its ceiling does no harm: it isn't granted. A pod
/// with a higher floor opens more than was set aside for it, where it finds no operator.
fn within_bounds(ledger: &View, id: &ScalerId) -> Finding {
    let own = ledger.entries.iter().filter(|entry| entry.scaler.as_ref() == Some(id));
    let beyond: Vec<_> = own.filter_map(|entry| Some((&entry.name, entry.excess?))).collect();
    let others = |count: usize| if count > 1 { format!(", and so do {} others", count - 1) } else { String::new() };
    let is_above = |(_, Excess { asked, believed }): &&(_, Excess)| asked.floor > believed.floor;
    let count = beyond.iter().filter(is_above).count();
    if let Some((pod, Excess { asked, believed })) = beyond.iter().find(is_above) {
        let message = format!(
            "the pod {pod} opens {} connections where it finds no operator{}, and pool.floor is {}: raise that to {}, or lower the \
             floors of its pools",
            asked.floor,
            others(count),
            believed.floor,
            asked.floor
        );
        return Finding::new(PODS_WITHIN_BOUNDS, false, "FloorTooHigh", message);
    }
    let message = match beyond.first() {
        None => "no pod asks for more than pool.floor and pool.ceiling".to_owned(),
        Some((pod, Excess { asked, believed })) => format!(
            "the pod {pod} could use {} connections{}, and is granted {} at the most: for more, raise pool.ceiling",
            asked.ceiling,
            others(beyond.len()),
            believed.ceiling
        ),
    };
    let reason = if beyond.is_empty() { "WithinBounds" } else { "CeilingBounds" };
    Finding::new(PODS_WITHIN_BOUNDS, true, reason, message)
}

/// A budget's status after a decision.
pub(super) fn of_budget(
    database: &Database<'_>,
    next: &Next,
    probe: Option<&Probe>,
    baselines: Option<&Baselines>,
    leader: &str,
    now: &Time,
) -> ConnectionBudgetStatus {
    let object = database.object;
    let before = object.status.clone().unwrap_or_default();
    let Budget { max_connections, superuser_reserved, reserved, reserve, others } = database.config.budget;
    let view = &next.ledger;
    let mut holders: Vec<_> = view.entries.iter().collect();
    holders.sort_by_key(|entry| std::cmp::Reverse(entry.charged));
    let omitted = holders.len().saturating_sub(MAX_HOLDERS);
    let generation = object.metadata.generation;
    let findings = budget_findings(database, view, &next.decisions, probe);
    ConnectionBudgetStatus {
        observed_generation: generation,
        max_connections: Some(whole(max_connections)),
        superuser_reserved: Some(whole(superuser_reserved)),
        reserved: Some(whole(reserved)),
        reserve: Some(whole(reserve)),
        others: Some(whole(others)),
        budget: Some(whole(view.budget)),
        set_aside: Some(whole(view.set_aside)),
        charged: Some(whole(view.charged)),
        headroom: Some(whole(view.headroom)),
        open: Some(whole(view.entries.iter().map(|entry| entry.open).sum())),
        leader: Some(leader.to_owned()),
        epoch: view.epoch.and_then(|epoch| i64::try_from(epoch).ok()),
        probe_baseline_microseconds: baselines
            .and_then(|known| known.statement)
            .map(micros)
            .or(before.probe_baseline_microseconds),
        scalers: database.scalers.keys().take(100).map(|id| share(id, view)).collect(),
        holders: holders.into_iter().take(MAX_HOLDERS).map(holder).collect(),
        holders_omitted: (omitted > 0).then(|| i32::try_from(omitted).unwrap_or(i32::MAX)),
        conditions: updated(&before.conditions, &findings, generation, now),
    }
}

fn share(id: &ScalerId, view: &View) -> ScalerShare {
    let own = || view.entries.iter().filter(|entry| entry.scaler.as_ref() == Some(id));
    let places = view.scalers.get(id);
    ScalerShare {
        name: id.as_str().to_owned(),
        pods: places.map_or(0, |scaler| whole(scaler.taken)),
        set_aside: places.map_or(0, |scaler| whole(scaler.places.saturating_sub(scaler.taken))),
        charged: whole(own().map(|entry| entry.charged).sum()),
    }
}

fn holder(entry: &Entry) -> HolderCharge {
    HolderCharge {
        pod: entry.name.as_str().to_owned(),
        scaler: entry.scaler.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
        boot_id: entry.boot.as_ref().map(|boot| boot.as_str().to_owned()),
        granted: entry.granted.map_or(0, |grant| whole(grant.connections)),
        charged: whole(entry.charged),
        reason: Some(cut(&entry.standing.to_string(), 256)),
    }
}

fn budget_findings(
    database: &Database<'_>,
    view: &View,
    decisions: &[Decision],
    probe: Option<&Probe>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ready = match view.held {
        Some(held) => Finding::new(READY, false, "Held", held),
        None if view.budget == 0 => Finding::new(
            READY,
            false,
            "NoBudget",
            "nothing says how many connections there are: maxConnections, or the database",
        ),
        None => Finding::new(READY, true, "AtWork", "it is at work"),
    };
    findings.push(ready);
    let probed = match (probe.map(|probe| &probe.outcome), &database.object.spec.database) {
        (_, None) => Finding {
            kind: PROBED,
            status: ConditionStatus::Unknown,
            reason: "NoAddress",
            message: "spec.database says no address: nobody can tell whether the database is the bottleneck, pods are granted \
                      their floors and no more, and what pods held that are gone stays charged"
                .to_owned(),
        },
        (None, Some(_)) => Finding {
            kind: PROBED,
            status: ConditionStatus::Unknown,
            reason: "NotYet",
            message: "it hasn't been looked at yet".to_owned(),
        },
        (Some(Outcome::Answered(_)), _) => Finding::new(PROBED, true, "Answered", "the database answers"),
        (Some(Outcome::NoSlot), _) => {
            Finding::new(PROBED, false, "NoSlot", "the database has no connection left for the probe")
        }
        (Some(Outcome::Failed(why)), _) => Finding::new(PROBED, false, "Failed", cut(why, MAX_MESSAGE)),
    };
    findings.push(probed);
    let fits = view.excess == 0;
    let message =
        format!("{} are charged and {} set aside of {} connections", view.charged, view.set_aside, view.budget);
    findings.push(Finding::new(BUDGET_SATISFIED, fits, if fits { "Fits" } else { "TooSmall" }, message));
    let behind = decisions.iter().find(|decision| decision.class.is_behind());
    let (reason, message) =
        behind.map_or(("NoSign", String::new()), |decision| (decision.class.name(), decision.why.clone()));
    findings.push(Finding::new(DATABASE_BOTTLENECK, behind.is_some(), reason, message));
    findings
}
