//! SQLite has one writer at a time. Ours queue for their turn in order, instead of polling the file's lock with a connection
//! held.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::time::Instant;

use crate::gate::{Class, Gate, Lent, Limits, Reason, Refusal};

/// Hands out the turn of a file's one writer.
type Turns = Gate<()>;

/// The turns of the files that are open in this process; as many as files, for those of closed ones are removed.
static TURNS: Mutex<BTreeMap<PathBuf, Weak<Turns>>> = Mutex::new(BTreeMap::new());

/// How the callers of one pool become the one writer of its file.
pub(crate) struct Writer {
    turns: Arc<Turns>,
    waiting: AtomicU32,
    refused: [[AtomicU64; Reason::ALL.len()]; Class::ALL.len()],
}

impl Writer {
    /// For the database in `file`, whose turns all pools of this process on it share.
    pub(crate) fn of(file: &Path) -> Self {
        Self { turns: turns(file), waiting: AtomicU32::new(0), refused: Default::default() }
    }

    /// Waits for the turn to write, until then at the most. The turn ends when the value is dropped.
    pub(crate) async fn acquire(&self, class: Class, until: Instant) -> Result<Lent<()>, Refusal> {
        let _waiting = Counted::one_more(&self.waiting);
        let turn = self.turns.acquire(class, until).await;
        turn.inspect_err(|refusal| {
            self.refused[class as usize][refusal.reason as usize].fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Callers of this pool who wait for their turn.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Callers of this pool who didn't get their turn, by class and reason.
    pub(crate) fn refused(&self) -> [[u64; Reason::ALL.len()]; Class::ALL.len()] {
        self.refused.each_ref().map(|class| class.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Whether a writer of the file, of whatever pool, was refused or always waiting during the last second.
    pub(crate) fn is_saturated(&self) -> bool {
        self.turns.look().saturated
    }
}

/// Counts a caller for as long as it waits, however its wait ends.
struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    fn one_more(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The turns of the database in `file`, the same for every pool of this process on it.
fn turns(file: &Path) -> Arc<Turns> {
    // What is in memory has no path, and no second connection sees it.
    let Ok(path) = file.canonicalize() else { return one_turn() };
    let mut known = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|_, turns| turns.strong_count() > 0);
    if let Some(turns) = known.get(&path).and_then(Weak::upgrade) {
        return turns;
    }
    let turns = one_turn();
    known.insert(path, Arc::downgrade(&turns));
    turns
}

fn one_turn() -> Arc<Turns> {
    let turns = Arc::new(Turns::new(Limits { floor: 1, limit: 1, ceiling: 1, spare: 0 }));
    turns.supply(());
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_writer_whatever_it_is_called_and_as_long_as_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        std::fs::write(&file, "").unwrap();
        let turns_of_a = turns(&file);
        assert!(Arc::ptr_eq(&turns_of_a, &turns(&folder.path().join(".").join("a.db"))));
        std::fs::write(folder.path().join("b.db"), "").unwrap();
        assert!(!Arc::ptr_eq(&turns_of_a, &turns(&folder.path().join("b.db"))));
        let path = file.canonicalize().unwrap();
        drop(turns_of_a);
        turns(&folder.path().join("b.db"));
        assert!(!TURNS.lock().unwrap().contains_key(&path));
    }
}
