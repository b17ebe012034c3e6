//! Which faults are active: told the time, without a clock and without doing anything.

use std::time::Duration;

use crate::ask::{Ask, Refused};
use crate::kind::Kind;

/// Faults at once. Eight pools, two at each: more is no drill any more.
pub const MAX_ACTIVE: usize = 16;

/// A fault that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Of this process's faults, since its start.
    pub id: u64,
    /// What it does.
    pub kind: Kind,
    /// To what; empty where it is the process.
    pub target: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// When it ends.
    pub end_ms: i64,
    /// How many; 0 where the kind has none.
    pub count: u32,
    /// How long each takes, where the kind has it.
    pub delay: Option<Duration>,
    /// A thread's share of a processor; 0 where the kind has none.
    pub share_percent: u32,
    /// Who asked for it.
    pub by: String,
}

impl Fault {
    /// Its name in metrics and in the log.
    pub fn name(&self) -> String {
        self.kind.name(&self.target)
    }
}

/// Those that are active, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    active: Vec<Fault>,
    started: u64,
}

impl Ledger {
    /// Enters a fault; what was the same with the same target before is over now and comes back with it.
    pub(crate) fn start(&mut self, ask: Ask, now_ms: i64) -> Result<(Fault, Option<Fault>), Refused> {
        let same = |fault: &Fault| fault.kind == ask.kind && fault.target == ask.target;
        let replaced = self.active.iter().position(same);
        if replaced.is_none() && self.active.len() >= MAX_ACTIVE {
            return Err(Refused::Full);
        }
        let replaced = replaced.map(|place| self.active.remove(place));
        self.started += 1;
        let lasts = i64::try_from(ask.duration.as_millis()).unwrap_or(i64::MAX);
        let Ask { kind, target, count, delay, share_percent, by, .. } = ask;
        let (id, end_ms) = (self.started, now_ms.saturating_add(lasts));
        let fault = Fault { id, kind, target, start_ms: now_ms, end_ms, count, delay, share_percent, by };
        self.active.push(fault.clone());
        Ok((fault, replaced))
    }

    /// Takes a fault out.
    pub(crate) fn end(&mut self, id: u64) -> Option<Fault> {
        let place = self.active.iter().position(|fault| fault.id == id)?;
        Some(self.active.remove(place))
    }

    pub(crate) fn active(&self) -> &[Fault] {
        &self.active
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(kind: Kind, target: &str, seconds: u64) -> Ask {
        Ask::new(kind, target, Duration::from_secs(seconds))
    }

    #[test]
    fn the_same_again_replaces_and_others_stand_beside_it() {
        let mut ledger = Ledger::default();
        let (first, none) = ledger.start(ask(Kind::LockHold, "a", 10), 0).unwrap();
        assert_eq!((none, first.end_ms), (None, 10_000));
        ledger.start(ask(Kind::LockHold, "b", 10), 0).unwrap();
        ledger.start(ask(Kind::SlowQuery, "a", 10), 0).unwrap();
        let (again, replaced) = ledger.start(ask(Kind::LockHold, "a", 5), 1_000).unwrap();
        assert_eq!((replaced, again.end_ms), (Some(first), 6_000));
        assert_eq!(ledger.active().len(), 3);
        assert_eq!(ledger.end(again.id), Some(again.clone()));
        assert_eq!(ledger.end(again.id), None);
    }

    proptest! {
        /// Whatever is started and ended: bounded, one of a kind and target, ids never used twice.
        #[test]
        fn it_stays_within_its_bounds(steps in prop::collection::vec((0_usize..9, 0_u8..4, prop::bool::ANY), 0..80)) {
            let mut ledger = Ledger::default();
            let mut last = 0;
            for (now, (kind, target, ends)) in steps.into_iter().enumerate() {
                if ends && let Some(oldest) = ledger.active().first().map(|fault| fault.id) {
                    prop_assert!(ledger.end(oldest).is_some());
                }
                let asked = ask(Kind::ALL[kind], &target.to_string(), 1 + u64::from(target));
                let full = ledger.active().len() == MAX_ACTIVE;
                match ledger.start(asked.clone(), now as i64) {
                    Ok((fault, _)) => {
                        prop_assert!(fault.id > last);
                        prop_assert!(fault.end_ms > fault.start_ms);
                        last = fault.id;
                    }
                    Err(refused) => prop_assert!(full && refused == Refused::Full),
                }
                prop_assert!(ledger.active().len() <= MAX_ACTIVE);
                let same = ledger.active().iter().filter(|fault| fault.kind == asked.kind && fault.target == asked.target);
                prop_assert!(same.count() <= 1);
            }
        }
    }
}
