//! A gate: hands out a bounded number of items, fairly, and tells those who would wait in vain so at once.
//!
//! First come, first served within a [`Class`]; the higher class before the lower, of which one in eight is served all the
//! same. Each caller says until when it can wait. From the mean use, the number of slots and those who wait before it
//! follows how long it would: if that is longer, it is refused in microseconds ([`Reason::WouldWait`]) instead of at the
//! end of its patience. The limit can be changed at any time.
//!
//! A gate makes nothing by itself. Items are [supplied](Gate::supply), or made in a reserved slot ([`Reservation`]).
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

mod class;
mod core;
mod lane;
mod lent;
mod limit;
mod limits;
mod refusal;
mod reservation;
#[cfg(test)]
mod simulation;
mod ticket;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::class::Class;
use self::core::Core;
pub use self::core::Counts;
pub use self::lent::Lent;
pub(crate) use self::limit::FaultId;
use self::limit::OwnedLimit;
pub use self::limit::{Grant, GrantId, LimitError, LimitOwner};
pub use self::limits::Limits;
pub use self::refusal::{Reason, Refusal};
pub use self::reservation::Reservation;

/// What a gate looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its limits.
    pub limits: Limits,
    /// Who set the limit that is in force.
    pub owner: LimitOwner,
    /// The newest grant, in force or not.
    pub granted: Option<Grant>,
    /// The items that the limit counts.
    pub counts: Counts,
    /// How many callers wait, by class.
    pub waiting: [u32; Class::ALL.len()],
    /// How many callers were refused so far, by class and reason.
    pub refused: [[u64; Reason::ALL.len()]; Class::ALL.len()],
    /// The mean of the last uses, about 31.
    pub use_time: Option<Duration>,
    /// Somebody was refused for want of a slot during the last second, or has always been waiting during it.
    pub saturated: bool,
}

impl Look {
    /// How many items there are beyond the limit, after it was lowered.
    pub fn debt(&self) -> u32 {
        self.counts.open().saturating_sub(self.limits.limit)
    }
}

/// A gate. Shared by an `Arc`.
pub struct Gate<T> {
    core: Mutex<Core<T>>,
    /// Something is to be made or ended.
    attention: Notify,
    /// Something was made, ended, or came back while the gate closes; or the limit was set.
    changed: Notify,
    /// Somebody began to wait, or nobody does any more.
    waiting_changed: Notify,
}

impl<T> Gate<T> {
    /// A gate without anything to hand out yet. With a limit of 0 nothing is until a limit is set or granted.
    pub fn new(limits: Limits) -> Self {
        Self {
            core: Mutex::new(Core::new(limits)),
            attention: Notify::new(),
            changed: Notify::new(),
            waiting_changed: Notify::new(),
        }
    }

    /// Adds an item; `false` if there are as many as the limit allows, and it is dropped.
    pub fn supply(self: &Arc<Self>, item: T) -> bool {
        let slot = self.core().reserve();
        slot.is_some_and(|slot| {
            Reservation::new(self, slot).fill(item);
            true
        })
    }

    fn core(&self) -> MutexGuard<'_, Core<T>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step of the core; whoever makes and ends items is told if there is something to do.
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

    fn give_back(&self, slot: usize, item: T) {
        let now = Instant::now();
        let (waker, closing) = self.step(now, |core| (core.give_back(slot, item, now, true), core.is_closing()));
        wake(waker);
        if closing {
            self.changed.notify_waiters();
        }
    }

    /// Sets the configured limit, within floor and ceiling; returns the limit that is in force now. See [`Gate::settled`].
    pub fn set_limit(&self, limit: u32) -> u32 {
        self.change_limit(|owned| owned.configure(limit));
        self.core().limits().limit
    }

    /// Takes a grant, which counts before the configuration, and after a fault.
    ///
    /// # Errors
    /// See [`LimitError`]; the limit stays as it was.
    pub fn grant(&self, grant: Grant) -> Result<(), LimitError> {
        self.change_limit(|owned| owned.grant(grant))
    }

    /// Sets a limit that counts before all others, until the fault is ended.
    pub(crate) fn begin_fault(&self, limit: u32) -> Result<FaultId, LimitError> {
        self.change_limit(|owned| owned.begin_fault(limit))
    }

    pub(crate) fn end_fault(&self, fault: FaultId) {
        self.change_limit(|owned| owned.end_fault(fault));
    }

    fn change_limit<R>(&self, change: impl FnOnce(&mut OwnedLimit) -> R) -> R {
        let result = self.step(Instant::now(), |core| core.change_limit(change));
        // Of those who wait until it is settled, some may have nothing left to wait for.
        self.changed.notify_waiters();
        result
    }

    /// Resolves once there are no more items than the limit allows.
    pub async fn settled(&self) {
        self.until(|core| core.counts().open() <= core.limits().limit).await;
    }

    /// Resolves once the limit is above zero.
    pub(crate) async fn allowed(&self) {
        self.until(|core| core.limits().limit > 0).await;
    }

    /// Resolves when somebody began to wait, or nobody does any more.
    pub(crate) async fn waiting_changed(&self) {
        self.waiting_changed.notified().await;
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
            owner: core.limit_owner(),
            granted: core.granted(),
            counts: core.counts(),
            waiting: core.waiting(),
            refused: core.refused(),
            use_time: core.use_time(),
            saturated: core.is_saturated(now),
        }
    }

    // --- for whoever makes and ends the items ------------------------------------------------------------------------

    /// Resolves when something may have to be made or ended.
    pub(crate) async fn attention(&self) {
        self.attention.notified().await;
    }

    pub(crate) fn call_attention(&self) {
        self.attention.notify_one();
    }

    /// A slot in which an item is to be made now, if one is wanted.
    pub(crate) fn begin_opening(self: &Arc<Self>) -> Option<Reservation<T>> {
        let slot = self.core().begin_opening(Instant::now())?;
        Some(Reservation::new(self, slot))
    }

    /// When making an item may be tried again, if it failed.
    pub(crate) fn retry_connect_at(&self) -> Option<Instant> {
        self.core().retry_connect_at()
    }

    /// What has to be ended now.
    pub(crate) fn surplus(self: &Arc<Self>) -> Vec<(T, Reservation<T>)> {
        let surplus = self.core().take_surplus();
        surplus.into_iter().map(|(slot, item)| (item, Reservation::new(self, slot))).collect()
    }

    /// Makes idle items surplus for which `old` says so, told for how long each was idle; `keep` are left at least.
    pub(crate) fn retire(&self, keep: Option<u32>, old: impl Fn(&T, Duration) -> bool) {
        let now = Instant::now();
        self.step(now, |core| core.retire(keep.unwrap_or(core.limits().floor), now, old));
    }

    /// Those who get an idle item are to look at it first.
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
    /// Asks for an item, and waits for it until then at the most. Dropping the future gives everything back.
    ///
    /// # Errors
    /// A [`Refusal`], with the [`Reason`] and the time after which it makes sense to ask again.
    pub async fn acquire(self: &Arc<Self>, class: Class, until: Instant) -> Result<Lent<T>, Refusal> {
        ticket::ask(self, class, false, until).await
    }

    /// The same, before all others of the class: for one who was handed something of no use.
    pub(crate) async fn acquire_again(self: &Arc<Self>, class: Class, until: Instant) -> Result<Lent<T>, Refusal> {
        ticket::ask(self, class, true, until).await
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
