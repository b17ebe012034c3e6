use std::sync::Arc;
use std::task::Waker;

use tokio::time::Instant;

use super::{Gate, wake};

/// A slot whose item is being made, is being ended, or may still exist on the other side. The limit counts it. When this is
/// dropped, the slot is free.
pub struct Reservation<T> {
    gate: Arc<Gate<T>>,
    /// `None` once the slot goes on without this.
    slot: Option<usize>,
}

impl<T> Reservation<T> {
    pub(super) fn new(gate: &Arc<Gate<T>>, slot: usize) -> Self {
        Self { gate: gate.clone(), slot: Some(slot) }
    }

    /// The item was made.
    pub(crate) fn fill(mut self, item: T) {
        let Some(slot) = self.slot.take() else { return };
        let now = Instant::now();
        wake(self.gate.step(now, |core| core.opened(slot, item, now)));
        self.gate.changed.notify_waiters();
    }

    /// The item couldn't be made; it isn't tried again before `retry_at`.
    pub(crate) fn fail(mut self, retry_at: Instant) {
        let Some(slot) = self.slot.take() else { return };
        let now = Instant::now();
        let wakers = self.gate.step(now, |core| core.opening_failed(slot, retry_at, now));
        wakers.into_iter().for_each(Waker::wake);
        self.gate.changed.notify_waiters();
        self.gate.attention.notify_one();
    }

    /// The item was ended by us, and the other side may not know.
    pub(crate) fn strand(&self) {
        if let Some(slot) = self.slot {
            self.gate.core().strand(slot);
        }
    }

    /// Whether the slot of a stranded item may be used for a new one, for want of any other; the new one is then being made.
    pub(crate) fn take_over(&self) -> bool {
        self.slot.is_some_and(|slot| self.gate.core().take_over(slot, Instant::now()))
    }
}

impl<T> Drop for Reservation<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.gate.step(Instant::now(), |core| core.gone(slot));
            self.gate.changed.notify_waiters();
        }
    }
}
