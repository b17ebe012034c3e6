//! One decision in words.

use std::fmt::Write as _;

use anyhow::{bail, ensure};
use selvage_proto::pool::v1::{Budget, Scaler, Wanted};

use super::top::database;
use crate::terminal::clean;

/// Letters of a sentence, and of a name.
const SENTENCE: usize = 4096;
const NAME: usize = 253;
/// Names that are listed where another was asked for.
const MAX_NAMES: usize = 20;

/// The decision about the scaler `asked`: NAME, or NAMESPACE/NAME.
pub(super) fn text(budgets: &[Budget], asked: &str) -> anyhow::Result<String> {
    let all: Vec<_> =
        budgets.iter().flat_map(|budget| budget.scalers.iter().map(move |scaler| (budget, scaler))).collect();
    let full = |(budget, scaler): &(&Budget, &Scaler)| format!("{}/{}", budget.namespace, scaler.name);
    let found: Vec<_> = all.iter().filter(|one| one.1.name == asked || full(one) == asked).collect();
    let names =
        |of: &mut dyn Iterator<Item = String>| clean(&of.take(MAX_NAMES).collect::<Vec<_>>().join(", "), SENTENCE);
    match found.as_slice() {
        [(budget, scaler)] => Ok(explained(budget, scaler)),
        [] => {
            ensure!(
                !all.is_empty(),
                "there is no PoolScaler with a ConnectionBudget here; --namespace names another namespace"
            );
            let known = names(&mut all.iter().map(full));
            bail!("there is no PoolScaler '{}' here; there are {known}", clean(asked, NAME))
        }
        several => {
            let known = names(&mut several.iter().map(|one| full(one)));
            bail!("there are several: say which of {known}")
        }
    }
}

fn explained(budget: &Budget, scaler: &Scaler) -> String {
    let mut text = String::new();
    let name = clean(&format!("{}/{}", budget.namespace, scaler.name), NAME);
    let target = clean(&format!("{} {}", scaler.target_kind, scaler.target), NAME);
    let Some(decision) = &scaler.decision else {
        let _ = writeln!(text, "{name}, which scales {target}: nothing has been decided yet\n");
        conditions(&mut text, scaler);
        return text;
    };
    let _ = writeln!(text, "{name}, which scales {target}: {}\n", clean(&decision.class, NAME));
    for sentence in [&decision.reason, &decision.otherwise].into_iter().filter(|sentence| !sentence.is_empty()) {
        let _ = writeln!(text, "{}", clean(sentence, SENTENCE));
    }
    text.push('\n');
    let mut line = |label: &str, words: String| {
        let _ = writeln!(text, "{label:12} {words}");
    };
    line("needed", decision.raw.as_ref().map(wanted).unwrap_or_default());
    for constraint in &decision.constraints {
        line("constrained", format!("{}: {}", clean(&constraint.name, NAME), clean(&constraint.message, SENTENCE)));
    }
    let carried_out = if decision.enforced { "" } else { "; it is only said, not done" };
    line("decided", format!("{}{carried_out}", decision.r#final.as_ref().map(wanted).unwrap_or_default()));
    line(
        "workload",
        format!(
            "{}, {} ready, of {} to {}; {} to {} connections a pod; mode {}",
            counted(scaler.replicas, "replica"),
            scaler.ready_replicas,
            scaler.min_replicas,
            scaler.max_replicas,
            scaler.floor,
            scaler.ceiling,
            clean(&scaler.mode, NAME)
        ),
    );
    line(
        "pools",
        format!(
            "{} granted, {} open, {} in use, {} waiting",
            scaler.granted,
            scaler.open,
            scaler.in_use,
            counted(scaler.waiting, "caller")
        ),
    );
    line(
        "budget",
        format!(
            "{}/{}: {}, {} charged, {} set aside for pods that may come, {} free",
            clean(&budget.namespace, NAME),
            clean(&budget.name, NAME),
            counted(budget.budget, "connection"),
            budget.charged,
            budget.set_aside,
            budget.headroom
        ),
    );
    line(
        "database",
        budget.probe.as_ref().map_or_else(|| "nobody looks at it: the budget says no address".to_owned(), database),
    );
    text.push('\n');
    conditions(&mut text, scaler);
    text
}

fn conditions(text: &mut String, scaler: &Scaler) {
    for condition in &scaler.conditions {
        let message = clean(&condition.message, SENTENCE);
        let why = if message.is_empty() { clean(&condition.reason, NAME) } else { message };
        let _ = writeln!(text, "{:20} {:7} {why}", clean(&condition.r#type, NAME), clean(&condition.status, NAME));
    }
}

fn wanted(wanted: &Wanted) -> String {
    let at_most =
        wanted.connections_at_most.map(|most| format!(", {most} of all together at the most")).unwrap_or_default();
    let (replicas, connections) = (wanted.replicas, wanted.connections_per_replica);
    format!("{}, {} a pod{at_most}", counted(replicas, "replica"), counted(connections, "connection"))
}

fn counted(count: u32, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}
