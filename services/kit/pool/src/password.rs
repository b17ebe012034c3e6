//! A password in a file that changes while we run, as Kubernetes' secrets do.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The longest password, and more than PostgreSQL's own tools take.
const MAX_BYTES: u64 = 1024;

/// A file with a password, read anew for each connection that is made.
pub(crate) struct PasswordFile {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    password: Option<String>,
    /// Grows with each change.
    version: u64,
}

impl PasswordFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    /// The password, and which one it is.
    pub(crate) fn read(&self) -> io::Result<(String, u64)> {
        let about = |error: io::Error| {
            io::Error::new(error.kind(), format!("the password file {} can't be read: {error}", self.path.display()))
        };
        // A file of a line: the read doesn't block for longer than a page fault would.
        if std::fs::metadata(&self.path).map_err(about)?.len() > MAX_BYTES {
            return Err(about(io::Error::other("it has more than 1,024 bytes")));
        }
        let text = std::fs::read_to_string(&self.path).map_err(about)?;
        let password = text.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(about(io::Error::other("it is empty")));
        }
        let mut known = self.known();
        if known.password.as_deref() != Some(password) {
            known.version += 1;
            known.password = Some(password.to_owned());
        }
        Ok((password.to_owned(), known.version))
    }

    /// Whether it is another one than was read last. While it can't be read, as in the middle of a change, it isn't.
    pub(crate) fn changed(&self) -> bool {
        let before = self.version();
        self.read().is_ok_and(|(_, version)| version != before)
    }

    pub(crate) fn version(&self) -> u64 {
        self.known().version
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once_and_a_file_that_is_gone_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let file = PasswordFile::new(path.clone());
        assert!(file.read().unwrap_err().to_string().contains("password file"));
        std::fs::write(&path, "first\n").unwrap();
        assert_eq!(file.read().unwrap(), ("first".to_owned(), 1));
        assert!(!file.changed());
        std::fs::write(&path, "").unwrap();
        assert!(!file.changed());
        std::fs::write(&path, "second").unwrap();
        assert!(file.changed() && !file.changed());
        assert_eq!(file.version(), 2);
    }
}
