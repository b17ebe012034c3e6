//! SQLite has one writer at a time. Ours queue for it in order, instead of polling the file's lock with a connection held.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::gate::{Gate, Limits};

/// The place of one writer.
pub(crate) type Place = Gate<()>;

/// The writers' places of the files that are open in this process; as many as files, for those of closed ones are removed.
static PLACES: Mutex<BTreeMap<PathBuf, Weak<Place>>> = Mutex::new(BTreeMap::new());

/// The one writer's place of the database in `file`, the same for every pool of this process on it.
pub(crate) fn place(file: &Path) -> Arc<Place> {
    // What is in memory has no path, and no second connection sees it.
    let Ok(path) = file.canonicalize() else { return new() };
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    places.retain(|_, place| place.strong_count() > 0);
    if let Some(place) = places.get(&path).and_then(Weak::upgrade) {
        return place;
    }
    let place = new();
    places.insert(path, Arc::downgrade(&place));
    place
}

fn new() -> Arc<Place> {
    let place = Arc::new(Place::new(Limits { floor: 1, limit: 1, ceiling: 1, spare: 0 }));
    place.supply(());
    place
}

/// Whether `sql` only reads, told by its words. Where that errs, a reader waits for its turn as a writer does, or a
/// writer polls the file's lock: slower, never wrong.
pub(crate) fn only_reads(sql: &str) -> bool {
    let sql = sql.trim_start();
    let is = |word: &str, other: &str| word.eq_ignore_ascii_case(other);
    let mut words = sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    let Some(first) = words.next() else { return true };
    if is(first, "WITH") {
        return !words.any(|word| ["INSERT", "UPDATE", "DELETE", "REPLACE"].iter().any(|writes| is(word, writes)));
    }
    ["SELECT", "VALUES", "EXPLAIN", "PRAGMA"].iter().any(|reads| is(first, reads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_is_told_from_what_writes() {
        for reads in ["SELECT 1", "  select 1", "(SELECT 1)", "VALUES (1)", "WITH a AS (SELECT 1) SELECT * FROM a", ""]
        {
            assert!(only_reads(reads), "{reads}");
        }
        for writes in ["INSERT INTO a VALUES (1)", "update a set b = 1", "WITH a AS (SELECT 1) DELETE FROM b", "VACUUM"]
        {
            assert!(!only_reads(writes), "{writes}");
        }
    }

    #[test]
    fn a_file_has_one_place_whatever_it_is_called_and_as_long_as_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        std::fs::write(&file, "").unwrap();
        let place_of_a = place(&file);
        assert!(Arc::ptr_eq(&place_of_a, &place(&folder.path().join(".").join("a.db"))));
        std::fs::write(folder.path().join("b.db"), "").unwrap();
        assert!(!Arc::ptr_eq(&place_of_a, &place(&folder.path().join("b.db"))));
        let path = file.canonicalize().unwrap();
        drop(place_of_a);
        place(&folder.path().join("b.db"));
        assert!(!PLACES.lock().unwrap().contains_key(&path));
    }
}
