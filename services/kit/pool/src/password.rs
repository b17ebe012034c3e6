//! A password in a file that changes while we run, as Kubernetes' secrets do.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::address;

/// The longest content. Tokens that clouds take for passwords have up to 4,000 bytes.
const MAX_BYTES: u64 = 16 * 1024;

/// A file with a password, read anew for each connection that is made. It may have a whole address instead, as many keep it in
/// one secret; then the password of that counts, if it has one.
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

    /// The password, and which one it is. None, if there is an address without one.
    pub(crate) fn read(&self) -> io::Result<(Option<String>, u64)> {
        let about = |error: io::Error| {
            io::Error::new(error.kind(), format!("the password file {} can't be read: {error}", self.path.display()))
        };
        // A file of a line: the read doesn't block for longer than a page fault would.
        if std::fs::metadata(&self.path).map_err(about)?.len() > MAX_BYTES {
            return Err(about(io::Error::other("it has more than 16,384 bytes")));
        }
        let text = std::fs::read_to_string(&self.path).map_err(about)?;
        let line = text.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Err(about(io::Error::other("it is empty")));
        }
        let password = if is_address(line) {
            address::password(line).map_err(|why| about(io::Error::other(why)))?
        } else {
            Some(line.to_owned())
        };
        let mut known = self.known();
        if known.password != password {
            known.version += 1;
            known.password.clone_from(&password);
        }
        Ok((password, known.version))
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

fn is_address(line: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| line.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_the_password_counts_and_no_error_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("address");
        let file = PasswordFile::new(path.clone());
        for (address, password) in [
            ("postgres://cart:s%3Ae%40cret@db.example.org:5432/cart?sslmode=verify-full\n", "s:e@cret"),
            ("postgresql://cart@db.example.org/cart?password=s%26p", "s&p"),
            // It isn't an address.
            ("postgres:/x", "postgres:/x"),
        ] {
            std::fs::write(&path, address).unwrap();
            assert_eq!(file.read().unwrap().0.as_deref(), Some(password));
        }
        std::fs::write(&path, "postgres://cart@db/cart?sslcert=/a/certificate").unwrap();
        assert_eq!(file.read().unwrap(), (None, 4));
        for (address, why) in
            [("postgres://cart:secret@[x/cart", "can't be read"), ("postgres://cart:secret%ff@db/cart", "isn't UTF-8")]
        {
            std::fs::write(&path, address).unwrap();
            let said = file.read().unwrap_err().to_string();
            assert!(said.contains(why) && !said.contains("secret"), "{said}");
        }
        std::fs::write(&path, "t".repeat(4_000)).unwrap();
        assert_eq!(file.read().unwrap().0.unwrap().len(), 4_000, "a cloud's token");
        std::fs::write(&path, "t".repeat(20_000)).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("more than 16,384 bytes"));
    }

    #[test]
    fn a_change_is_seen_once_and_a_file_that_is_gone_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let file = PasswordFile::new(path.clone());
        assert!(file.read().unwrap_err().to_string().contains("password file"));
        std::fs::write(&path, "first\n").unwrap();
        assert_eq!(file.read().unwrap(), (Some("first".to_owned()), 1));
        assert!(!file.changed());
        std::fs::write(&path, "").unwrap();
        assert!(!file.changed());
        std::fs::write(&path, "second").unwrap();
        assert!(file.changed() && !file.changed());
        assert_eq!(file.version(), 2);
    }
}
