//! The gate in simulated time: callers that come, hold, give up and are dropped, connections that are made late or not at
//! all, that die and are stranded, limits that change. After each step the whole is looked at. A seed tells a run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use super::core::{Asked, Core, Handout, MAX_WAITING_PER_SLOT};
use super::lane::Asks;
use super::{Class, Limits, Reason};

const STEPS: usize = 3_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives,
    /// Somebody has waited for as long as it can.
    Expires,
    /// Its future is dropped.
    Leaves(i64),
    Returns(usize),
    /// The connection died: it is closed, and its server asked.
    Dies(usize),
    Made(usize),
    Failed(usize),
    Gone(usize),
    LimitSet(u32),
}

/// Knows whether it was woken.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Waiting {
    class: Class,
    bell: Arc<Bell>,
}

struct World {
    random: StdRng,
    core: Core<u64>,
    now: Instant,
    began: Instant,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    scheduled: u64,
    waiting: BTreeMap<i64, Waiting>,
    made: u64,
    open_before: u32,
    /// Hand-outs since each class was served, while it waited.
    passed_over: [u32; 3],
    served: u64,
    refused: u64,
    /// The load, as a multiple of what the ceiling can do.
    load: f64,
}

const CEILING: u32 = 12;
const USE: Duration = Duration::from_millis(4);

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let now = Instant::now();
        let limits = Limits { floor: random.random_range(1..=3), limit: 6, ceiling: CEILING, spare: 1 };
        let load = random.random_range(0.1..3.0);
        Self {
            core: Core::new(limits),
            random,
            now,
            began: now,
            events: BinaryHeap::new(),
            scheduled: 0,
            waiting: BTreeMap::new(),
            made: 0,
            open_before: 0,
            passed_over: [0; 3],
            served: 0,
            refused: 0,
            load,
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    /// Exponentially distributed.
    fn about(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-self.random.random_range(f64::MIN_POSITIVE..1.0).ln())
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((self.now + delay, self.scheduled, event)));
    }

    fn run(&mut self) {
        self.after(Duration::ZERO, Event::Arrives);
        for _ in 0..5 {
            let (at, limit) = (self.random.random_range(0..1500), self.random.random_range(0..=CEILING + 3));
            self.after(Duration::from_millis(at), Event::LimitSet(limit));
        }
        for step in 0.. {
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            self.now = at;
            self.happens(event, step < STEPS);
            self.keep();
            self.collect();
            self.check(event);
        }
    }

    fn happens(&mut self, event: Event, go_on: bool) {
        let now = self.now;
        let woken = match event {
            Event::Arrives => {
                self.arrives();
                if go_on {
                    let gap = USE.div_f64(f64::from(CEILING) * self.load);
                    let gap = self.about(gap);
                    self.after(gap, Event::Arrives);
                }
                None
            }
            Event::Leaves(ticket) => match self.waiting.remove(&ticket) {
                Some(waiting) => self.core.leave(waiting.class, ticket, now),
                None => None,
            },
            Event::Expires => {
                self.core.refuse_late(now).into_iter().for_each(Waker::wake);
                None
            }
            Event::Returns(slot) => {
                let item = self.made;
                self.core.give_back(slot, item, now, true)
            }
            Event::Dies(slot) => {
                self.core.end(slot);
                if self.chance(0.5) {
                    self.core.strand(slot);
                }
                let until_gone = self.about(Duration::from_millis(30));
                self.after(until_gone, Event::Gone(slot));
                None
            }
            Event::Made(slot) => {
                self.made += 1;
                self.core.opened(slot, self.made, now)
            }
            Event::Failed(slot) => {
                let pause = self.about(Duration::from_millis(50));
                self.core.opening_failed(slot, now + pause, now).into_iter().for_each(Waker::wake);
                // Whoever keeps a real gate looks again then.
                self.after(pause, Event::LimitSet(self.core.limits().limit));
                None
            }
            Event::Gone(slot) => {
                self.core.gone(slot);
                None
            }
            Event::LimitSet(limit) => {
                self.core.change_limit(|owned| owned.configure(limit));
                None
            }
        };
        woken.into_iter().for_each(Waker::wake);
    }

    fn arrives(&mut self) {
        let class = Class::ALL[self.random.random_range(0..3)];
        let patience = self.about(Duration::from_millis(40));
        let front = self.chance(0.02);
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        let until = self.now + patience;
        match self.core.ask(&Asks { class, front, until, waker: &waker }, self.now) {
            Asked::Served(handout) => self.served(handout),
            Asked::Refused(refusal) => {
                assert!(matches!(refusal.reason, Reason::WouldWait | Reason::QueueFull), "{refusal:?}");
                self.refused += 1;
            }
            Asked::Waits(ticket) => {
                let limit = self.core.limits().limit.max(1);
                assert!(self.core.waiting()[class as usize] <= limit * MAX_WAITING_PER_SLOT, "the queue's bound");
                self.waiting.insert(ticket, Waiting { class, bell });
                self.after(patience, Event::Expires);
                if self.chance(0.1) {
                    let soon = self.about(patience / 2);
                    self.after(soon, Event::Leaves(ticket));
                }
            }
        }
    }

    fn served(&mut self, handout: Handout<u64>) {
        self.served += 1;
        let held = self.about(USE);
        let ends = if self.chance(0.02) { Event::Dies(handout.slot) } else { Event::Returns(handout.slot) };
        self.after(held, ends);
    }

    /// What the keeper of a pool does.
    fn keep(&mut self) {
        for (slot, _) in self.core.take_surplus() {
            let took = self.about(Duration::from_millis(2));
            self.after(took, Event::Gone(slot));
        }
        while let Some(slot) = self.core.begin_opening(self.now) {
            let took = self.about(Duration::from_millis(8));
            let event = if self.chance(0.1) { Event::Failed(slot) } else { Event::Made(slot) };
            self.after(took, event);
        }
    }

    /// Those who were woken come for their answers; whoever has one was woken.
    fn collect(&mut self) {
        let tickets: Vec<_> = self.waiting.keys().copied().collect();
        let before: [u32; 3] = self.core.waiting();
        for ticket in tickets {
            let waiting = &self.waiting[&ticket];
            let (class, rung) = (waiting.class, waiting.bell.0.load(Ordering::Relaxed));
            let waker = Waker::from(waiting.bell.clone());
            let Some(answer) = self.core.answer(class, ticket, &waker) else { continue };
            assert!(rung, "a wake-up was lost");
            self.waiting.remove(&ticket);
            match answer {
                Ok(handout) => {
                    self.in_turn(class, ticket, before);
                    self.served(handout);
                }
                Err(refusal) => {
                    assert!(matches!(refusal.reason, Reason::Unreachable | Reason::Waited), "{refusal:?}");
                    self.refused += 1;
                }
            }
        }
    }

    /// First come, first served within a class, and no class is passed over for long.
    fn in_turn(&mut self, class: Class, ticket: i64, waiting: [u32; 3]) {
        let overtaken = self.waiting.iter().any(|(other, waiting)| waiting.class == class && *other < ticket);
        assert!(!overtaken, "one of {class:?} who came before still waits");
        for other in Class::ALL {
            let passed = &mut self.passed_over[other as usize];
            *passed = if other == class || waiting[other as usize] == 0 { 0 } else { *passed + 1 };
            assert!(*passed <= 16, "{other:?} starves: {passed} {waiting:?} after {class:?}");
        }
    }

    fn check(&mut self, event: Event) {
        let (counts, limits) = (self.core.counts(), self.core.limits());
        let open = counts.open();
        let at = self.now - self.began;
        assert!(
            open <= limits.limit.max(self.open_before),
            "{at:?} {event:?}: {open} open, the limit is {}, and {} were before",
            limits.limit,
            self.open_before
        );
        self.open_before = open;
        let waiting: u32 = self.core.waiting().iter().sum();
        assert_eq!(waiting as usize, self.waiting.len(), "{at:?} {event:?}: nobody is forgotten");
        assert!(waiting == 0 || counts.idle == 0, "{at:?} {event:?}: some wait beside idle ones");
        let under_way = counts.lent + counts.opening + counts.closing + counts.stranded;
        assert!(
            waiting == 0 || under_way > 0 || self.core.retry_connect_at().is_some_and(|at| at > self.now),
            "{at:?} {event:?}: {waiting} wait for nothing, {counts:?}"
        );
        self.core.check_counts();
    }
}

#[test]
fn whatever_happens_in_whatever_order_the_gate_keeps_its_promises() {
    let seeds = if std::env::var("SELVAGE_TESTS").is_ok_and(|form| form == "full") { 4_000 } else { 60 };
    let (mut served, mut refused) = (0, 0);
    for seed in 0..seeds {
        let mut world = World::new(seed);
        world.run();
        let counts = world.core.counts();
        assert!(world.waiting.is_empty() && counts.lent == 0, "seed {seed}: all have come to their end, {counts:?}");
        let floor = world.core.limits().floor;
        assert!(counts.idle >= floor, "seed {seed}: the floor is there, {counts:?}");
        world.core.close(world.now).into_iter().for_each(Waker::wake);
        world.keep();
        while let Some(Reverse((at, _, event))) = world.events.pop() {
            world.now = at;
            world.happens(event, false);
            world.keep();
        }
        assert_eq!(world.core.counts().open(), 0, "seed {seed}: nothing is left of a closed gate");
        served += world.served;
        refused += world.refused;
    }
    assert!(served > 10_000 && refused > 1_000, "both happen: {served} served, {refused} refused");
}

/// The deterministic half of "the outage in small": 5 × what can be done, a mean wait that a third can't bear.
#[test]
fn overload_is_refused_at_once_and_places_never_stand_idle() {
    let limits = Limits { floor: 2, limit: 2, ceiling: 2, spare: 0 };
    let (mut core, mut now) = (Core::new(limits), Instant::now());
    let (use_time, patience) = (Duration::from_millis(50), Duration::from_secs(1));
    for item in 0..2 {
        let slot = core.reserve().expect("there is room");
        core.opened(slot, item, now);
    }
    let (mut busy, mut waiting): (Vec<(Instant, usize)>, BTreeMap<i64, Instant>) = (Vec::new(), BTreeMap::new());
    let (mut served, mut at_once, mut late, mut longest) = (0_u32, 0_u32, 0_u32, Duration::ZERO);
    // 20 s in steps of 5 ms, an arrival in each: 200 a second, where 40 can be served.
    for _ in 0..4_000 {
        now += Duration::from_millis(5);
        let (ended, rest): (Vec<_>, Vec<_>) = busy.into_iter().partition(|(ends, _)| *ends <= now);
        busy = rest;
        for (_, slot) in ended {
            core.give_back(slot, 0, now, true);
            served += 1;
        }
        late += u32::try_from(core.refuse_late(now).len()).expect("few");
        waiting.retain(|ticket, asked| match core.answer(Class::Normal, *ticket, Waker::noop()) {
            Some(Ok(handout)) => {
                longest = longest.max(now - *asked);
                busy.push((now + use_time, handout.slot));
                false
            }
            Some(Err(refusal)) => {
                assert_eq!(refusal.reason, Reason::Waited);
                false
            }
            None => true,
        });
        let asks = Asks { class: Class::Normal, front: false, until: now + patience, waker: Waker::noop() };
        match core.ask(&asks, now) {
            Asked::Served(handout) => busy.push((now + use_time, handout.slot)),
            Asked::Waits(ticket) => drop(waiting.insert(ticket, now)),
            Asked::Refused(refusal) => {
                assert_eq!(refusal.reason, Reason::WouldWait);
                at_once += 1;
            }
        }
    }
    assert!(served >= 780, "{served} served of the 800 that can be");
    assert!(longest <= patience, "{longest:?}");
    assert!(late * 10 < at_once, "{at_once} were refused at once, {late} after they had waited");
}
