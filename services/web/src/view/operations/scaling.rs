//! What the operator decided and granted, by database.

use std::fmt::Write as _;

use selvage_proto::pool::v1::{Budget, Condition, Pod, Scaler, WatchBudgetsResponse};

use super::{lasting, micros};

/// Pods that are listed of one workload; a page of 200 of them has 40 KB.
const MAX_PODS: usize = 100;

/// All databases.
#[derive(Default)]
pub(crate) struct Scaling {
    pub(crate) budgets: Vec<BudgetCard>,
    /// Databases that there are besides.
    pub(crate) omitted: u32,
}

/// A database, and all that is scaled on it.
pub(crate) struct BudgetCard {
    /// By which it is told from others on the page.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) tone: &'static str,
    pub(crate) bar: String,
    pub(crate) connections: u32,
    pub(crate) charged: u32,
    pub(crate) set_aside: u32,
    pub(crate) free: u32,
    pub(crate) open: u32,
    pub(crate) database: String,
    pub(crate) leader: String,
    pub(crate) epoch: u64,
    /// What is wrong, in sentences.
    pub(crate) troubles: Vec<String>,
    pub(crate) scalers: Vec<ScalerLine>,
    pub(crate) scalers_omitted: u32,
    /// What is charged to pods of no workload that is scaled.
    pub(crate) strangers: Vec<PodLine>,
}

/// A workload.
pub(crate) struct ScalerLine {
    pub(crate) id: String,
    pub(crate) name: String,
    /// What is the matter, and the class of its colour.
    pub(crate) state: String,
    pub(crate) tone: &'static str,
    pub(crate) mode: String,
    /// "1" or "1 → 2".
    pub(crate) replicas: String,
    pub(crate) ready: u32,
    pub(crate) granted: u32,
    pub(crate) in_use: u32,
    pub(crate) waiting: u32,
    pub(crate) reason: String,
    pub(crate) otherwise: String,
    pub(crate) constraints: String,
    pub(crate) troubles: Vec<String>,
    pub(crate) pods: Vec<PodLine>,
    pub(crate) pods_more: usize,
}

/// A pod.
pub(crate) struct PodLine {
    pub(crate) name: String,
    /// What it was granted, or a dash.
    pub(crate) granted: String,
    pub(crate) limit: String,
    pub(crate) open: u32,
    pub(crate) in_use: u32,
    pub(crate) waiting: u32,
    pub(crate) refused: String,
    pub(crate) charged: u32,
    pub(crate) heard: String,
    pub(crate) standing: String,
}

impl Scaling {
    pub(crate) fn new(said: &WatchBudgetsResponse) -> Self {
        Self { budgets: said.budgets.iter().map(BudgetCard::new).collect(), omitted: said.omitted }
    }
}

/// Conditions whose being so is the trouble.
const TROUBLES: [&str; 2] = ["DatabaseBottleneck", "ScalingLimited"];

/// What is wrong, as the conditions say it.
fn troubles(conditions: &[Condition]) -> Vec<String> {
    let is_trouble = |condition: &&Condition| {
        let about_trouble = TROUBLES.contains(&condition.r#type.as_str());
        let is_neutral = condition.r#type == "Paused";
        !is_neutral && condition.status == if about_trouble { "True" } else { "False" }
    };
    let said = |condition: &Condition| {
        let message = if condition.message.is_empty() { &condition.reason } else { &condition.message };
        format!("{}{}: {message}", if condition.status == "False" { "not " } else { "" }, condition.r#type)
    };
    conditions.iter().filter(is_trouble).map(said).collect()
}

impl BudgetCard {
    fn new(budget: &Budget) -> Self {
        let mut troubles = troubles(&budget.conditions);
        if !budget.held.is_empty() {
            troubles.insert(0, format!("Nobody is granted more: {}", budget.held));
        }
        let is_over = budget.charged.saturating_add(budget.set_aside) > budget.budget;
        Self {
            id: format!("{}-{}", budget.namespace, budget.name),
            name: budget.name.clone(),
            namespace: budget.namespace.clone(),
            tone: if is_over {
                "bad"
            } else if troubles.is_empty() {
                "good"
            } else {
                "warm"
            },
            bar: bar(budget),
            connections: budget.budget,
            charged: budget.charged,
            set_aside: budget.set_aside,
            free: budget.headroom,
            open: budget.open,
            database: database(budget),
            leader: budget.leader.clone(),
            epoch: budget.epoch,
            troubles,
            scalers: budget.scalers.iter().map(|scaler| ScalerLine::new(budget, scaler)).collect(),
            scalers_omitted: budget.scalers_omitted,
            strangers: budget.strangers.iter().take(MAX_PODS).map(PodLine::new).collect(),
        }
    }
}

/// What the last look at the database came to.
fn database(budget: &Budget) -> String {
    let Some(probe) = &budget.probe else { return "isn't looked at".to_owned() };
    match (probe.outcome.as_str(), &probe.statement) {
        ("Answered", Some(statement)) => {
            let usual = probe.baseline.as_ref().map(|time| format!(", usually {}", lasting(micros(time))));
            format!("answers in {}{}", lasting(micros(statement)), usual.unwrap_or_default())
        }
        ("NoSlot", _) => "has no connection left".to_owned(),
        _ => format!("fails: {}", probe.failure),
    }
}

/// The budget as a bar: what is charged, what is set aside, and what is free.
fn bar(budget: &Budget) -> String {
    const WIDTH: u64 = 400;
    let spoken_for = u64::from(budget.charged) + u64::from(budget.set_aside);
    let all = u64::from(budget.budget).max(spoken_for).max(1);
    let width = |count: u32| u64::from(count) * WIDTH / all;
    let (charged, set_aside) = (width(budget.charged), width(budget.set_aside));
    let mut svg = format!(
        r#"<svg class="budget" viewBox="0 0 {WIDTH} 16" preserveAspectRatio="none" role="img" aria-label="{} of {} charged, {} set aside, {} free">"#,
        budget.charged, budget.budget, budget.set_aside, budget.headroom
    );
    for (class, x, width) in [("free", 0, WIDTH), ("used", 0, charged), ("idle", charged, set_aside)] {
        let _ = write!(svg, r#"<rect class="{class}" x="{x}" y="0" width="{width}" height="16"/>"#);
    }
    svg.push_str("</svg>");
    svg
}

impl ScalerLine {
    fn new(budget: &Budget, scaler: &Scaler) -> Self {
        let decision = scaler.decision.clone().unwrap_or_default();
        let desired = decision.r#final.map_or(scaler.replicas, |wanted| wanted.replicas);
        let constraints: Vec<_> = decision.constraints.iter().map(|limit| limit.message.as_str()).collect();
        let tone = match decision.class.as_str() {
            "Calm" | "Hold" => "good",
            "NoSlotLeft" | "DatabaseGone" | "DatabaseBound" => "bad",
            _ => "warm",
        };
        Self {
            id: format!("{}-{}", budget.namespace, scaler.name),
            name: scaler.name.clone(),
            state: if decision.class.is_empty() { "Unknown".to_owned() } else { decision.class },
            tone,
            mode: scaler.mode.clone(),
            replicas: if desired == scaler.replicas {
                desired.to_string()
            } else {
                format!("{} → {desired}", scaler.replicas)
            },
            ready: scaler.ready_replicas,
            granted: scaler.granted,
            in_use: scaler.in_use,
            waiting: scaler.waiting,
            reason: decision.reason,
            otherwise: decision.otherwise,
            constraints: constraints.join("; "),
            troubles: troubles(&scaler.conditions),
            pods: scaler.pods.iter().take(MAX_PODS).map(PodLine::new).collect(),
            pods_more: scaler.pods.len().saturating_sub(MAX_PODS),
        }
    }
}

impl PodLine {
    fn new(pod: &Pod) -> Self {
        let or_dash = |count: Option<u32>| count.map_or_else(|| "–".to_owned(), |count| count.to_string());
        let refused: Vec<_> = pod.refused.iter().map(|of| format!("{} {}", of.count, of.class)).collect();
        Self {
            name: pod.name.clone(),
            granted: or_dash(pod.granted),
            limit: or_dash(pod.limit),
            open: pod.open,
            in_use: pod.in_use,
            waiting: pod.waiting,
            refused: if refused.is_empty() { "0".to_owned() } else { refused.join(", ") },
            charged: pod.charged,
            // To the second: more would change on every look, and say nothing.
            heard: pod
                .report_age
                .as_ref()
                .map_or_else(|| "never".to_owned(), |age| format!("{} s", age.seconds.max(0))),
            standing: pod.standing.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Duration;
    use selvage_proto::pool::v1::{ClassRefused, Constraint, Decision, Probe, Wanted};

    use super::*;

    fn condition(kind: &str, status: &str, message: &str) -> Condition {
        Condition { r#type: kind.into(), status: status.into(), message: message.into(), ..Condition::default() }
    }

    fn budget() -> Budget {
        let decision = Decision {
            class: "ReplicaBound".into(),
            reason: "12 callers wait.".into(),
            r#final: Some(Wanted { replicas: 2, ..Wanted::default() }),
            constraints: vec![Constraint { name: "scaleUp".into(), message: "at most 2 replicas".into() }],
            ..Decision::default()
        };
        let pod = Pod {
            name: "cart-1".into(),
            granted: Some(8),
            refused: vec![ClassRefused { class: "sheddable".into(), count: 5 }],
            report_age: Some(Duration { seconds: 1, nanos: 900_000_000 }),
            ..Pod::default()
        };
        let scaler = Scaler {
            name: "cart".into(),
            decision: Some(decision),
            replicas: 1,
            conditions: vec![
                condition("Ready", "True", ""),
                condition("ScalingLimited", "True", "at most 2"),
                condition("Paused", "False", ""),
            ],
            pods: vec![pod],
            ..Scaler::default()
        };
        Budget {
            namespace: "shop".into(),
            name: "main".into(),
            budget: 100,
            charged: 20,
            set_aside: 30,
            headroom: 50,
            probe: Some(Probe {
                outcome: "Answered".into(),
                statement: Some(Duration { seconds: 0, nanos: 1_500_000 }),
                ..Probe::default()
            }),
            scalers: vec![scaler],
            ..Budget::default()
        }
    }

    #[test]
    fn a_budget_has_its_bar_and_its_workloads() {
        let card = BudgetCard::new(&budget());
        assert!(card.bar.contains(r#"<rect class="used" x="0" y="0" width="80""#), "{}", card.bar);
        assert!(card.bar.contains(r#"<rect class="idle" x="80" y="0" width="120""#), "{}", card.bar);
        assert_eq!((card.tone, card.database.as_str(), card.free), ("good", "answers in 1.5 ms", 50));
        let cart = &card.scalers[0];
        assert_eq!((cart.replicas.as_str(), cart.state.as_str(), cart.tone), ("1 → 2", "ReplicaBound", "warm"));
        assert_eq!(
            (cart.constraints.as_str(), &*cart.troubles),
            ("at most 2 replicas", &["ScalingLimited: at most 2".to_owned()][..])
        );
        let pod = &cart.pods[0];
        assert_eq!(
            (pod.granted.as_str(), pod.limit.as_str(), pod.refused.as_str(), pod.heard.as_str()),
            ("8", "–", "5 sheddable", "1 s")
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let held = Budget { held: "the pods haven't been listed".into(), charged: 90, ..budget() };
        let card = BudgetCard::new(&held);
        assert_eq!(
            (card.tone, card.troubles[0].as_str()),
            ("bad", "Nobody is granted more: the pods haven't been listed")
        );
        assert!(card.bar.contains(r#"x="300" y="0" width="100""#), "no more than the whole: {}", card.bar);
        let fails = Budget { conditions: vec![condition("Probed", "False", "no route")], probe: None, ..budget() };
        let card = BudgetCard::new(&fails);
        assert_eq!(
            (card.tone, card.database.as_str(), card.troubles[0].as_str()),
            ("warm", "isn't looked at", "not Probed: no route")
        );
    }
}
