//! The gate's state, apart from its lock and its clock: every step is told the time, and so can be simulated.

use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::lane::{Asks, Lanes};
use super::limit::OwnedLimit;
use super::{Class, Grant, LimitOwner, Limits, Reason, Refusal};

/// Waiters of one class, for each slot: with uses of 4 ms the last of them waits for 256 × 4 ms ≈ 1 s. The forecast
/// refuses earlier where uses are longer; this bounds the memory where they are shorter, or not known yet.
pub(super) const MAX_WAITING_PER_SLOT: u32 = 256;
/// How much the last use counts against those before: the mean of about the last 31.
const USE_WEIGHT: f64 = 1.0 / 16.0;
/// How many connections are being made at a time: more would be a herd at the door of a server that comes back.
const MAX_OPENING: u32 = 4;

/// What becomes of one who asks.
#[derive(Debug)]
pub(super) enum Asked<T> {
    Served(Handout<T>),
    Waits(i64),
    Refused(Refusal),
}

/// An item that was handed out.
#[derive(Debug)]
pub(super) struct Handout<T> {
    pub(super) slot: usize,
    pub(super) item: T,
    /// Since when.
    pub(super) since: Instant,
    /// How long nobody had used it; for ever, if it is under suspicion.
    pub(super) idle_for: Duration,
}

/// One of the items that the limit counts.
#[derive(Debug)]
enum Slot<T> {
    Free,
    /// Being made.
    Opening,
    Idle {
        item: T,
        since: Instant,
        suspect: bool,
    },
    Lent {
        since: Instant,
    },
    /// Being ended.
    Closing,
    /// Ended by us, and perhaps not by the other side.
    Stranded,
}

/// How many slots are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Being made.
    pub opening: u32,
    /// Waiting to be used.
    pub idle: u32,
    /// Handed out.
    pub lent: u32,
    /// Being ended.
    pub closing: u32,
    /// Ended by us, and perhaps not by the other side.
    pub stranded: u32,
}

impl Counts {
    /// All that the limit counts.
    pub fn open(&self) -> u32 {
        self.staying() + self.closing
    }

    /// Those that won't be gone soon.
    fn staying(&self) -> u32 {
        self.opening + self.idle + self.lent + self.stranded
    }

    fn of<T>(&mut self, slot: &Slot<T>) -> Option<&mut u32> {
        match slot {
            Slot::Free => None,
            Slot::Opening => Some(&mut self.opening),
            Slot::Idle { .. } => Some(&mut self.idle),
            Slot::Lent { .. } => Some(&mut self.lent),
            Slot::Closing => Some(&mut self.closing),
            Slot::Stranded => Some(&mut self.stranded),
        }
    }
}

#[derive(Debug)]
pub(super) struct Core<T> {
    /// Floor, ceiling, and the limit that is in force.
    limits: Limits,
    /// Who said which limit.
    owned: OwnedLimit,
    slots: Vec<Slot<T>>,
    counts: Counts,
    /// The last one that came back is the first to go out: the others may grow old and be closed.
    idle: Vec<usize>,
    lanes: Lanes,
    /// Handed out to waiters who haven't come for it yet, or refused.
    /// A few: each stays only until its owner has been woken.
    answers: Vec<(i64, Result<Handout<T>, Refusal>)>,
    /// What has to be ended.
    surplus: Vec<(usize, T)>,
    /// The mean use, in seconds.
    use_time: Option<f64>,
    /// Nothing is made before; set while making fails.
    retry_connect_at: Option<Instant>,
    closing: bool,
    closed: bool,
    /// Somebody looks after those who have waited for long enough.
    pub(super) sweeping: bool,
    refused: [[u64; Reason::ALL.len()]; Class::ALL.len()],
    /// The last refusal for want of a slot.
    refused_at: Option<Instant>,
}

impl<T> Core<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            owned: OwnedLimit::new(limits.floor, limits.limit, limits.ceiling),
            slots: Vec::new(),
            counts: Counts::default(),
            idle: Vec::new(),
            lanes: Lanes::new(),
            answers: Vec::new(),
            surplus: Vec::new(),
            use_time: None,
            retry_connect_at: None,
            closing: false,
            closed: false,
            sweeping: false,
            refused: Default::default(),
            refused_at: None,
        }
    }

    // --- those who ask -----------------------------------------------------------------------------------------------

    /// Asks for an item.
    pub(super) fn ask(&mut self, asks: &Asks<'_>, now: Instant) -> Asked<T> {
        let class = asks.class;
        if self.closing {
            return self.refuse(class, Reason::Closed, 0.0, now);
        }
        if let Some(handout) = self.take_idle(now) {
            return Asked::Served(handout);
        }
        let interval = self.interval();
        let forecast = self.lanes.forecast(class, interval, now);
        let left = asks.until.saturating_duration_since(now).as_secs_f64();
        if (forecast > left || left == 0.0) && !asks.front {
            return self.refuse(class, Reason::WouldWait, forecast, now);
        }
        if self.lanes.of(class) >= self.max_waiting() {
            return self.refuse(class, Reason::QueueFull, forecast, now);
        }
        Asked::Waits(self.lanes.add(asks, interval, now))
    }

    /// Those of a class who may wait at a time.
    fn max_waiting(&self) -> usize {
        self.limits.limit.max(1).saturating_mul(MAX_WAITING_PER_SLOT) as usize
    }

    /// The time from one handout to the next, in seconds, if all slots are in use.
    fn interval(&self) -> f64 {
        let working = self.limits.limit.saturating_sub(self.counts.stranded).max(1);
        self.use_time.unwrap_or_default() / f64::from(working)
    }

    fn refuse(&mut self, class: Class, reason: Reason, forecast: f64, now: Instant) -> Asked<T> {
        Asked::Refused(self.refusal(class, reason, forecast, now))
    }

    /// `forecast` in seconds.
    fn refusal(&mut self, class: Class, reason: Reason, forecast: f64, now: Instant) -> Refusal {
        self.refused[class as usize][reason as usize] += 1;
        if reason.is_want() {
            self.refused_at = Some(now);
        }
        Refusal { reason, forecast: Duration::try_from_secs_f64(forecast).unwrap_or(Duration::MAX) }
    }

    /// What became of one who waits; while nothing has, `waker` is woken when it has.
    pub(super) fn answer(&mut self, class: Class, ticket: i64, waker: &Waker) -> Option<Result<Handout<T>, Refusal>> {
        // Woken, it has an answer as a rule.
        if let Some(answer) = self.take_answer(ticket) {
            return Some(answer);
        }
        let waits = self.lanes.remember(class, ticket, waker);
        (!waits).then_some(Err(Refusal { reason: Reason::Closed, forecast: Duration::ZERO }))
    }

    /// One waits no longer. What it was handed out meanwhile goes to the next.
    pub(super) fn leave(&mut self, class: Class, ticket: i64, now: Instant) -> Option<Waker> {
        if self.lanes.remove(class, ticket) {
            return None;
        }
        let handout = self.take_answer(ticket)?.ok()?;
        self.give_back(handout.slot, handout.item, now, false)
    }

    fn take_answer(&mut self, ticket: i64) -> Option<Result<Handout<T>, Refusal>> {
        let slot = self.answers.iter().position(|(other, _)| *other == ticket)?;
        Some(self.answers.swap_remove(slot).1)
    }

    /// Refuses those who have waited for long enough; to be woken.
    pub(super) fn refuse_late(&mut self, now: Instant) -> Vec<Waker> {
        let late = self.lanes.take_late(now).into_iter();
        let refused = late.map(|(class, ticket, waker)| {
            let forecast = self.lanes.forecast(class, self.interval(), now);
            let refusal = self.refusal(class, Reason::Waited, forecast, now);
            self.answers.push((ticket, Err(refusal)));
            waker
        });
        refused.collect()
    }

    /// Whether somebody waits whose time may come to its end; who asks has to look again.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Refuses all who wait; to be woken.
    pub(super) fn refuse_waiting(&mut self, reason: Reason, now: Instant) -> Vec<Waker> {
        let forecast = self.retry_connect_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let mut wakers = Vec::new();
        for class in Class::ALL {
            self.refused[class as usize][reason as usize] += self.lanes.of(class) as u64;
        }
        for (ticket, waker) in self.lanes.take_all() {
            self.answers.push((ticket, Err(Refusal { reason, forecast })));
            wakers.push(waker);
        }
        wakers
    }

    // --- items that come and go -------------------------------------------------------------------------------------

    /// A slot for a new item that is to be made now, if one is wanted.
    pub(super) fn begin_opening(&mut self, now: Instant) -> Option<usize> {
        if self.wanted(now) == 0 { None } else { self.reserve() }
    }

    /// A slot, if the limit has one.
    pub(super) fn reserve(&mut self) -> Option<usize> {
        if self.counts.open() >= self.limits.limit || self.closing {
            return None;
        }
        let free = self.slots.iter().position(|slot| matches!(slot, Slot::Free));
        let slot = free.unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            self.slots.len() - 1
        });
        self.turn(slot, Slot::Opening);
        Some(slot)
    }

    /// How many new items should be made now: for those who wait, for the floor, and one ahead of the next.
    pub(super) fn wanted(&self, now: Instant) -> u32 {
        let room = self.limits.limit.saturating_sub(self.counts.open());
        if self.closing || room == 0 {
            return 0;
        }
        let Counts { opening, idle, lent, .. } = self.counts;
        let waiting = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        let ahead = if lent > 0 { self.limits.spare } else { 0 };
        let aim = self.limits.floor.max(lent.saturating_add(waiting).saturating_add(ahead)).min(self.limits.limit);
        // The first is made alone: of two that ask a server for its last connection each may keep the other from it.
        let at_once = match self.retry_connect_at {
            None if idle + lent > 0 => MAX_OPENING,
            None => 1,
            Some(at) if now >= at => 1,
            Some(_) => 0,
        };
        aim.saturating_sub(opening + idle + lent).min(room).min(at_once.saturating_sub(opening))
    }

    /// When making may be tried again, if it failed.
    pub(super) fn retry_connect_at(&self) -> Option<Instant> {
        self.retry_connect_at
    }

    /// An item was made.
    pub(super) fn opened(&mut self, slot: usize, item: T, now: Instant) -> Option<Waker> {
        self.retry_connect_at = None;
        self.pass_on(slot, item, now)
    }

    /// Making an item failed; it isn't tried again before `retry_connect_at`. If there is no item at all, none will
    /// come back, and those who wait are refused.
    pub(super) fn opening_failed(&mut self, slot: usize, retry_connect_at: Instant, now: Instant) -> Vec<Waker> {
        self.turn(slot, Slot::Free);
        self.retry_connect_at = Some(retry_connect_at);
        let Counts { opening, idle, lent, .. } = self.counts;
        if opening + idle + lent > 0 {
            return Vec::new();
        }
        self.refuse_waiting(Reason::Unreachable, now)
    }

    fn take_idle(&mut self, now: Instant) -> Option<Handout<T>> {
        let slot = self.idle.pop()?;
        let Slot::Idle { item, since, suspect } = self.turn(slot, Slot::Lent { since: now }) else {
            unreachable!("what is listed as idle is idle")
        };
        let idle_for = if suspect { Duration::MAX } else { now.saturating_duration_since(since) };
        Some(Handout { slot, item, since: now, idle_for })
    }

    /// An item comes back.
    ///
    /// `used`: whether it served somebody, and so tells how long a use is.
    pub(super) fn give_back(&mut self, slot: usize, item: T, now: Instant, used: bool) -> Option<Waker> {
        if used && let Some(Slot::Lent { since }) = self.slots.get(slot) {
            let took = now.saturating_duration_since(*since).as_secs_f64();
            let mean = self.use_time.get_or_insert(took);
            *mean += USE_WEIGHT * (took - *mean);
        }
        self.pass_on(slot, item, now)
    }

    /// To the next who waits, or aside; away, if there are too many.
    fn pass_on(&mut self, slot: usize, item: T, now: Instant) -> Option<Waker> {
        if self.closed || self.counts.staying() > self.limits.limit {
            self.turn(slot, Slot::Closing);
            self.surplus.push((slot, item));
            return None;
        }
        match self.lanes.next(now) {
            Some((ticket, waker)) => {
                self.turn(slot, Slot::Lent { since: now });
                self.answers.push((ticket, Ok(Handout { slot, item, since: now, idle_for: Duration::ZERO })));
                Some(waker)
            }
            None => {
                self.turn(slot, Slot::Idle { item, since: now, suspect: false });
                self.idle.push(slot);
                None
            }
        }
    }

    /// An item that was handed out is being ended.
    pub(super) fn end(&mut self, slot: usize) {
        self.turn(slot, Slot::Closing);
    }

    /// It was ended by us, and the other side may not know.
    pub(super) fn strand(&mut self, slot: usize) {
        self.turn(slot, Slot::Stranded);
    }

    /// It is gone.
    pub(super) fn gone(&mut self, slot: usize) {
        self.turn(slot, Slot::Free);
    }

    /// A stranded one's slot for a new item, if there is no other way to any. The other side may then show one more
    /// than the limit, until the new one has seen to it.
    pub(super) fn take_over(&mut self, slot: usize, now: Instant) -> bool {
        let Counts { opening, idle, lent, closing, .. } = self.counts;
        let without = opening + idle + lent + closing == 0 && self.counts.open() >= self.limits.limit;
        let may = without && !self.closing && self.retry_connect_at.is_none_or(|at| now >= at);
        if may {
            self.turn(slot, Slot::Opening);
        }
        may
    }

    /// What has to be ended.
    pub(super) fn take_surplus(&mut self) -> Vec<(usize, T)> {
        std::mem::take(&mut self.surplus)
    }

    pub(super) fn has_surplus(&self) -> bool {
        !self.surplus.is_empty()
    }

    /// Marks idle ones to be ended, for which `old` says so; `keep` are left at least.
    pub(super) fn retire(&mut self, keep: u32, now: Instant, old: impl Fn(&T, Duration) -> bool) {
        let mut spare = (self.counts.idle + self.counts.lent).saturating_sub(keep);
        // Those that rest longest lie at the bottom.
        let mut listed = 0;
        while listed < self.idle.len() && spare > 0 {
            let slot = self.idle[listed];
            let is_old = matches!(&self.slots[slot],
                Slot::Idle { item, since, .. } if old(item, now.saturating_duration_since(*since)));
            if is_old {
                self.evict(listed);
                spare -= 1;
            } else {
                listed += 1;
            }
        }
    }

    fn evict(&mut self, listed: usize) {
        let slot = self.idle.remove(listed);
        if let Slot::Idle { item, .. } = self.turn(slot, Slot::Closing) {
            self.surplus.push((slot, item));
        }
    }

    /// Idle ones are to be looked at before they are used.
    pub(super) fn suspect_idle(&mut self) {
        for slot in &mut self.slots {
            if let Slot::Idle { suspect, .. } = slot {
                *suspect = true;
            }
        }
    }

    fn turn(&mut self, slot: usize, into: Slot<T>) -> Slot<T> {
        if let Some(count) = self.counts.of(&into) {
            *count += 1;
        }
        let was = std::mem::replace(&mut self.slots[slot], into);
        if let Some(count) = self.counts.of(&was) {
            *count -= 1;
        }
        was
    }

    // --- the whole ---------------------------------------------------------------------------------------------------

    /// Lets an owner of the limit change what it says. If less is in force then, what is idle beyond it is surplus at once, what
    /// is in use when it comes back.
    pub(super) fn change_limit<R>(&mut self, change: impl FnOnce(&mut OwnedLimit) -> R) -> R {
        let result = change(&mut self.owned);
        (self.limits.limit, _) = self.owned.in_force();
        while self.counts.staying() > self.limits.limit && !self.idle.is_empty() {
            self.evict(0);
        }
        result
    }

    pub(super) fn limit_owner(&self) -> LimitOwner {
        self.owned.in_force().1
    }

    pub(super) fn granted(&self) -> Option<Grant> {
        self.owned.granted()
    }

    /// Refuses newcomers.
    pub(super) fn begin_closing(&mut self) {
        self.closing = true;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether nobody is inside, and nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.lent + self.counts.opening == 0 && self.lanes.is_empty()
    }

    /// Refuses those who still wait; what is idle is surplus, and so is what comes back.
    pub(super) fn close(&mut self, now: Instant) -> Vec<Waker> {
        (self.closing, self.closed) = (true, true);
        while !self.idle.is_empty() {
            self.evict(0);
        }
        self.refuse_waiting(Reason::Closed, now)
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn waiting(&self) -> [u32; Class::ALL.len()] {
        Class::ALL.map(|class| u32::try_from(self.lanes.of(class)).unwrap_or(u32::MAX))
    }

    pub(super) fn refused(&self) -> [[u64; Reason::ALL.len()]; Class::ALL.len()] {
        self.refused
    }

    pub(super) fn use_time(&self) -> Option<Duration> {
        self.use_time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// Whether somebody was refused for want of a slot during the last second, or has always been waiting during it.
    pub(super) fn is_saturated(&self, now: Instant) -> bool {
        const SECOND: Duration = Duration::from_secs(1);
        let refused = self.refused_at.is_some_and(|at| now.saturating_duration_since(at) < SECOND);
        refused || self.lanes.since().is_some_and(|since| now.saturating_duration_since(since) >= SECOND)
    }

    /// The counts are those of the slots.
    #[cfg(test)]
    pub(super) fn check_counts(&self) {
        let mut counted = Counts::default();
        for slot in &self.slots {
            if let Some(count) = counted.of(slot) {
                *count += 1;
            }
        }
        assert_eq!(counted, self.counts);
        assert_eq!(self.counts.idle as usize, self.idle.len());
    }
}
