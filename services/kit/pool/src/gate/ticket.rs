//! A caller who waits, from its question to its answer.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::core::{Asked, Handout};
use super::lane::Asks;
use super::{Class, Gate, Lent, Refusal, wake};

/// How much later than it said a caller may be refused who has waited for long enough.
const SWEEP: Duration = Duration::from_millis(5);

/// Asks `gate` for an item, and waits for it until then at the most; `front` puts the caller before all others of its class.
pub(super) async fn ask<T: Send + 'static>(
    gate: &Arc<Gate<T>>,
    class: Class,
    front: bool,
    until: Instant,
) -> Result<Lent<T>, Refusal> {
    let now = Instant::now();
    let mut ticket = Ticket { gate, class, number: None };
    // The question comes with the waker in hand, so that a caller who waits takes the lock once for both.
    let mut asks = Some((front, until));
    let answer = poll_fn(|cx| match asks.take() {
        Some((front, until)) => ticket.ask(&Asks { class, front, until, waker: cx.waker() }, now),
        None => ticket.poll(cx.waker()),
    });
    answer.await.map(|handout| Lent::new(gate, handout))
}

/// A caller who waits. When this is dropped, it doesn't any more.
struct Ticket<'a, T: Send + 'static> {
    gate: &'a Arc<Gate<T>>,
    class: Class,
    /// `None` while it isn't in the queue.
    number: Option<i64>,
}

impl<T: Send + 'static> Ticket<'_, T> {
    fn ask(&mut self, asks: &Asks<'_>, now: Instant) -> Poll<Result<Handout<T>, Refusal>> {
        let (asked, first, sweep) = self.gate.step(now, |core| {
            let first = !core.is_waited_for();
            let asked = core.ask(asks, now);
            let sweep = matches!(asked, Asked::Waits(_)) && !std::mem::replace(&mut core.sweeping, true);
            (asked, first, sweep)
        });
        match asked {
            Asked::Served(handout) => Poll::Ready(Ok(handout)),
            Asked::Refused(refusal) => Poll::Ready(Err(refusal)),
            Asked::Waits(number) => {
                self.number = Some(number);
                // Told even while the sweep of those before goes on: who was told of them may have seen that nobody waits.
                if first {
                    self.gate.waiting_changed.notify_one();
                }
                if sweep {
                    tokio::spawn(sweep_late(Arc::downgrade(self.gate)));
                }
                Poll::Pending
            }
        }
    }

    fn poll(&mut self, waker: &Waker) -> Poll<Result<Handout<T>, Refusal>> {
        let number = self.number.expect("polled until it is ready");
        match self.gate.core().answer(self.class, number, waker) {
            None => Poll::Pending,
            Some(answer) => {
                self.number = None;
                Poll::Ready(answer)
            }
        }
    }
}

impl<T: Send + 'static> Drop for Ticket<'_, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let now = Instant::now();
            wake(self.gate.step(now, |core| core.leave(self.class, number, now)));
            self.gate.changed.notify_waiters();
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
            gate.waiting_changed.notify_one();
            return;
        }
    }
}
