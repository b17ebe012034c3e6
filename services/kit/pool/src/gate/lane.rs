//! Those who wait, by class, and how long a newcomer would.

use std::collections::VecDeque;
use std::task::Waker;

use tokio::time::Instant;

use super::Class;

/// Every so many hand-outs one goes to a lower class, if one waits: no class starves, and what is critical keeps 7 in 8.
const LOWER_EVERY: u32 = 8;
/// How much a new interval between two hand-outs counts against those before: the mean of about the last seven.
const INTERVAL_WEIGHT: f64 = 0.25;
/// A hand-out that is this many intervals late means a standstill, not chance: with random use times one in twenty takes
/// three times the mean.
const LATE: f64 = 3.0;

/// One who waits.
#[derive(Debug)]
struct Waiter {
    /// Grows from the first of its class to the last.
    ticket: i64,
    until: Instant,
    waker: Waker,
}

/// Those of one class, in the order of asking.
#[derive(Debug)]
struct Lane {
    waiters: VecDeque<Waiter>,
    /// The mean time between two hand-outs to this class, since somebody waits in it, in seconds.
    interval: f64,
    /// The last hand-out, or when the first began to wait.
    moved: Option<Instant>,
}

/// What one asks for.
pub(super) struct Asks<'a> {
    pub(super) class: Class,
    /// Before all others of its class.
    pub(super) front: bool,
    pub(super) until: Instant,
    pub(super) waker: &'a Waker,
}

/// The lanes of a gate.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: [Lane; Class::ALL.len()],
    last: i64,
    first: i64,
    /// Hand-outs since one was given by who had been passed over, while lower classes wait.
    since_lower: u32,
    /// Hand-outs to others since each class was served, while it waits.
    passed: [u32; Class::ALL.len()],
    /// Since when somebody waits.
    since: Option<Instant>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        let lane = || Lane { waiters: VecDeque::new(), interval: 0.0, moved: None };
        Self { lanes: [lane(), lane(), lane()], last: 0, first: 0, since_lower: 0, passed: [0; 3], since: None }
    }

    pub(super) fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiters.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.waiters.is_empty())
    }

    pub(super) fn of(&self, class: Class) -> usize {
        self.lanes[class as usize].waiters.len()
    }

    /// Since when there is always somebody who waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Adds one; `front` puts it before all others of its class. `interval` is what a hand-out takes if nothing is known
    /// better.
    pub(super) fn add(&mut self, asks: &Asks<'_>, interval: f64, now: Instant) -> i64 {
        self.since.get_or_insert(now);
        let lane = &mut self.lanes[asks.class as usize];
        if lane.waiters.is_empty() {
            (lane.interval, lane.moved) = (interval, Some(now));
        }
        let waiter = |ticket| Waiter { ticket, until: asks.until, waker: asks.waker.clone() };
        if asks.front {
            self.first -= 1;
            lane.waiters.push_front(waiter(self.first));
            self.first
        } else {
            self.last += 1;
            lane.waiters.push_back(waiter(self.last));
            self.last
        }
    }

    /// How long one who comes now would wait: those before it × the time between hand-outs. `interval` is the time between
    /// hand-outs to anybody, by the mean use and the number of slots; what the class has got since it waits counts where
    /// that is less. A standstill is expected to last for as long again as it has lasted.
    ///
    /// In seconds, as it is reckoned for each who waits.
    pub(super) fn forecast(&self, class: Class, interval: f64, now: Instant) -> f64 {
        let before: usize = self.lanes[..=class as usize].iter().map(|lane| lane.waiters.len()).sum();
        let mut seconds = (before + 1) as f64 * interval;
        let lane = &self.lanes[class as usize];
        if let (false, Some(moved)) = (lane.waiters.is_empty(), lane.moved) {
            let late = now.saturating_duration_since(moved).as_secs_f64() - LATE * lane.interval;
            seconds = seconds.max((lane.waiters.len() + 1) as f64 * lane.interval + late.max(0.0));
        }
        seconds
    }

    /// Keeps the waker of one who waits; `false` if it doesn't.
    pub(super) fn remember(&mut self, class: Class, ticket: i64, waker: &Waker) -> bool {
        let Ok(position) = self.find(class, ticket) else { return false };
        self.lanes[class as usize].waiters[position].waker.clone_from(waker);
        true
    }

    fn find(&self, class: Class, ticket: i64) -> Result<usize, usize> {
        self.lanes[class as usize].waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket)
    }

    /// Takes the one whose turn it is.
    pub(super) fn next(&mut self, now: Instant) -> Option<(i64, Waker)> {
        let class = self.turn()?;
        let lane = &mut self.lanes[class];
        let Waiter { ticket, waker, .. } = lane.waiters.pop_front()?;
        if let Some(moved) = lane.moved.replace(now) {
            let took = now.saturating_duration_since(moved).as_secs_f64();
            lane.interval += INTERVAL_WEIGHT * (took - lane.interval);
        }
        self.moved_on();
        Some((ticket, waker))
    }

    /// Whose turn it is: the highest class that waits, and every eighth time the one that was passed over most.
    fn turn(&mut self) -> Option<usize> {
        let waits = self.lanes.each_ref().map(|lane| !lane.waiters.is_empty());
        let highest = waits.iter().position(|waits| *waits)?;
        if waits[highest + 1..].iter().all(|waits| !waits) {
            (self.since_lower, self.passed) = (0, [0; Class::ALL.len()]);
            return Some(highest);
        }
        self.since_lower += 1;
        let mut served = highest;
        if self.since_lower == LOWER_EVERY {
            self.since_lower = 0;
            for class in (0..waits.len()).filter(|class| waits[*class]) {
                if self.passed[class] > self.passed[served] {
                    served = class;
                }
            }
        }
        for (class, (passed, waits)) in self.passed.iter_mut().zip(waits).enumerate() {
            *passed = if waits && class != served { *passed + 1 } else { 0 };
        }
        Some(served)
    }

    /// Takes one out that waits no longer; `false` if it didn't wait.
    pub(super) fn remove(&mut self, class: Class, ticket: i64) -> bool {
        let Ok(position) = self.find(class, ticket) else { return false };
        self.lanes[class as usize].waiters.remove(position);
        self.moved_on();
        true
    }

    /// Takes out those who have waited for long enough.
    pub(super) fn take_late(&mut self, now: Instant) -> Vec<(Class, i64, Waker)> {
        let mut late = Vec::new();
        for class in Class::ALL {
            self.lanes[class as usize].waiters.retain(|waiter| {
                let stays = waiter.until > now;
                if !stays {
                    late.push((class, waiter.ticket, waiter.waker.clone()));
                }
                stays
            });
        }
        self.moved_on();
        late
    }

    /// Takes all out.
    pub(super) fn take_all(&mut self) -> Vec<(i64, Waker)> {
        self.since = None;
        let all = self.lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.waiters));
        all.map(|waiter| (waiter.ticket, waiter.waker)).collect()
    }

    fn moved_on(&mut self) {
        if self.is_empty() {
            self.since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn add(lanes: &mut Lanes, class: Class, now: Instant) -> i64 {
        lanes.add(&Asks { class, front: false, until: now, waker: Waker::noop() }, 0.001, now)
    }

    #[test]
    fn within_a_class_it_is_first_come_first_served() {
        let (mut lanes, now) = (Lanes::new(), Instant::now());
        let first = add(&mut lanes, Class::Normal, now);
        let second = add(&mut lanes, Class::Normal, now);
        let asks = Asks { class: Class::Normal, front: true, until: now, waker: Waker::noop() };
        let ahead = lanes.add(&asks, 0.001, now);
        let order: Vec<_> = std::iter::from_fn(|| lanes.next(now)).map(|(ticket, _)| ticket).collect();
        assert_eq!(order, [ahead, first, second]);
        assert!(lanes.is_empty() && lanes.since().is_none());
    }

    #[test]
    fn each_lower_class_gets_its_share_and_no_more() {
        let (mut lanes, now) = (Lanes::new(), Instant::now());
        let mut class_of = BTreeMap::new();
        for class in Class::ALL {
            for _ in 0..200 {
                class_of.insert(add(&mut lanes, class, now), class);
            }
        }
        let mut served = [0; 3];
        for _ in 0..160 {
            let (ticket, _) = lanes.next(now).unwrap();
            served[class_of[&ticket] as usize] += 1;
        }
        assert_eq!(served, [140, 10, 10]);
    }

    #[test]
    fn the_forecast_counts_those_before_and_a_standstill() {
        let (mut lanes, now) = (Lanes::new(), Instant::now());
        let ms = |ms: u32| f64::from(ms) / 1e3;
        let near = |forecast: f64, expected: f64| assert!((forecast - expected).abs() < 1e-6, "{forecast}");
        near(lanes.forecast(Class::Normal, 0.001, now), ms(1));
        for _ in 0..9 {
            add(&mut lanes, Class::Critical, now);
        }
        near(lanes.forecast(Class::Normal, 0.001, now), ms(10));
        add(&mut lanes, Class::Sheddable, now);
        // Who comes after doesn't count.
        near(lanes.forecast(Class::Normal, 0.001, now), ms(10));
        // Nothing has moved for long.
        near(lanes.forecast(Class::Critical, 0.001, now + Duration::from_millis(203)), ms(210));
    }

    #[test]
    fn a_class_that_gets_little_is_forecast_by_what_it_gets() {
        let (mut lanes, now) = (Lanes::new(), Instant::now());
        for _ in 0..400 {
            add(&mut lanes, Class::Critical, now);
        }
        for _ in 0..20 {
            add(&mut lanes, Class::Sheddable, now);
        }
        let at = |turn: u64| now + Duration::from_millis(turn);
        for turn in 1..=160 {
            lanes.next(at(turn));
            add(&mut lanes, Class::Critical, at(turn));
        }
        // None left but criticals: no sheddable one has been served but every eighth, 20 of 160.
        assert_eq!(lanes.of(Class::Sheddable), 0);
        for _ in 0..20 {
            add(&mut lanes, Class::Sheddable, at(160));
        }
        for turn in 161..=240 {
            lanes.next(at(turn));
            add(&mut lanes, Class::Critical, at(turn));
        }
        let forecast = lanes.forecast(Class::Sheddable, 0.0001, at(240));
        assert!(forecast > 0.06, "eight times slower than the gate as a whole: {forecast:?}");
    }
}
