//! A gate: hands out a bounded number of things, fairly, and tells those who would wait in vain so at once.
//!
//! First come, first served within a [`Class`]; the higher class before the lower, of which one in eight is served all the
//! same. Each who asks says until when it can wait. From the mean use, the number of places and those who wait before it
//! follows how long it would: if that is longer, it is refused in microseconds ([`Reason::WouldWait`]) instead of at the
//! end of its patience. The limit can be changed at any time.
//!
//! A gate makes nothing by itself. Things are [supplied](Gate::supply), or made in [places](Charge) that are asked for.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use selvage_pool::gate::{Class, Gate, Limits};
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let gate = Arc::new(Gate::new(Limits { limit: 1, ceiling: 1, ..Limits::default() }));
//! assert!(gate.supply("the only key"));
//! let soon = || Instant::now() + Duration::from_millis(1);
//! let key = gate.acquire(Class::Normal, soon()).await.unwrap();
//! assert!(gate.acquire(Class::Critical, soon()).await.is_err());
//! drop(key);
//! assert_eq!(*gate.acquire(Class::Normal, soon()).await.unwrap(), "the only key");
//! # }
//! ```

mod core;
mod lane;
#[cfg(test)]
mod simulation;

use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::core::Counts;
use self::core::{Asked, Core, Grant};
use self::lane::Asks;

/// How much later than it said one may be refused who has waited for long enough.
const SWEEP: Duration = Duration::from_millis(5);

/// How much it matters that an operation gets a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Somebody's money or promise hangs on it.
    Critical,
    /// The usual.
    Normal,
    /// The first to be refused when there is too much.
    Sheddable,
}

impl Class {
    /// All, the highest first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Normal, Self::Sheddable];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Sheddable => "sheddable",
        }
    }
}

/// Why one who asked got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It would wait for longer than it can, by the forecast: refused at once.
    WouldWait,
    /// Too many wait: refused at once.
    QueueFull,
    /// It has waited for as long as it can.
    Waited,
    /// There is nothing to hand out, and making something fails.
    Unreachable,
    /// The gate is closed.
    Closed,
}

impl Reason {
    /// All.
    pub const ALL: [Self; 5] = [Self::WouldWait, Self::QueueFull, Self::Waited, Self::Unreachable, Self::Closed];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::WouldWait => "would_wait",
            Self::QueueFull => "queue_full",
            Self::Waited => "waited",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
        }
    }

    /// Whether more places would have helped.
    pub fn is_want(self) -> bool {
        matches!(self, Self::WouldWait | Self::QueueFull | Self::Waited)
    }
}

/// One who asked got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} (a newcomer would wait for about {forecast:?})", match reason {
    Reason::WouldWait => "refused at once, for the wait would be longer than the caller can wait",
    Reason::QueueFull => "refused at once, for too many wait already",
    Reason::Waited => "refused after the longest wait",
    Reason::Unreachable => "there is no connection, and none can be made",
    Reason::Closed => "closed",
})]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// How long the next one would wait.
    pub forecast: Duration,
}

/// How many things there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The limit is never set below.
    pub floor: u32,
    /// How many there may be now.
    pub limit: u32,
    /// The limit is never set above.
    pub ceiling: u32,
    /// How many more than are in use should be there, so that who comes next needn't wait until one is made.
    pub spare: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { floor: 1, limit: 8, ceiling: 8, spare: 1 }
    }
}

/// What a gate looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its limits.
    pub limits: Limits,
    /// The things that the limit counts.
    pub counts: Counts,
    /// How many wait, by class.
    pub waiting: [u32; Class::ALL.len()],
    /// How many were refused so far, by class and reason.
    pub refused: [[u64; Reason::ALL.len()]; Class::ALL.len()],
    /// The mean of the last uses, about 31.
    pub use_time: Option<Duration>,
    /// Somebody was refused for want of a place during the last second, or has always been waiting during it.
    pub saturated: bool,
}

impl Look {
    /// How many things there are beyond the limit, after it was lowered.
    pub fn debt(&self) -> u32 {
        self.counts.open().saturating_sub(self.limits.limit)
    }
}

/// A gate. Shared by an `Arc`.
pub struct Gate<T> {
    core: Mutex<Core<T>>,
    /// Something is to be made or ended.
    attention: Notify,
    /// Something was made, ended, or came back while the gate closes.
    changed: Notify,
}

impl<T> Gate<T> {
    /// A gate without anything to hand out yet.
    pub fn new(limits: Limits) -> Self {
        Self { core: Mutex::new(Core::new(limits)), attention: Notify::new(), changed: Notify::new() }
    }

    /// Adds a thing; `false` if there are as many as the limit allows, and it is dropped.
    pub fn supply(self: &Arc<Self>, item: T) -> bool {
        let place = self.core().reserve();
        place.is_some_and(|place| {
            Charge::new(self, place).fill(item);
            true
        })
    }

    fn lent(self: &Arc<Self>, grant: Grant<T>) -> Lent<T> {
        let Grant { place, item, since, rested } = grant;
        Lent { gate: self.clone(), place, item: Some(item), since, rested }
    }

    fn core(&self) -> MutexGuard<'_, Core<T>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step of the core; whoever makes and ends things is told if there is something to do.
    fn step<R>(&self, now: Instant, step: impl FnOnce(&mut Core<T>) -> R) -> R {
        let mut core = self.core();
        let result = step(&mut core);
        let attention = core.has_surplus() || core.wanted(now) > 0;
        drop(core);
        if attention {
            self.attention.notify_one();
        }
        result
    }

    fn give_back(&self, place: usize, item: T) {
        let now = Instant::now();
        let (waker, closing) = self.step(now, |core| (core.give_back(place, item, now, true), core.is_closing()));
        wake(waker);
        if closing {
            self.changed.notify_waiters();
        }
    }

    /// Sets the limit, within floor and ceiling; returns what it is now. See [`Gate::settled`].
    pub fn set_limit(&self, limit: u32) -> u32 {
        self.step(Instant::now(), |core| core.set_limit(limit))
    }

    /// Resolves once there are no more things than the limit allows.
    pub async fn settled(&self) {
        self.until(|core| core.counts().open() <= core.limits().limit).await;
    }

    async fn until(&self, condition: impl Fn(&Core<T>) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if condition(&self.core()) {
                return;
            }
            changed.await;
        }
    }

    /// The gate at this moment.
    pub fn look(&self) -> Look {
        let now = Instant::now();
        let core = self.core();
        Look {
            limits: core.limits(),
            counts: core.counts(),
            waiting: core.waiting(),
            refused: core.refused(),
            use_time: core.use_time(),
            saturated: core.is_saturated(now),
        }
    }

    // --- for whoever makes and ends the things -----------------------------------------------------------------------

    /// Resolves when something may have to be made or ended.
    pub(crate) async fn attention(&self) {
        self.attention.notified().await;
    }

    pub(crate) fn call_attention(&self) {
        self.attention.notify_one();
    }

    /// A place in which a thing is to be made now, if one is wanted.
    pub(crate) fn begin_opening(self: &Arc<Self>) -> Option<Charge<T>> {
        let place = self.core().begin_opening(Instant::now())?;
        Some(Charge::new(self, place))
    }

    /// When making may be tried again, if it failed.
    pub(crate) fn hold(&self) -> Option<Instant> {
        self.core().hold()
    }

    /// What has to be ended now.
    pub(crate) fn surplus(self: &Arc<Self>) -> Vec<(T, Charge<T>)> {
        let surplus = self.core().take_surplus();
        surplus.into_iter().map(|(place, item)| (item, Charge::new(self, place))).collect()
    }

    /// Makes idle things surplus for which `old` says so, told how long they rest; `keep` are left at least.
    pub(crate) fn retire(&self, keep: Option<u32>, old: impl Fn(&T, Duration) -> bool) {
        let now = Instant::now();
        self.step(now, |core| core.retire(keep.unwrap_or(core.limits().floor), now, old));
    }

    /// Those who get an idle thing are to look at it first.
    pub(crate) fn suspect_idle(&self) {
        self.core().suspect_idle();
    }

    /// Refuses newcomers; resolves when nobody is inside any more.
    pub(crate) async fn drained(&self) {
        self.core().begin_closing();
        self.until(Core::is_empty).await;
    }

    /// Resolves when there is nothing left that the limit counts.
    pub(crate) async fn emptied(&self) {
        self.until(|core| core.counts().open() == 0).await;
    }

    /// Refuses those who wait. What is there becomes surplus, what is in use when it comes back.
    pub(crate) fn close(&self) {
        let now = Instant::now();
        let wakers = self.step(now, |core| core.close(now));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T: Send + 'static> Gate<T> {
    /// Asks for a thing, and waits for it until then at the most. Dropping the future gives everything back.
    ///
    /// # Errors
    /// Why there was none.
    pub async fn acquire(self: &Arc<Self>, class: Class, until: Instant) -> Result<Lent<T>, Refusal> {
        self.ask(class, false, until).await
    }

    /// The same, before all others of the class: for one who was handed something of no use.
    pub(crate) async fn acquire_again(self: &Arc<Self>, class: Class, until: Instant) -> Result<Lent<T>, Refusal> {
        self.ask(class, true, until).await
    }

    async fn ask(self: &Arc<Self>, class: Class, front: bool, until: Instant) -> Result<Lent<T>, Refusal> {
        let now = Instant::now();
        let mut ticket = Ticket { gate: self, class, ticket: None };
        // Asked with the waker in hand, so that one who waits takes the lock once for both.
        let mut asks = Some((front, until));
        let answer = poll_fn(|cx| match asks.take() {
            Some((front, until)) => ticket.ask(&Asks { class, front, until, waker: cx.waker() }, now),
            None => ticket.poll(cx.waker()),
        });
        answer.await.map(|grant| self.lent(grant))
    }
}

impl<T> fmt::Debug for Gate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("look", &self.look()).finish()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// One who waits. When it is dropped, it doesn't any more.
struct Ticket<'a, T: Send + 'static> {
    gate: &'a Arc<Gate<T>>,
    class: Class,
    ticket: Option<i64>,
}

impl<T: Send + 'static> Ticket<'_, T> {
    fn ask(&mut self, asks: &Asks<'_>, now: Instant) -> Poll<Result<Grant<T>, Refusal>> {
        let (asked, sweep) = self.gate.step(now, |core| {
            let asked = core.ask(asks, now);
            let sweep = matches!(asked, Asked::Waits(_)) && !std::mem::replace(&mut core.sweeping, true);
            (asked, sweep)
        });
        match asked {
            Asked::Lent(grant) => Poll::Ready(Ok(grant)),
            Asked::Refused(refusal) => Poll::Ready(Err(refusal)),
            Asked::Waits(ticket) => {
                self.ticket = Some(ticket);
                if sweep {
                    tokio::spawn(sweep_late(Arc::downgrade(self.gate)));
                }
                Poll::Pending
            }
        }
    }

    fn poll(&mut self, waker: &Waker) -> Poll<Result<Grant<T>, Refusal>> {
        let ticket = self.ticket.expect("polled until it is ready");
        match self.gate.core().answer(self.class, ticket, waker) {
            None => Poll::Pending,
            Some(answer) => {
                self.ticket = None;
                Poll::Ready(answer)
            }
        }
    }
}

/// Refuses those who have waited for long enough, for as long as anybody waits. A timer for each would cost them more than
/// all the rest.
async fn sweep_late<T>(gate: Weak<Gate<T>>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(gate) = gate.upgrade() else { return };
        let mut core = gate.core();
        let late = core.refuse_late(Instant::now());
        core.sweeping = core.is_waited_for();
        let goes_on = core.sweeping;
        drop(core);
        if !late.is_empty() {
            late.into_iter().for_each(Waker::wake);
            gate.changed.notify_waiters();
        }
        if !goes_on {
            return;
        }
    }
}

impl<T: Send + 'static> Drop for Ticket<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let now = Instant::now();
            wake(self.gate.step(now, |core| core.leave(self.class, ticket, now)));
            self.gate.changed.notify_waiters();
        }
    }
}

/// A thing that was handed out; it is given back when this is dropped.
pub struct Lent<T> {
    gate: Arc<Gate<T>>,
    place: usize,
    item: Option<T>,
    since: Instant,
    rested: Duration,
}

impl<T> Lent<T> {
    /// Since when.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How long nobody had used it; [`Duration::MAX`] if it has to be looked at before it is used.
    pub fn rested(&self) -> Duration {
        self.rested
    }

    /// Its place among those of the gate, from 0.
    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// Takes it out, to end it. Its place is free again when the charge is dropped.
    pub fn end(mut self) -> (T, Charge<T>) {
        let item = self.item.take().expect("it is there until it is dropped");
        self.gate.core().end(self.place);
        (item, Charge::new(&self.gate, self.place))
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.item.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            self.gate.give_back(self.place, item);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.item.fmt(f)
    }
}

/// A place that is taken by a thing which is being made, is being ended, or may be still there on the other side. When this
/// is dropped, the place is free.
pub struct Charge<T> {
    gate: Arc<Gate<T>>,
    /// `None` once the place goes on without this.
    place: Option<usize>,
}

impl<T> Charge<T> {
    fn new(gate: &Arc<Gate<T>>, place: usize) -> Self {
        Self { gate: gate.clone(), place: Some(place) }
    }

    /// The thing was made.
    pub(crate) fn fill(mut self, item: T) {
        let Some(place) = self.place.take() else { return };
        let now = Instant::now();
        wake(self.gate.step(now, |core| core.opened(place, item, now)));
        self.gate.changed.notify_waiters();
    }

    /// It couldn't be made, and isn't tried again before `hold`.
    pub(crate) fn fail(mut self, hold: Instant) {
        let Some(place) = self.place.take() else { return };
        let now = Instant::now();
        let wakers = self.gate.step(now, |core| core.opening_failed(place, hold, now));
        wakers.into_iter().for_each(Waker::wake);
        self.gate.changed.notify_waiters();
        self.gate.attention.notify_one();
    }

    /// It was ended by us, and the other side may not know.
    pub(crate) fn strand(&self) {
        if let Some(place) = self.place {
            self.gate.core().strand(place);
        }
    }

    /// Whether the place of what is stranded may be used for a new thing, for want of any other; it is then being made.
    pub(crate) fn take_over(&self) -> bool {
        self.place.is_some_and(|place| self.gate.core().take_over(place, Instant::now()))
    }
}

impl<T> Drop for Charge<T> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.gate.step(Instant::now(), |core| core.gone(place));
            self.gate.changed.notify_waiters();
        }
    }
}
