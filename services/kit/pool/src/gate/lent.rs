use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::core::Handout;
use super::{Gate, Reservation};

/// An item that was handed out; it is given back when this is dropped.
pub struct Lent<T> {
    gate: Arc<Gate<T>>,
    slot: usize,
    item: Option<T>,
    since: Instant,
    idle_for: Duration,
}

impl<T> Lent<T> {
    pub(super) fn new(gate: &Arc<Gate<T>>, handout: Handout<T>) -> Self {
        let Handout { slot, item, since, idle_for } = handout;
        Self { gate: gate.clone(), slot, item: Some(item), since, idle_for }
    }

    /// Since when it is handed out.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How long nobody had used it before; [`Duration::MAX`] if it has to be looked at before it is used.
    pub fn idle_for(&self) -> Duration {
        self.idle_for
    }

    /// Its slot among those of the gate, from 0.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// Takes the item out, to end it. Its slot is free again when the reservation is dropped.
    pub fn end(mut self) -> (T, Reservation<T>) {
        let item = self.item.take().expect("it is there until it is dropped");
        self.gate.core().end(self.slot);
        (item, Reservation::new(&self.gate, self.slot))
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
            self.gate.give_back(self.slot, item);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.item.fmt(f)
    }
}
