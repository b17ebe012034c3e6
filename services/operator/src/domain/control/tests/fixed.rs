//! Pods whose pools are their own, from what their metrics say to replicas.

use std::time::Duration;

use super::super::super::decide::{Class, Report};
use super::super::super::ledger::{ObservedPod, Standing, Unnamed};
use super::*;

const SIZE: u32 = 10;

/// What each pod says: connections in use, and callers who wait.
struct Says {
    in_use: u32,
    waiting: u32,
    most: u32,
}

const PRESSED: Says = Says { in_use: 10, waiting: 7, most: SIZE };

/// A server for 120 connections, and a workload of two pods that are asked each second.
struct Java {
    control: Control,
    now: Moment,
    pods: u32,
    restarts: u32,
}

impl Java {
    fn leads() -> Self {
        let mut config = config();
        config.budget.max_connections = 120;
        let spec = ScalerSpec { is_fixed: true, ..ScalerSpec::new("shop/stars", (2, 8), (SIZE, SIZE)) };
        config.scalers = BTreeMap::from([(scaler(), Scaled { spec, weight: 100 })]);
        let now = Moment::after_start(Duration::from_secs(100));
        let mut java = Self { control: Control::new(config, &Baselines::default()), now, pods: 2, restarts: 0 };
        java.control.lead(7, now + Duration::from_secs(9_999), now);
        java
    }

    /// A second; nobody is heard without a word.
    fn second(&mut self, says: Option<&Says>) -> Next {
        self.now = self.now + Duration::from_secs(1);
        let uid = |pod: u32| PodUid::from(format!("uid-{pod}").as_str());
        let pods = (0..self.pods).map(|pod| ObservedPod {
            uid: uid(pod),
            name: name(pod as usize),
            scaler: scaler(),
            phase: Phase::Bound,
            bounds: None,
            address: Some(format!("10.0.0.{pod}").as_str().into()),
        });
        let workloads = Workloads {
            pods: PodSet { listed_at: self.now, pods: pods.collect() },
            ready: (0..self.pods).map(|pod| (uid(pod), Moment::default())).collect(),
            replicas: BTreeMap::from([(scaler(), self.pods)]),
        };
        self.control.workloads(workloads, self.now);
        let unnamed = (0..self.pods).map(|pod| Unnamed {
            address: Some(format!("10.0.0.{pod}").as_str().into()),
            application: "PostgreSQL JDBC Driver".to_owned(),
            count: SIZE,
        });
        let look = Look { started_at: self.now, sessions: Vec::new(), unnamed: unnamed.collect(), others: 2 };
        let probe = Probe { at: self.now, outcome: Outcome::Answered(Database::default()) };
        self.control.probed(probe, Some(look), self.now);
        for pod in (0..self.pods).filter(|_| says.is_some()) {
            let Some(Says { in_use, waiting, most }) = says else { continue };
            let holder = Holder { pod: uid(pod), boot: format!("run {}", self.restarts).as_str().into() };
            let (limit, open) = (*most, *most);
            let report = Report { at: self.now, limit, open, in_use: *in_use, waiting: *waiting, ..Report::default() };
            self.control.measured(&holder, report, self.now);
        }
        let next = self.control.next(self.now);
        assert!(next.grants.is_empty(), "there is nobody to grant anything");
        next
    }

    fn seconds(&mut self, count: u32, says: Option<&Says>) -> Next {
        (0..count).map(|_| self.second(says)).last().expect("a second at least")
    }
}

#[test]
fn who_waits_gets_replicas_as_far_as_the_budget_has_room_for_whole_pools() {
    let mut java = Java::leads();
    let quiet = java.seconds(5, Some(&Says { in_use: 2, waiting: 0, most: SIZE }));
    // 120 without 3, 5 and 5: seventeen places of ten are worth more.
    assert_eq!((quiet.ledger.budget, quiet.ledger.charged, quiet.ledger.set_aside), (107, 20, 150));
    assert!(
        quiet.ledger.entries.iter().all(|entry| matches!(entry.standing, Standing::OwnPool { most: 10, sessions: 10 }))
    );
    for _ in 0..60 {
        if let Some(replicas) = java.second(Some(&PRESSED)).replicas.get(&scaler()) {
            java.pods = *replicas;
        }
    }
    // Ten are ten pools: four pods, their successors, and one that surges are nine.
    assert_eq!(java.pods, 4);
    let last = java.second(Some(&PRESSED));
    assert_eq!(last.decisions[0].class, Class::ReplicaBound);
    assert!(last.decisions[0].constraints.iter().any(|limit| limit.name() == "floors"), "{:?}", last.decisions[0]);
}

#[test]
fn nothing_shrinks_while_nobody_is_heard_and_another_run_is_another_process() {
    let mut java = Java::leads();
    java.pods = 4;
    java.seconds(5, Some(&PRESSED));
    let silent = java.seconds(400, None);
    assert_eq!((silent.decisions[0].class, silent.decisions[0].replicas), (Class::MetricsStale, 4));
    java.restarts += 1;
    let anew = java.seconds(2, Some(&Says { in_use: 0, waiting: 0, most: SIZE }));
    assert_eq!((anew.decisions[0].class, anew.replicas.is_empty()), (Class::Hold, true), "calm begins anew");
    let larger = java.seconds(3, Some(&Says { most: 14, ..PRESSED }));
    assert_eq!(larger.ledger.charged, 56, "what they say that they may have");
    assert!(larger.decisions[0].constraints.iter().any(|limit| limit.name() == "poolsExceed"));
}
