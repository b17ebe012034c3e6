//! Decisions in words: why, and what would change them.

use std::time::Duration;

use super::act::Case;
use super::class::{Class, is_spent};
use super::observed::Outcome;
use super::rules;

/// Why, and what would change it: a sentence each.
pub(super) fn of(case: &Case<'_>, replicas: u32, connections: u32, needed: u32, cut: Option<u32>) -> (String, String) {
    let scaler = case.evidence;
    let present = scaler.replicas;
    match case.class {
        Class::NoSlotLeft => (
            format!(
                "The database refused the probe because it has no slot left (SQLSTATE 53300): {}.",
                exceeding(case)
            ),
            format!(
                "Nothing is changed until a probe gets in again; the ledger charges {} of {}.",
                case.ledger.charged, case.ledger.budget
            ),
        ),
        Class::DatabaseGone => {
            let why = match case.condition.outcome {
                Some(Outcome::Failed(why)) => why.as_str(),
                _ => "it failed",
            };
            (
                format!("The database doesn't answer the probe: {why}."),
                "Nothing is changed until it answers again.".into(),
            )
        }
        Class::MetricsStale => (
            format!(
                "{} of {} ready pods have sent no usable report for {} periods of {}.",
                scaler.silent,
                scaler.ready,
                rules::MISSING_REPORTS,
                seconds(case.spec.report_every)
            ),
            format!("Nothing is changed until more than {} of them are heard.", percent(1.0 - rules::STALE_SHARE)),
        ),
        Class::LockPileUp => (
            locks(case),
            format!(
                "It is taken up again when fewer than {} of the active backends wait for locks.",
                percent(rules::LOCK_SHARE)
            ),
        ),
        Class::SlowQuery => {
            let (name, now, baseline) = scaler.slowest.clone().unwrap_or_default();
            (
                format!(
                    "Uses take {} × their baseline here, and nowhere else; the slowest is {name}, with {} \
                     instead of {}.",
                    factor(scaler.slowness),
                    millis(now),
                    millis(baseline)
                ),
                format!(
                    "It keeps its {present} replicas and {connections} connections a pod, so that it can't \
                     crowd out others, until uses take less \
                     than {} × their baseline.",
                    rules::SLOW
                ),
            )
        }
        Class::Leak => {
            let lease = scaler.longest_lease.clone();
            let (operation, held) =
                lease.map_or((String::new(), Duration::ZERO), |lease| (lease.operation, lease.held));
            (
                format!("{operation} has held a connection for {}. {}.", seconds(held), pressure(case)),
                format!(
                    "It keeps its {present} replicas and {connections} connections a pod, because more of them \
                     would leak too, until no lease is held \
                     for {} or longer.",
                    seconds(rules::LONG_LEASE)
                ),
            )
        }
        Class::DatabaseBound => (bottleneck(case, cut), recovery(case)),
        Class::BudgetBound => (
            format!(
                "{}, and {} of the budget's {} connections are left: {} are charged, {} set aside for the \
                 floors of pods \
                 that may come.",
                pressure(case),
                case.ledger.headroom(),
                case.ledger.budget,
                case.ledger.charged,
                case.ledger.set_aside
            ),
            format!(
                "{connections} connections a pod are asked of the ledger, which moves them from those who need \
                 them less; beyond that the \
                 pools refuse the sheddable first, until others need less or the budget is raised. No more \
                 replicas have floors set aside, so that they would share the same connections."
            ),
        ),
        Class::ReplicaBound => (
            format!(
                "{}, and {}: {:.0} connections would be in use, for which {needed} pods of {} are needed at a \
                 target of {}.",
                pressure(case),
                full(case),
                scaler.steady_demand,
                case.of_one_pod(),
                percent(case.spec.target)
            ),
            if replicas > present {
                format!(
                    "It grows from {present} to {replicas} replicas; it wouldn't if uses took {} × their \
                     baseline (now {}).",
                    rules::SLOW,
                    factor(scaler.slowness)
                )
            } else {
                format!(
                    "It stays at {present} replicas, of which {} are ready, because no more are needed or allowed.",
                    scaler.ready
                )
            },
        ),
        Class::PoolTooSmall => (
            format!(
                "{}, uses take {} × their baseline, and the pods' limits, {} in all, are below their \
                 ceilings of {} each.",
                pressure(case),
                factor(scaler.slowness),
                scaler.limit,
                case.spec.ceiling
            ),
            format!(
                "The limit of each goes to {connections}; at {} all pods are at their ceiling, and replicas \
                 would grow.",
                case.spec.ceiling
            ),
        ),
        Class::Calm => (
            format!(
                "Nobody has waited for {}, and {:.1} of {} connections are in use.",
                seconds(scaler.calm_for),
                scaler.steady_demand,
                scaler.limit
            ),
            if replicas < present {
                format!("It shrinks from {present} to {replicas} replicas until one waiter comes.")
            } else {
                format!(
                    "It stays at {present} replicas: no fewer were needed at all times of the last {}.",
                    seconds(case.spec.behaviour.calm_for)
                )
            },
        ),
        Class::Hold => hold(case),
    }
}

fn hold(case: &Case<'_>) -> (String, String) {
    let scaler = case.evidence;
    let present = scaler.replicas;
    if present == 0 {
        return ("It was set to no replicas.".into(), "It is taken up again when it is given one.".into());
    }
    if scaler.heard() == 0 {
        return (format!("None of its {present} pods is ready."), "It is taken up again when one is.".into());
    }
    if !scaler.is_pressed {
        return (
            format!(
                "Nobody has waited for {}, and {:.1} of {} connections are in use.",
                seconds(scaler.calm_for),
                scaler.steady_demand,
                scaler.limit
            ),
            format!(
                "It may shrink after {} of calm, and grows after {} reports of waiters.",
                seconds(case.spec.behaviour.calm_for),
                rules::PRESSED_REPORTS
            ),
        );
    }
    let what = pressure(case);
    if scaler.pressed_reports < rules::PRESSED_REPORTS {
        return (format!("{what}, for the first time."), "The next report decides whether that lasts.".into());
    }
    if scaler.is_slow() {
        let otherwise = format!(
            "More connections or replicas come when uses take less than {} × their baseline; the database is \
             the bottleneck if this lasts {}.",
            rules::SLOW,
            seconds(rules::BOUND_FOR)
        );
        return (format!("{what}, while uses take {} × their baseline.", factor(scaler.slowness)), otherwise);
    }
    if !case.condition.has_room(scaler.pressed_since) {
        let now = case
            .condition
            .slowness
            .map_or_else(|| "isn't known yet".into(), |slowness| format!("takes {slowness:.1} × its baseline"));
        let otherwise = format!(
            "More connections or replicas come when a probe since then takes less than {} × its baseline; the \
             database is the bottleneck if it doesn't for {}.",
            rules::SLOW,
            seconds(rules::BOUND_FOR)
        );
        return (format!("{what}, and the last probe's statement {now}."), otherwise);
    }
    if case.condition.is_lately_hard_slow {
        return (
            format!("{what}, and a moment ago the probe's statement took {} × its baseline or more.", rules::HARD_SLOW),
            format!(
                "Replicas grow when it hasn't for {}; the database is the bottleneck if that lasts {}.",
                seconds(rules::BREAK),
                seconds(rules::BOUND_FOR)
            ),
        );
    }
    if scaler.is_on_trial {
        return (
            format!("{what}, and the limit has just been raised to {} in all.", scaler.limit),
            format!(
                "Replicas grow as soon as that gets {} more done; after {} without, they don't.",
                percent(rules::GAINED),
                seconds(rules::BOUND_FOR)
            ),
        );
    }
    (
        format!("{what}, which more connections wouldn't change."),
        "It changes when somebody waits, or connections of the budget become free.".into(),
    )
}

/// Who waits, at a sentence's beginning.
fn pressure(case: &Case<'_>) -> String {
    let scaler = case.evidence;
    let mut words = match scaler.waiting {
        0 => "Nobody waits".to_owned(),
        1 => "One caller waits".to_owned(),
        waiting => format!("{waiting} callers wait"),
    };
    if scaler.rates.refused > 0.0 {
        words.push_str(&format!(", {:.0} are refused a second", scaler.rates.refused));
    }
    words.push_str(&format!(
        ", with {} of {} connections in use in {} pods",
        scaler.in_use,
        scaler.limit,
        scaler.heard()
    ));
    words
}

fn full(case: &Case<'_>) -> String {
    let scaler = case.evidence;
    match scaler.cpu {
        _ if case.spec.is_fixed => "the pods' pools are their own".into(),
        Some(cpu) if scaler.is_cpu_bound() => format!("the pods use {} of their CPU", percent(cpu)),
        _ if scaler.is_at_ceiling => format!("every pod is at its ceiling of {}", case.spec.ceiling),
        _ if is_spent(case.spec, scaler, case.ledger.headroom()) => {
            "the budget's other connections are set aside for the floors of pods that may come".into()
        }
        _ => format!("the ceilings of all pods, {} each, won't do", case.spec.ceiling),
    }
}

fn exceeding(case: &Case<'_>) -> String {
    let over = case.ledger.exceeding.iter().take(3);
    let over: Vec<_> = over.map(|who| format!("{} with {} sessions", who.application, who.open)).collect();
    if over.is_empty() {
        "no pod that the ledger doesn't know has any".into()
    } else {
        format!("nobody knows the pods of {}", over.join(", "))
    }
}

fn locks(case: &Case<'_>) -> String {
    let (waiting, active) = case.condition.answer.map_or((0, 0), |answer| (answer.on_locks, answer.active()));
    let mut words = format!("{waiting} of {active} active backends wait for locks");
    if let Some(blocker) = case.condition.answer.and_then(|answer| answer.blockers.first()) {
        words.push_str(&format!(", {} of them for {} with “{}”", blocker.blocks, blocker.application, blocker.query));
    }
    words.push('.');
    words
}

fn bottleneck(case: &Case<'_>, cut: Option<u32>) -> String {
    let condition = case.condition;
    let mut evidence = Vec::new();
    if let (Some(slowness), true) = (condition.slowness, condition.is_slow()) {
        evidence.push(format!(
            "its fixed statement takes {} × its baseline of {}",
            factor(Some(slowness)),
            millis(condition.baseline.unwrap_or_default())
        ));
    }
    if condition.is_crowded {
        let busy = condition.answer.map_or(0, |answer| answer.on_cpu.saturating_add(answer.on_io));
        evidence.push(format!("{busy} backends are busy, more than it has room for"));
    }
    if let Some(failed) = case.evidence.failed {
        evidence.push(format!(
            "{} connections instead of {} got {:.0}/s done instead of {:.0}/s",
            failed.to, failed.from, failed.rates.1, failed.rates.0
        ));
    }
    if evidence.is_empty() {
        evidence.push("it was, and the cut is being taken back".into());
    }
    let words = format!("The database is the bottleneck: {}.", evidence.join(", "));
    match cut {
        Some(cut) => format!("{words} All {} pods together may have {cut} connections.", case.evidence.ready),
        None => words,
    }
}

fn recovery(case: &Case<'_>) -> String {
    if case.spec.is_fixed {
        return "It doesn't scale out before that is over; its pools are their own, so that they can't be cut.".into();
    }
    format!(
        "It never scales out meanwhile; the cut is taken back by {} each {} while the probe's statement is \
         within {} of its baseline, and \
         by {} each {} while nobody knows.",
        percent(rules::RECOVER_WELL),
        seconds(rules::RECOVER_WELL_EVERY),
        percent(rules::TOLERANCE),
        percent(rules::RECOVER),
        seconds(rules::RECOVER_EVERY)
    ) + if case.evidence.is_pressed { "" } else { " Nobody waits here now." }
}

fn factor(times: Option<f64>) -> String {
    times.map_or_else(|| "an unknown number of".into(), |times| format!("{times:.1}"))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn seconds(time: Duration) -> String {
    format!("{:.0} s", time.as_secs_f64())
}

fn millis(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1000.0)
}
