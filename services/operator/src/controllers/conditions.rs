//! Conditions, and the events that say when one changed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::events::{Event, EventType};

use crate::resources::{Condition, ConditionStatus};

/// It is at work.
pub const READY: &str = "Ready";
/// The pods' reports are fresh.
pub const METRICS_FRESH: &str = "MetricsFresh";
/// All floors fit into the budget.
pub const BUDGET_SATISFIED: &str = "BudgetSatisfied";
/// The database itself is what is short.
pub const DATABASE_BOTTLENECK: &str = "DatabaseBottleneck";
/// More is wanted than a bound permits.
pub const SCALING_LIMITED: &str = "ScalingLimited";
/// Everything is left as it is, because somebody wants that.
pub const PAUSED: &str = "Paused";
/// What the pods say that their pools need is what the scaler allows a pod.
pub const PODS_WITHIN_BOUNDS: &str = "PodsWithinBounds";
/// The database's probe answers.
pub const PROBED: &str = "Probed";

/// Conditions whose being True is the trouble.
const TROUBLES: [&str; 2] = [DATABASE_BOTTLENECK, SCALING_LIMITED];

/// What is found now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about: one of the names above.
    pub kind: &'static str,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in a sentence.
    pub message: String,
}

impl Finding {
    /// That something is so, or isn't.
    pub fn new(kind: &'static str, is_so: bool, reason: &'static str, message: impl Into<String>) -> Self {
        let status = if is_so { ConditionStatus::True } else { ConditionStatus::False };
        Self { kind, status, reason, message: message.into() }
    }
}

/// The conditions after `findings`: the time of one that says the same as before stays. One that nothing was found about
/// stays as it was.
pub fn updated(before: &[Condition], findings: &[Finding], generation: Option<i64>, now: &Time) -> Vec<Condition> {
    let found = |kind: &str| findings.iter().find(|finding| finding.kind == kind);
    let mut after: Vec<_> = before.iter().filter(|condition| found(&condition.kind).is_none()).cloned().collect();
    after.extend(findings.iter().map(|finding| {
        let same = before.iter().find(|condition| condition.kind == finding.kind && condition.status == finding.status);
        Condition {
            kind: finding.kind.to_owned(),
            status: finding.status,
            reason: finding.reason.to_owned(),
            message: finding.message.clone(),
            last_transition_time: same.map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone()),
            observed_generation: generation,
        }
    }));
    after.sort_by(|one, other| one.kind.cmp(&other.kind));
    after
}

/// An event for each condition that became another; a number that changed in a sentence is none. What wasn't known before is
/// one only if it is a trouble.
pub fn events(before: &[Condition], after: &[Condition]) -> Vec<Event> {
    let changed = after.iter().filter(|condition| match before.iter().find(|before| before.kind == condition.kind) {
        Some(before) => before.status != condition.status || before.reason != condition.reason,
        None => is_trouble(condition),
    });
    changed.map(event).collect()
}

fn is_trouble(condition: &Condition) -> bool {
    match condition.status {
        ConditionStatus::True => TROUBLES.contains(&condition.kind.as_str()),
        ConditionStatus::False => !TROUBLES.contains(&condition.kind.as_str()) && condition.kind != PAUSED,
        ConditionStatus::Unknown => true,
    }
}

fn event(condition: &Condition) -> Event {
    let says = match condition.status {
        ConditionStatus::True => condition.kind.clone(),
        ConditionStatus::False => format!("not {}", condition.kind),
        ConditionStatus::Unknown => format!("{} is unknown", condition.kind),
    };
    // The API server takes 1 kB.
    let note: String = format!("{says}: {}", condition.message).chars().take(256).collect();
    Event {
        type_: if is_trouble(condition) { EventType::Warning } else { EventType::Normal },
        reason: condition.reason.clone(),
        note: Some(note),
        action: condition.kind.clone(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    fn at(seconds: i64) -> Time {
        Time(Timestamp::from_second(seconds).unwrap())
    }

    fn findings(is_ready: bool, message: &str) -> Vec<Finding> {
        let reason = if is_ready { "AtWork" } else { "TargetOwned" };
        vec![Finding::new(READY, is_ready, reason, message), Finding::new(DATABASE_BOTTLENECK, false, "Calm", "")]
    }

    #[test]
    fn a_condition_says_since_when_it_is_what_it_is() {
        let first = updated(&[], &findings(true, "3 pods"), Some(1), &at(10));
        let second = updated(&first, &findings(true, "4 pods"), Some(2), &at(20));
        let ready = second.iter().find(|condition| condition.kind == READY).unwrap();
        assert_eq!((ready.last_transition_time.clone(), ready.observed_generation), (at(10), Some(2)));
        assert_eq!(ready.message, "4 pods");
        let third = updated(&second, &findings(false, "an HPA"), Some(2), &at(30));
        let times: Vec<_> = third.iter().map(|condition| condition.last_transition_time.clone()).collect();
        assert_eq!(times, [at(10), at(30)], "DatabaseBottleneck stayed, Ready changed");
        // What nothing was found about stays.
        let paused = updated(&third, &[Finding::new(PAUSED, true, "Annotated", "")], Some(2), &at(40));
        assert_eq!(paused.len(), 3);
        assert_eq!(paused[..1], third[..1]);
    }

    #[test]
    fn an_event_is_a_change_and_not_a_number_in_a_sentence() {
        let first = updated(&[], &findings(true, "3 pods"), Some(1), &at(10));
        assert!(events(&[], &first).is_empty(), "all is well from the beginning");
        let second = updated(&first, &findings(true, "4 pods"), Some(1), &at(20));
        assert!(events(&first, &second).is_empty());
        let third = updated(&second, &findings(false, "a HorizontalPodAutoscaler scales it too"), Some(1), &at(30));
        let said = events(&second, &third);
        assert_eq!(said.len(), 1);
        assert_eq!((said[0].type_, said[0].reason.as_str()), (EventType::Warning, "TargetOwned"));
        assert_eq!(said[0].note.as_deref(), Some("not Ready: a HorizontalPodAutoscaler scales it too"));
        assert_eq!(events(&[], &third).len(), 1, "a trouble from the beginning");
        let back = events(&third, &second);
        assert_eq!((back.len(), back[0].type_), (1, EventType::Normal));
    }

    #[test]
    fn that_the_database_is_the_bottleneck_is_an_event_and_so_is_its_end() {
        let found = |is_so, reason| [Finding::new(DATABASE_BOTTLENECK, is_so, reason, "its fixed statement takes 3 ×")];
        let calm = updated(&[], &found(false, "NoSign"), Some(1), &at(10));
        let bound = updated(&calm, &found(true, "DatabaseBound"), Some(1), &at(20));
        let said = events(&calm, &bound);
        assert_eq!((said.len(), said[0].type_, said[0].reason.as_str()), (1, EventType::Warning, "DatabaseBound"));
        let locked = updated(&bound, &found(true, "LockPileUp"), Some(1), &at(30));
        assert_eq!(events(&bound, &locked).len(), 1, "it is another one");
        let over = events(&locked, &calm);
        assert_eq!((over.len(), over[0].type_), (1, EventType::Normal));
    }
}
