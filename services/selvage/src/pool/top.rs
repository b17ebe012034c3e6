//! All budgets as a page of text.

use prost_types::Duration;
use selvage_proto::pool::v1::{Budget, Pod, Probe, Scaler};

use crate::terminal::{clean, number, table, words};

/// Letters of a name, and of a sentence.
const NAME: usize = 60;
const SENTENCE: usize = 300;

/// The page: budgets, scalers with their reasons, pods. `omitted` budgets aren't in it.
pub(super) fn page(budgets: &[Budget], omitted: u32) -> Vec<String> {
    if budgets.is_empty() {
        return vec!["There is no ConnectionBudget here: nothing is scaled, and nothing is granted.".to_owned()];
    }
    let columns = [
        words("BUDGET"),
        number("CONNECTIONS"),
        number("CHARGED"),
        number("SET ASIDE"),
        number("FREE"),
        number("OPEN"),
        words("DATABASE"),
        words("LEADER"),
    ];
    let mut lines = table(&columns, &budgets.iter().map(budget).collect::<Vec<_>>());
    for held in budgets.iter().filter(|budget| !budget.held.is_empty()) {
        lines.push(format!("  {}: nobody is granted more, because {}", named(held), clean(&held.held, SENTENCE)));
    }
    if omitted > 0 {
        lines.push(format!("  and {omitted} more: --namespace NAME shows fewer, --once all"));
    }
    lines.push(String::new());
    lines.extend(scalers(budgets));
    lines.push(String::new());
    lines.extend(pods(budgets));
    lines
}

fn named(budget: &Budget) -> String {
    clean(&format!("{}/{}", budget.namespace, budget.name), NAME)
}

fn budget(budget: &Budget) -> Vec<String> {
    let counts = [budget.budget, budget.charged, budget.set_aside, budget.headroom, budget.open];
    let mut row = vec![named(budget)];
    row.extend(counts.map(|count| count.to_string()));
    row.push(budget.probe.as_ref().map_or_else(|| "not looked at".to_owned(), database));
    row.push(format!("{} (epoch {})", clean(&budget.leader, NAME), budget.epoch));
    row
}

/// What the last look came to.
pub(super) fn database(probe: &Probe) -> String {
    match (probe.outcome.as_str(), &probe.statement) {
        ("Answered", Some(statement)) => {
            let ordinary =
                probe.baseline.as_ref().map(|time| format!(", ordinarily {}", millis(time))).unwrap_or_default();
            format!("answers in {}{ordinary}", millis(statement))
        }
        ("NoSlot", _) => "has no connection left".to_owned(),
        _ => format!("fails: {}", clean(&probe.failure, NAME)),
    }
}

fn millis(time: &Duration) -> String {
    format!("{:.1} ms", seconds(time) * 1_000.0)
}

fn seconds(time: &Duration) -> f64 {
    time.seconds as f64 + f64::from(time.nanos) / 1e9
}

fn scalers(budgets: &[Budget]) -> Vec<String> {
    let columns = [
        words("SCALER"),
        words("STATE"),
        words("REPLICAS"),
        number("READY"),
        number("MAX"),
        number("GRANTED"),
        number("OPEN"),
        number("IN USE"),
        number("WAITING"),
        words("MODE"),
    ];
    let all: Vec<_> =
        budgets.iter().flat_map(|budget| budget.scalers.iter().map(move |scaler| (budget, scaler))).collect();
    let rows: Vec<_> = all.iter().map(|(budget, scaler)| row(budget, scaler)).collect();
    let mut table = table(&columns, &rows).into_iter();
    let mut lines: Vec<_> = table.next().into_iter().collect();
    for ((_, scaler), line) in all.iter().zip(table) {
        lines.push(line);
        if let Some(decision) = &scaler.decision {
            lines.push(format!("  {}", clean(&decision.reason, SENTENCE)));
        }
    }
    let omitted: u32 = budgets.iter().map(|budget| budget.scalers_omitted).sum();
    if omitted > 0 {
        lines.push(format!("  and {omitted} more"));
    }
    lines
}

fn row(budget: &Budget, scaler: &Scaler) -> Vec<String> {
    let desired = scaler.decision.as_ref().and_then(|decision| decision.r#final).map(|wanted| wanted.replicas);
    let replicas = match desired {
        Some(desired) if desired != scaler.replicas => format!("{} → {desired}", scaler.replicas),
        _ => scaler.replicas.to_string(),
    };
    let state = scaler.decision.as_ref().map_or("Unknown", |decision| decision.class.as_str());
    let mut row = vec![clean(&format!("{}/{}", budget.namespace, scaler.name), NAME), clean(state, NAME), replicas];
    let counts =
        [scaler.ready_replicas, scaler.max_replicas, scaler.granted, scaler.open, scaler.in_use, scaler.waiting];
    row.extend(counts.map(|count| count.to_string()));
    row.push(clean(&scaler.mode, NAME));
    row
}

fn pods(budgets: &[Budget]) -> Vec<String> {
    let columns = [
        words("POD"),
        number("GRANTED"),
        number("LIMIT"),
        number("OPEN"),
        number("IN USE"),
        number("WAITING"),
        number("REFUSED"),
        number("CHARGED"),
        number("HEARD"),
        words("STANDING"),
    ];
    let rows: Vec<_> = budgets.iter().flat_map(pods_of).map(pod).collect();
    if rows.is_empty() {
        return vec!["No pod is known.".to_owned()];
    }
    let mut lines = table(&columns, &rows);
    let omitted: u32 = budgets.iter().map(|budget| budget.pods_omitted).sum();
    if omitted > 0 {
        lines.push(format!("  and {omitted} more"));
    }
    lines
}

/// All pods that are charged to a budget.
fn pods_of(budget: &Budget) -> impl Iterator<Item = &Pod> {
    budget.scalers.iter().flat_map(|scaler| &scaler.pods).chain(&budget.strangers)
}

fn pod(pod: &Pod) -> Vec<String> {
    let or_none = |count: Option<u32>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let refused: u64 = pod.refused.iter().map(|refused| refused.count).sum();
    let heard = pod.report_age.as_ref().map_or_else(|| "never".to_owned(), |age| format!("{:.1} s", seconds(age)));
    vec![
        clean(&pod.name, NAME),
        or_none(pod.granted),
        or_none(pod.limit),
        pod.open.to_string(),
        pod.in_use.to_string(),
        pod.waiting.to_string(),
        refused.to_string(),
        pod.charged.to_string(),
        heard,
        clean(&pod.standing, SENTENCE),
    ]
}
