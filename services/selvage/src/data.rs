//! The data folder: databases, keys, mails.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use selvage_boot::{Database, KeyFolder};
use selvage_holders::HOLDERS;

/// A folder that belongs to one shop.
pub(crate) struct DataFolder(PathBuf);

impl DataFolder {
    /// Opens it, and makes it if it isn't there.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        make_folder(path).with_context(|| {
            format!("the data folder {} can't be made; choose another with --data DIR", path.display())
        })?;
        // Found out now, in words, rather than by the first order.
        let probe = path.join(".writable");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).with_context(|| {
            format!(
                "the data folder {} can't be written to; make it writable, free some space, or choose another with --data DIR",
                path.display()
            )
        })?;
        Ok(Self(path.to_owned()))
    }

    /// One service's database.
    pub(crate) fn database(&self, service: &str) -> Database {
        Database::at(format!("sqlite://{}", self.0.join(format!("{service}.db")).display()))
    }

    pub(crate) fn mails(&self) -> PathBuf {
        self.0.join("mail")
    }

    /// The shop's keys; those that are missing are made.
    pub(crate) fn make_keys(&self) -> anyhow::Result<KeyFolder> {
        KeyFolder::make(&keys_in(&self.0), &HOLDERS)
    }
}

/// Where a shop's keys are in its data folder.
pub(crate) fn keys_in(data: &Path) -> PathBuf {
    data.join("keys")
}

/// A folder that only its owner can look into.
fn make_folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
