//! What processes and databases say, in the terms of what decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::broker;
use crate::domain::control::Reported;
use crate::domain::decide::{self, Outcome, PoolPart, Uses};
use crate::domain::ledger::{self, Bounds, GrantId, Holder, Look, Sessions, Unnamed};
use crate::domain::moment::Moment;
use crate::probe::{self, Client, Doing};
use crate::scrape::{self, Reading};

/// Names of pods may be cut from this length on: application_name has 63 bytes, of which a boot id and a slash take nine.
const SHOWN: usize = 54;

/// Whose stream it is.
pub(super) fn holder(holder: &broker::Holder) -> Holder {
    Holder { pod: holder.pod_uid.as_str().into(), boot: holder.boot_id.as_str().into() }
}

/// Who says hello.
pub(super) fn hello(pod: &str, hello: &broker::Hello) -> ledger::Hello {
    ledger::Hello { name: pod.into(), bounds: Bounds { floor: hello.floor(), ceiling: hello.ceiling() } }
}

/// What a process says of all its pools together, and of each.
pub(super) fn reported(report: &broker::Report, now: Moment) -> Reported {
    let number = |(epoch, sequence)| GrantId { epoch, sequence };
    let connections = ledger::Report {
        epoch: report.epoch,
        newest: report.known.map(number),
        limit: report.limit,
        open: report.open,
    };
    let sum = |of: fn(&broker::PoolReport) -> u32| report.pools.iter().map(of).fold(0, u32::saturating_add);
    let longest = report.pools.iter().filter_map(|pool| pool.longest_held.as_ref()).max_by_key(|(_, held)| *held);
    let pools = decide::Report {
        at: now,
        limit: sum(|pool| pool.limit),
        open: sum(|pool| pool.open),
        in_use: sum(|pool| pool.in_use),
        waiting: sum(|pool| pool.waiting),
        refused: report.pools.iter().flat_map(|pool| &pool.refused).map(|refused| refused.count).sum(),
        uses: uses(report),
        pools: report.pools.iter().map(part).collect(),
        longest_lease: longest.map(|(operation, held)| decide::Lease { operation: operation.clone(), held: *held }),
        // Throttling says that a limit was met, and not how much of the CPU is in use.
        cpu: report.cpu_share,
    };
    Reported { connections, pools }
}

fn part(pool: &broker::PoolReport) -> PoolPart {
    let used = pool.uses.iter().fold((0, Duration::ZERO), |(count, time): (u64, Duration), used| {
        (count.saturating_add(used.count), time.saturating_add(used.time))
    });
    PoolPart {
        name: pool.name.clone(),
        limit: pool.limit,
        in_use: pool.in_use,
        waiting: pool.waiting,
        refused: pool.refused.iter().map(|refused| refused.count).fold(0, u64::saturating_add),
        uses: used,
    }
}

/// Callers who got no connection, by class.
pub(super) fn refused(report: &broker::Report) -> BTreeMap<String, u64> {
    let mut classes = BTreeMap::<String, u64>::new();
    for refused in report.pools.iter().flat_map(|pool| &pool.refused) {
        let count = classes.entry(refused.class.clone()).or_default();
        *count = count.saturating_add(refused.count);
    }
    classes
}

/// Which run of which pod was read.
pub(super) fn run(pod: &scrape::Pod) -> Holder {
    Holder { pod: pod.uid.as_str().into(), boot: format!("run {}", pod.restarts).as_str().into() }
}

/// What a pod's metrics say.
pub(super) fn measured(reading: &Reading, at: Moment) -> decide::Report {
    // A library that tells how often, and not how long, says nothing of a use.
    let uses = reading.uses.map(|(count, time)| Uses { operation: "use".to_owned(), count, time });
    decide::Report {
        at,
        limit: reading.limit,
        open: reading.open,
        in_use: reading.in_use,
        waiting: reading.waiting,
        refused: reading.refused,
        uses: uses.into_iter().collect(),
        pools: Vec::new(),
        longest_lease: None,
        cpu: None,
    }
}

/// Pools of one process may have operations of one name.
fn uses(report: &broker::Report) -> Vec<Uses> {
    let mut all: Vec<Uses> = Vec::new();
    for used in report.pools.iter().flat_map(|pool| &pool.uses) {
        match all.iter_mut().find(|known| known.operation == used.operation) {
            Some(known) => (known.count, known.time) = (known.count + used.count, known.time + used.time),
            None => all.push(Uses { operation: used.operation.clone(), count: used.count, time: used.time }),
        }
    }
    all
}

/// What came of a look at a database, for the decision and, if it answered and shows what others do, for the ledger. `strangers`
/// are pods that no scaler is about, a migration's for instance: their sessions are others', however they are called.
pub(super) fn looked(
    outcome: &probe::Outcome,
    strangers: &BTreeSet<String>,
    began: Moment,
    now: Moment,
) -> (decide::Probe, Option<Look>) {
    let (outcome, look) = match outcome {
        probe::Outcome::Answered(observed) if !observed.sees_others => {
            (Outcome::Answered(decide::Database { statement: observed.statement, ..Default::default() }), None)
        }
        probe::Outcome::Answered(observed) => {
            (Outcome::Answered(database(observed)), Some(look(observed, strangers, began)))
        }
        probe::Outcome::NoSlot(_) => (Outcome::NoSlot, None),
        probe::Outcome::Failed(why) => (Outcome::Failed(why.clone()), None),
    };
    (decide::Probe { at: now, outcome }, look)
}

fn database(observed: &probe::Observed) -> decide::Database {
    let count = |doing: &[Doing]| doing.iter().filter_map(|doing| observed.doing.get(doing)).sum();
    let blockers = observed.blockers.iter().map(|blocker| decide::Blocker {
        application: blocker.application.clone(),
        query: blocker.query.clone(),
        blocks: blocker.blocked,
    });
    decide::Database {
        statement: observed.statement,
        on_cpu: count(&[Doing::Cpu]),
        on_io: count(&[Doing::Io]),
        on_locks: count(&[Doing::Lock]),
        on_other: count(&[Doing::LightweightLock, Doing::Other]),
        blockers: blockers.collect(),
    }
}

fn look(observed: &probe::Observed, strangers: &BTreeSet<String>, began: Moment) -> Look {
    // What the server shows of a long name is its beginning.
    let is_stranger =
        |shown: &str| strangers.iter().any(|name| name == shown || shown.len() >= SHOWN && name.starts_with(shown));
    let mut look = Look { started_at: began, sessions: Vec::new(), unnamed: Vec::new(), others: 0 };
    for (Client { application, address }, count) in &observed.clients {
        match (probe::boot_id(application), application.split_once('/')) {
            (Some(boot), Some((_, pod))) if !is_stranger(pod) => {
                look.sessions.push(Sessions { boot: boot.into(), pod: pod.into(), count: *count });
            }
            (Some(_), Some(_)) => look.others += count,
            _ => look.unnamed.push(Unnamed {
                address: address.as_deref().map(Into::into),
                application: application.clone(),
                count: *count,
            }),
        }
    }
    look
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_of_a_process_are_one_to_what_decides() {
        let used = |operation: &str, count, millis| broker::UseCount {
            operation: operation.into(),
            count,
            time: Duration::from_millis(millis),
        };
        let pool = |name: &str, uses| broker::PoolReport {
            name: name.into(),
            limit: 4,
            open: 3,
            in_use: 2,
            waiting: 1,
            refused: vec![broker::RefusedCount { class: "normal".into(), reason: "waited".into(), count: 5 }],
            uses,
            longest_held: Some((name.into(), Duration::from_secs(name.len() as u64))),
            unreachable: false,
        };
        let report = broker::Report {
            complied: None,
            known: Some((3, 7)),
            epoch: 3,
            limit: 8,
            open: 6,
            pools: vec![
                pool("stars", vec![used("read", 2, 10)]),
                pool("relay", vec![used("read", 1, 5), used("move", 1, 1)]),
            ],
            cpu_throttled: None,
            cpu_share: Some(0.25),
        };
        let Reported { connections, pools } = reported(&report, Moment::default());
        assert_eq!(connections.newest, Some(GrantId { epoch: 3, sequence: 7 }));
        assert_eq!((connections.limit, connections.open, connections.epoch), (8, 6, 3));
        assert_eq!((pools.limit, pools.in_use, pools.waiting, pools.refused), (8, 4, 2, 10));
        assert_eq!((pools.uses.len(), pools.cpu), (2, Some(0.25)));
        assert_eq!((pools.uses[0].count, pools.uses[0].time), (3, Duration::from_millis(15)));
        assert_eq!(pools.longest_lease.unwrap().held, Duration::from_secs(5));
    }

    #[test]
    fn what_a_role_is_not_shown_says_nothing_of_sessions() {
        let observed = |sees_others| probe::Observed {
            statement: Duration::from_millis(2),
            sees_others,
            clients: [("0a1b2c3d/cart-1", 3), ("psql", 2)]
                .map(|(name, count)| (Client { application: name.to_owned(), address: None }, count))
                .into(),
            doing: [(Doing::Cpu, 2), (Doing::Lock, 1), (Doing::Idle, 4)].into(),
            ..Default::default()
        };
        let (probe, look) = looked(
            &probe::Outcome::Answered(Box::new(observed(true))),
            &BTreeSet::new(),
            Moment::default(),
            Moment::default(),
        );
        let look = look.expect("it is shown");
        assert_eq!((look.sessions.len(), look.sessions[0].count, look.others), (1, 3, 0));
        assert_eq!(look.unnamed, [Unnamed { address: None, application: "psql".to_owned(), count: 2 }]);
        let strangers = BTreeSet::from(["cart-1".to_owned()]);
        let answered = probe::Outcome::Answered(Box::new(observed(true)));
        let (_, look) = looked(&answered, &strangers, Moment::default(), Moment::default());
        let look = look.expect("it is shown");
        assert_eq!((look.sessions.len(), look.others), (0, 3), "a pod that no scaler is about");
        let Outcome::Answered(database) = probe.outcome else { panic!("it answered") };
        assert_eq!((database.on_cpu, database.on_locks), (2, 1));
        let (_, look) = looked(
            &probe::Outcome::Answered(Box::new(observed(false))),
            &BTreeSet::new(),
            Moment::default(),
            Moment::default(),
        );
        assert_eq!(look, None);
        let refused = probe::Outcome::NoSlot("sorry".into());
        assert_eq!(looked(&refused, &BTreeSet::new(), Moment::default(), Moment::default()).0.outcome, Outcome::NoSlot);
    }
}
