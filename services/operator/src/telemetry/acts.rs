//! The decisions that change something, each a trace: what a scaler is in, what it is to have, why, and the write to the API server.
//!
//! A decision is made each second and says the same most of the time. A span is made of one that changes the replicas, what each
//! pod should have, or what is the matter. With replicas to be set it lasts until the API server shows them, and its children are
//! the attempts to write them; else it is a moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use selvage_telemetry::span::Span;
use tokio::time::Instant;

use super::counts::{self, Change};
use crate::domain::decide::{Class, Decision};
use crate::domain::ledger::ScalerId;

/// How long is waited for the API server to show replicas that were set. Attempts are a second apart, so that a trace has no more
/// than some sixty of them.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);
/// Letters of a reason that a span has.
const MAX_REASON: usize = 1024;

/// The span of a decision, which ends with the last who keeps this.
pub type Deciding = Arc<Span>;

/// What a decision changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The class before, if it is another now.
    pub class: Option<Class>,
    /// Replicas that there are, and that are to be set.
    pub replicas: Option<(u32, u32)>,
    /// Connections of each pod, before and now.
    pub connections: Option<(u32, u32)>,
}

/// What is known of a scaler.
#[derive(Debug)]
struct Known {
    class: Class,
    connections: u32,
    /// Replicas that are to be set, and aren't shown yet.
    asked: Option<u32>,
    /// For them.
    deciding: Option<(Deciding, Instant)>,
}

/// What was decided before, in this lead.
#[derive(Debug, Default)]
pub struct Acts {
    known: BTreeMap<ScalerId, Known>,
}

impl Acts {
    /// A decision about a scaler was made, whose workload is asked to have `present` replicas; `asked` are those that are to be set.
    pub fn decided(
        &mut self,
        id: &ScalerId,
        decision: &Decision,
        present: Option<u32>,
        asked: Option<u32>,
        now: Instant,
    ) {
        let changed = self.changed(id, decision, present, asked);
        let known = self.known.entry(id.clone()).or_insert(Known {
            class: decision.class,
            connections: decision.connections,
            asked: None,
            deciding: None,
        });
        let is_over = known.deciding.as_ref().is_some_and(|(_, since)| now.duration_since(*since) >= SHOWN_WITHIN);
        if known.asked != asked || is_over {
            known.deciding = None;
        }
        (known.class, known.asked) = (decision.class, asked);
        if decision.is_enforced {
            known.connections = decision.connections;
        }
        let Some(changed) = changed else { return };
        count(changed);
        let deciding = span(id, decision, present, changed);
        if changed.replicas.is_some() {
            known.deciding = Some((Arc::new(deciding), now));
        }
    }

    /// What a decision changes, or nothing. The first of a lead is compared with nothing, but for replicas.
    fn changed(&self, id: &ScalerId, decision: &Decision, present: Option<u32>, asked: Option<u32>) -> Option<Changed> {
        let known = self.known.get(id);
        let replicas = asked.filter(|asked| known.is_none_or(|known| known.asked != Some(*asked)));
        let changed = Changed {
            class: known.map(|known| known.class).filter(|class| *class != decision.class),
            replicas: present.zip(replicas),
            connections: known
                .filter(|known| decision.is_enforced && known.connections != decision.connections)
                .map(|known| (known.connections, decision.connections)),
        };
        (changed != Changed::default()).then_some(changed)
    }

    /// The decision for which a scaler's replicas are to be set, for as long as they aren't shown.
    pub fn deciding(&self, id: &ScalerId) -> Option<Deciding> {
        self.known.get(id)?.deciding.as_ref().map(|(deciding, _)| deciding.clone())
    }

    /// Forgets all but these scalers.
    pub fn keep(&mut self, is_there: impl Fn(&ScalerId) -> bool) {
        self.known.retain(|id, _| is_there(id));
    }

    /// The lead is over.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

fn count(changed: Changed) {
    let changes = [
        (changed.replicas.is_some(), Change::Replicas),
        (changed.connections.is_some(), Change::Connections),
        (changed.class.is_some(), Change::Class),
    ];
    for (_, change) in changes.into_iter().filter(|(is_so, _)| *is_so) {
        counts::changed(change);
    }
}

fn span(id: &ScalerId, decision: &Decision, present: Option<u32>, changed: Changed) -> Span {
    let span = Span::within(&Context::new(), SpanKind::Internal, "decide");
    if let Some(recorded) = span.recorded() {
        let number = |name: &'static str, number: u32| KeyValue::new(name, i64::from(number));
        let replicas = changed.replicas.map_or(present, |(from, _)| Some(from));
        let connections = changed.connections.map_or(decision.connections, |(from, _)| from);
        recorded.set_attributes([
            KeyValue::new("selvage.operator.scaler", id.to_string()),
            KeyValue::new("selvage.operator.class", decision.class.name()),
            KeyValue::new("selvage.operator.class.before", changed.class.unwrap_or(decision.class).name()),
            KeyValue::new("selvage.operator.enforced", decision.is_enforced),
            number("selvage.operator.connections.from", connections),
            number("selvage.operator.connections.to", decision.connections),
            KeyValue::new("selvage.operator.reason", reason(&decision.reason())),
        ]);
        if let Some(from) = replicas {
            let to = changed.replicas.map_or(from, |(_, to)| to);
            recorded.set_attributes([
                number("selvage.operator.replicas.from", from),
                number("selvage.operator.replicas.to", to),
            ]);
        }
    }
    span
}

/// A reason, without the statements that it cites: they may have values in them, which aren't for traces.
fn reason(text: &str) -> String {
    let mut said = String::new();
    let mut is_cited = false;
    for letter in text.chars() {
        match letter {
            '“' => (is_cited, said) = (true, said + "“…”"),
            '”' => is_cited = false,
            _ if !is_cited => said.push(letter),
            _ => {}
        }
    }
    said.chars().take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(class: Class, connections: u32, is_enforced: bool) -> Decision {
        Decision {
            scaler: "shop/cart".into(),
            class,
            replicas: 2,
            connections,
            cut: None,
            raw_replicas: 2,
            raw_connections: connections,
            constraints: Vec::new(),
            why: "9 callers wait.".into(),
            otherwise: "More come.".into(),
            is_enforced,
        }
    }

    /// What each decision, one after the other, changes.
    fn changes(decisions: &[(Decision, u32, Option<u32>)]) -> Vec<Option<Changed>> {
        let (mut acts, now) = (Acts::default(), Instant::now());
        let decided = decisions.iter().map(|(decision, present, asked)| {
            let changed = acts.changed(&"shop/cart".into(), decision, Some(*present), *asked);
            acts.decided(&"shop/cart".into(), decision, Some(*present), *asked, now);
            changed
        });
        decided.collect()
    }

    #[test]
    fn a_decision_acts_once_and_the_same_again_does_not() {
        let hold = decision(Class::Hold, 4, true);
        let grows = decision(Class::ReplicaBound, 4, true);
        let wider = decision(Class::ReplicaBound, 8, true);
        let found = changes(&[
            (hold.clone(), 2, None),
            (hold, 2, None),
            (grows.clone(), 2, Some(4)),
            (grows.clone(), 2, Some(4)),
            (grows.clone(), 4, None),
            (wider, 4, None),
            (grows, 4, Some(2)),
        ]);
        let (none, before) = (Changed::default(), Some(Class::Hold));
        assert_eq!(found[..2], [None, None], "nothing is known of before");
        assert_eq!(found[2], Some(Changed { class: before, replicas: Some((2, 4)), ..none }));
        assert_eq!(found[3..5], [None, None], "it is being done, and is done");
        assert_eq!(found[5], Some(Changed { connections: Some((4, 8)), ..none }));
        assert_eq!(found[6], Some(Changed { replicas: Some((4, 2)), connections: Some((8, 4)), ..none }));
    }

    #[test]
    fn what_is_only_said_changes_no_connections() {
        let found = changes(&[
            (decision(Class::Hold, 4, false), 2, None),
            (decision(Class::Hold, 9, false), 2, None),
            (decision(Class::PoolTooSmall, 9, false), 2, None),
        ]);
        assert_eq!(found[..2], [None, None]);
        assert_eq!(found[2], Some(Changed { class: Some(Class::Hold), ..Changed::default() }));
    }

    #[test]
    fn a_decision_lasts_until_what_it_asks_for_is_shown_and_a_minute_at_the_most() {
        let (mut acts, now, id) = (Acts::default(), Instant::now(), ScalerId::from("shop/cart"));
        let grows = decision(Class::ReplicaBound, 4, true);
        acts.decided(&id, &grows, Some(2), Some(4), now);
        let first = acts.deciding(&id).expect("it is to be done");
        acts.decided(&id, &grows, Some(2), Some(4), now + SHOWN_WITHIN / 2);
        assert!(acts.deciding(&id).is_some_and(|still| Arc::ptr_eq(&first, &still)));
        acts.decided(&id, &grows, Some(2), Some(6), now + SHOWN_WITHIN / 2);
        let second = acts.deciding(&id).expect("more are asked for");
        assert!(!Arc::ptr_eq(&first, &second));
        acts.decided(&id, &grows, Some(2), Some(6), now + SHOWN_WITHIN * 2);
        assert!(acts.deciding(&id).is_none(), "nobody does it");
        acts.decided(&id, &grows, Some(6), None, now + SHOWN_WITHIN * 2);
        acts.decided(&id, &grows, Some(6), Some(8), now + SHOWN_WITHIN * 2);
        assert!(acts.deciding(&id).is_some());
        acts.decided(&id, &grows, Some(8), None, now + SHOWN_WITHIN * 2);
        assert!(acts.deciding(&id).is_none(), "it is done");
        acts.keep(|_| false);
        assert!(acts.known.is_empty());
    }

    #[test]
    fn a_reason_says_no_statement_of_anybody() {
        let said = reason("4 of 5 wait, 3 of them for psql with “UPDATE people SET name = 'Ada'”. It holds.");
        assert_eq!(said, "4 of 5 wait, 3 of them for psql with “…”. It holds.");
        assert_eq!(reason(&"x".repeat(5000)).len(), MAX_REASON);
    }
}
