//! The savepoints of a transaction.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Those that are open, each within the one before it.
#[derive(Default)]
pub(super) struct Savepoints {
    open: Mutex<Vec<Open>>,
    /// How many there were; each has a name of its own, so that a handle that is left over means no other's.
    named: AtomicU32,
}

struct Open {
    id: u32,
    /// Its last handle went without a word: it is rolled back before the next statement.
    abandoned: bool,
}

/// A savepoint's handle. When it is dropped, the savepoint is abandoned, unless it has ended.
pub(super) struct Savepoint {
    of: Arc<Savepoints>,
    id: u32,
}

impl Savepoints {
    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next one.
    pub(super) fn next_id(&self) -> u32 {
        self.named.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The server has it now. To be called with the connection in hand, so that the order is the server's.
    pub(super) fn begun(self: &Arc<Self>, id: u32) -> Savepoint {
        self.open().push(Open { id, abandoned: false });
        Savepoint { of: self.clone(), id }
    }

    /// The outermost one that was abandoned.
    pub(super) fn abandoned(&self) -> Option<u32> {
        self.open().iter().find(|open| open.abandoned).map(|open| open.id)
    }

    /// A savepoint has ended, and with it all those within it.
    pub(super) fn ended(&self, id: u32) {
        let mut open = self.open();
        if let Some(depth) = open.iter().position(|open| open.id == id) {
            open.truncate(depth);
        }
    }
}

impl Savepoint {
    pub(super) fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for Savepoint {
    fn drop(&mut self) {
        for open in self.of.open().iter_mut().filter(|open| open.id == self.id) {
            open.abandoned = true;
        }
    }
}
