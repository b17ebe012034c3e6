//! Connections that we ended and whose server may not know: their sockets died in silence, or were closed in the middle of
//! a statement that goes on. Their slots stay reserved until the server no longer shows their sessions. Compare
//! <https://github.com/launchbadge/sqlx/issues/4349>, a pool that such sockets strand for ever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::SessionId;
use crate::gate::Reservation;
use crate::pooled::Pooled;

/// After this long no server shows a session any more whose client is gone: its keepalives give it up after
/// 10 + 3 × 5 s, its unanswered data after 25 s.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// A connection that we ended.
pub(crate) struct Stranded {
    session: SessionId,
    /// `None` if its slot was needed for looking after it.
    slot: Option<Reservation<Pooled>>,
    since: Instant,
}

impl Stranded {
    /// Keeps the slot until the server is seen not to show `session`.
    pub(crate) fn new(session: SessionId, slot: Reservation<Pooled>) -> Self {
        slot.strand();
        Self { session, slot: Some(slot), since: Instant::now() }
    }
}

/// A pool's stranded connections: at most as many as it has slots, and one more for each that was taken over.
#[derive(Default)]
pub(crate) struct StrandedList {
    list: Mutex<Vec<Stranded>>,
    /// A task looks after them.
    tended: AtomicBool,
}

impl StrandedList {
    fn list(&self) -> MutexGuard<'_, Vec<Stranded>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, stranded: Stranded) {
        self.list().push(stranded);
    }

    /// Their sessions, without those that no server can still show: of these it returns how many it has forgotten.
    pub(crate) fn sessions(&self) -> (Vec<SessionId>, usize) {
        let mut list = self.list();
        let before = list.len();
        list.retain(|stranded| stranded.since.elapsed() <= FORGOTTEN_AFTER);
        (list.iter().map(|stranded| stranded.session).collect(), before - list.len())
    }

    /// Frees the slots of the sessions that the server doesn't show any more.
    pub(crate) fn free(&self, is_gone: impl Fn(SessionId) -> bool) {
        self.list().retain(|stranded| !is_gone(stranded.session));
    }

    /// How many have no slot any more, so that the server may show them beside all that are counted.
    pub(crate) fn uncounted(&self) -> u32 {
        let uncounted = self.list().iter().filter(|stranded| stranded.slot.is_none()).count();
        u32::try_from(uncounted).unwrap_or(u32::MAX)
    }

    pub(crate) fn forget_all(&self) {
        // Their slots are freed after the lock is.
        let list = std::mem::take(&mut *self.list());
        drop(list);
    }

    /// Whether somebody has to begin to look after them; true once until [`StrandedList::untended`].
    pub(crate) fn needs_tending(&self) -> bool {
        !self.list().is_empty() && !self.tended.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn untended(&self) {
        self.tended.store(false, Ordering::Release);
    }

    /// The slot of the one that is stranded for longest, if it may be used for a new connection.
    pub(crate) fn take_over(&self) -> Option<Reservation<Pooled>> {
        let mut list = self.list();
        let oldest = list.iter_mut().find(|stranded| stranded.slot.is_some())?;
        oldest.slot.take_if(|slot| slot.take_over())
    }
}
