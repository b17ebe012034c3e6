mod fixed;

use std::time::Duration;

use super::super::decide::{Class, Database, Outcome, Uses};
use super::super::ledger::{BootId, GrantId, ObservedPod, PodName, Sessions};
use super::*;

const FLOOR: u32 = 2;
const CEILING: u32 = 10;
/// A use of a connection takes this long for each millisecond that the probe's statement takes.
const USE: Duration = Duration::from_millis(10);

/// A pod that keeps to the protocol.
struct Pod {
    holder: Holder,
    limit: u32,
    newest: Option<GrantId>,
    uses: u64,
    used: Duration,
}

/// A workload of well-behaved pods at a server that is well, second by second.
struct World {
    control: Control,
    now: Moment,
    pods: Vec<Pod>,
    replicas: u32,
    /// Connections that the callers of each pod would use if they had them.
    demand: u32,
    /// How long the probe's statement takes.
    statement: Duration,
    /// Sessions of somebody that nobody knows.
    strangers: u32,
}

fn scaler() -> ScalerId {
    "shop/stars".into()
}

fn config() -> Config {
    let spec = ScalerSpec::new("shop/stars", (2, 8), (FLOOR, CEILING));
    let budget = Budget { max_connections: 100, superuser_reserved: 3, reserved: 0, reserve: 5, others: 5 };
    let scalers = BTreeMap::from([(scaler(), Scaled { spec, weight: 100 })]);
    Config { budget, concurrency: Some(16), scalers }
}

impl World {
    fn new(config: Config) -> Self {
        let mut world = Self {
            control: Control::new(config, &Baselines::default()),
            now: Moment::after_start(Duration::from_secs(100)),
            pods: Vec::new(),
            replicas: 2,
            demand: 1,
            statement: Duration::from_millis(1),
            strangers: 0,
        };
        world.start_pods();
        world
    }

    /// One that leads, and whose pods have been quiet for long enough to know what is normal.
    fn settled(config: Config) -> Self {
        let mut world = Self::new(config);
        world.lead();
        for _ in 0..70 {
            world.second();
        }
        world
    }

    fn lead(&mut self) {
        self.control.lead(7, self.now + Duration::from_secs(3600), self.now);
    }

    /// Replicas that were asked for are there at once.
    fn start_pods(&mut self) {
        for index in self.pods.len()..self.replicas as usize {
            let holder = Holder { pod: format!("uid-{index}").as_str().into(), boot: boot(index) };
            self.pods.push(Pod { holder, limit: 0, newest: None, uses: 0, used: Duration::ZERO });
        }
    }

    /// A second in which all is told, and what follows is done.
    fn second(&mut self) -> Next {
        self.now = self.now + Duration::from_secs(1);
        let pods = self.pods.iter().enumerate().map(|(index, pod)| ObservedPod {
            uid: pod.holder.pod.clone(),
            name: name(index),
            scaler: scaler(),
            phase: Phase::Bound,
            bounds: None,
            address: None,
        });
        let workloads = Workloads {
            pods: PodSet { listed_at: self.now, pods: pods.collect() },
            ready: self.pods.iter().map(|pod| (pod.holder.pod.clone(), Moment::default())).collect(),
            replicas: BTreeMap::from([(scaler(), self.replicas)]),
        };
        self.control.workloads(workloads, self.now);
        self.look();
        for index in 0..self.pods.len() {
            self.report(index);
        }
        let next = self.control.next(self.now);
        for (holder, grant) in &next.grants {
            let pod = self.pods.iter_mut().find(|pod| pod.holder == *holder).expect("a pod");
            assert!(pod.newest <= Some(grant.id), "older than one that it has");
            (pod.limit, pod.newest) = (grant.connections, Some(grant.id));
        }
        let sum: u32 = self.pods.iter().map(|pod| pod.limit).sum();
        assert!(sum <= self.control.config.budget.connections(), "{sum} connections");
        if let Some(replicas) = next.replicas.get(&scaler()) {
            self.replicas = *replicas;
            self.start_pods();
        }
        next
    }

    fn look(&mut self) {
        let database = Database { statement: self.statement, on_cpu: 2, ..Database::default() };
        let probe = Probe { at: self.now, outcome: Outcome::Answered(database) };
        let mut sessions: Vec<_> = (self.pods.iter().enumerate())
            .map(|(index, pod)| Sessions { boot: boot(index), pod: name(index), count: pod.limit })
            .collect();
        sessions.push(Sessions { boot: "57a9ce12".into(), pod: "stranger".into(), count: self.strangers });
        self.control.probed(
            probe,
            Some(Look { started_at: self.now, sessions, unnamed: Vec::new(), others: 2 }),
            self.now,
        );
    }

    fn report(&mut self, index: usize) {
        let (now, demand) = (self.now, self.demand);
        let pod = &mut self.pods[index];
        let in_use = demand.min(pod.limit);
        // At a slow server each use takes as many times as long as its statements do.
        let took = USE * u32::try_from(self.statement.as_millis()).unwrap();
        let uses = in_use * u32::try_from(Duration::from_secs(1).as_millis() / took.as_millis()).unwrap();
        pod.uses += u64::from(uses);
        pod.used += took * uses;
        let hello = Hello { name: name(index), bounds: Bounds { floor: FLOOR, ceiling: CEILING } };
        let report = decide::Report {
            at: now,
            limit: pod.limit,
            open: pod.limit,
            in_use,
            waiting: demand - in_use,
            uses: vec![Uses { operation: "read".into(), count: pod.uses, time: pod.used }],
            ..decide::Report::default()
        };
        let connections = ledger::Report { epoch: 7, newest: pod.newest, limit: pod.limit, open: pod.limit };
        let holder = pod.holder.clone();
        self.control.attached(&holder, &hello, now);
        self.control.reported(&holder, Reported { connections, pools: report }, now);
    }

    fn class(next: &Next) -> Class {
        next.decisions[0].class
    }
}

fn boot(index: usize) -> BootId {
    format!("{index:08x}").as_str().into()
}

fn name(index: usize) -> PodName {
    format!("stars-{index}").as_str().into()
}

#[test]
fn whoever_does_not_lead_sends_and_sets_nothing() {
    let mut world = World::new(config());
    world.demand = 50;
    for _ in 0..30 {
        let next = world.second();
        assert!(next.grants.is_empty() && next.replicas.is_empty(), "{next:?}");
        assert_eq!(next.ledger.epoch, None);
    }
    world.lead();
    let next = world.second();
    assert_eq!(next.grants.len(), 2, "each pod its first");
}

#[test]
fn a_surge_raises_limits_within_three_seconds_and_replicas_within_ten() {
    let mut world = World::settled(config());
    let before: u32 = world.pods.iter().map(|pod| pod.limit).sum();
    world.demand = 30;
    let after = |world: &mut World, done: &dyn Fn(&World) -> bool| {
        (1..=60).find(|_| {
            world.second();
            done(world)
        })
    };
    let raised = after(&mut world, &|world| world.pods.iter().map(|pod| pod.limit).sum::<u32>() > before);
    assert!(raised.is_some_and(|seconds| seconds <= 3), "{raised:?}");
    let scaled = after(&mut world, &|world| world.replicas > 2);
    assert!(scaled.is_some_and(|seconds| seconds + raised.unwrap_or(0) <= 10), "{scaled:?}");
}

#[test]
fn a_slow_database_gets_no_replicas_however_many_wait() {
    let mut world = World::settled(config());
    world.demand = 30;
    world.statement *= 10;
    let classes: Vec<_> = (0..60).map(|_| World::class(&world.second())).collect();
    assert_eq!(world.replicas, 2, "{classes:?}");
    assert!(classes.contains(&Class::DatabaseBound), "{classes:?}");
}

#[test]
fn who_only_observes_sets_nothing_and_leaves_pods_what_they_can_use() {
    let mut config = config();
    config.scalers.get_mut(&scaler()).unwrap().spec.mode = Mode::Observe;
    let mut world = World::settled(config);
    assert!(world.pods.iter().all(|pod| pod.limit == CEILING), "as without an operator");
    world.demand = 30;
    let wanted = (0..30).map(|_| world.second().decisions[0].replicas).max();
    assert!(wanted > Some(2), "it is said what would be done");
    assert_eq!(world.replicas, 2);
}

#[test]
fn replicas_are_not_set_beyond_what_floors_are_set_aside_for() {
    let mut world = World::settled(config());
    world.demand = 30;
    // So small a budget that floors of no more than these can be: (2 × 4 + 1) × 2.
    world.control.configure(Config { budget: Budget { max_connections: 45, ..config().budget }, ..config() });
    for _ in 0..60 {
        let next = world.second();
        let ledger = &next.ledger;
        assert!(ledger.charged + ledger.set_aside <= ledger.budget.max(87), "{ledger:?}");
        if let (Some(replicas), Some(scaler)) = (next.replicas.get(&scaler()), ledger.scalers.get(&scaler())) {
            assert!(replicas * 2 < scaler.provided.max(5), "{next:?}");
        }
    }
}

#[test]
fn who_has_more_open_than_is_charged_is_named_when_no_slot_is_left() {
    let mut world = World::settled(config());
    world.strangers = 40;
    world.second();
    let probe = Probe { at: world.now, outcome: Outcome::NoSlot };
    world.control.probed(probe, None, world.now);
    let decision = &world.control.next(world.now).decisions[0];
    assert_eq!(decision.class, Class::NoSlotLeft);
    assert!(decision.why.contains("57a9ce12/stranger"), "{}", decision.why);
}

#[test]
fn reports_of_pods_that_are_gone_are_forgotten() {
    let mut world = World::settled(config());
    world.replicas = 1;
    world.pods.truncate(1);
    world.second();
    assert_eq!(world.control.reports.len(), 1);
    // A container that was started anew, time and again.
    for run in 0..200_usize {
        world.control.detached(&world.pods[0].holder, world.now);
        world.pods[0].holder.boot = boot(1000 + run);
        let pod = &mut world.pods[0];
        (pod.limit, pod.newest, pod.uses, pod.used) = (0, None, 0, Duration::ZERO);
        world.second();
    }
    assert!(world.control.reports.len() <= 61, "{}", world.control.reports.len());
}
