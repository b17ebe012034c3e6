//! A file on disk as it is now, told apart from what it was before without reading it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::ensure;

/// The longest key file that is read: 100 keys, each with 50 rpcs of 50 bytes, have 260 KB.
const MAX_BYTES: u64 = 512 * 1024;

/// What the file at `path` says.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    ensure!(read as u64 <= MAX_BYTES, "it has more than {MAX_BYTES} bytes: this is no key file");
    Ok(text)
}

/// What tells one state of a file from another: which file it is (another one after a rename, or after the swap of a link on
/// its way, as Kubernetes renews a Secret), and when and how long it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    There {
        device: u64,
        inode: u64,
        bytes: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
    /// It can't be looked at, and why.
    Gone(io::ErrorKind),
}

impl Mark {
    /// Of the file at `path`, which links may lead to.
    pub(super) fn of(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(data) => Self::There {
                device: data.dev(),
                inode: data.ino(),
                bytes: data.len(),
                modified: (data.mtime(), data.mtime_nsec()),
                changed: (data.ctime(), data.ctime_nsec()),
            },
            Err(error) => Self::Gone(error.kind()),
        }
    }
}

/// What to do about a file that is looked at again and again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Leave,
    /// Read it.
    Read,
}

/// Decides when a file is to be read again: once it is another than what is in force and has stood still from one look to
/// the next, for who writes it in place may be in the middle.
#[derive(Debug)]
pub(super) struct Looks {
    in_force: Mark,
    /// The state that was refused: it is said once, not each second.
    refused: Option<Mark>,
    last: Mark,
}

impl Looks {
    /// What is in force was read in the state `mark`.
    pub(super) fn new(mark: Mark) -> Self {
        Self { in_force: mark, refused: None, last: mark }
    }

    pub(super) fn look(&mut self, now: Mark) -> Next {
        let stands_still = now == self.last;
        self.last = now;
        if now == self.in_force {
            self.refused = None;
            return Next::Leave;
        }
        if stands_still && self.refused != Some(now) { Next::Read } else { Next::Leave }
    }

    /// What was read in the state `mark` is in force.
    pub(super) fn took(&mut self, mark: Mark) {
        *self = Self::new(mark);
    }

    /// What was read in the state `mark` can't be.
    pub(super) fn refused(&mut self, mark: Mark) {
        self.refused = Some(mark);
    }

    /// Whether what the file says isn't what is in force, and can't be.
    pub(super) fn is_stale(&self) -> bool {
        self.refused.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(inode: u64, bytes: u64) -> Mark {
        Mark::There { device: 1, inode, bytes, modified: (0, 0), changed: (0, 0) }
    }

    #[test]
    fn a_change_is_read_once_it_stands_still_and_refused_once() {
        let mut looks = Looks::new(mark(1, 10));
        assert_eq!(looks.look(mark(1, 10)), Next::Leave);
        // Somebody writes it, and isn't done yet.
        assert_eq!(looks.look(mark(1, 3)), Next::Leave);
        assert_eq!(looks.look(mark(1, 20)), Next::Leave);
        assert_eq!(looks.look(mark(1, 20)), Next::Read);
        looks.took(mark(1, 20));
        assert_eq!((looks.look(mark(1, 20)), looks.is_stale()), (Next::Leave, false));
        let gone = Mark::Gone(io::ErrorKind::NotFound);
        assert_eq!((looks.look(gone), looks.look(gone)), (Next::Leave, Next::Read));
        looks.refused(gone);
        assert_eq!((looks.look(gone), looks.look(gone), looks.is_stale()), (Next::Leave, Next::Leave, true));
        // It is back as it was: what is in force is what it says.
        assert_eq!((looks.look(mark(1, 20)), looks.is_stale()), (Next::Leave, false));
        assert_eq!((looks.look(gone), looks.look(gone)), (Next::Leave, Next::Read), "and it is said again");
    }
}
