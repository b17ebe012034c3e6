//! The data folder: databases, keys, mails.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use selvage_boot::{Database, read_issuer_key, read_trusted_keys};
use selvage_identity::{IssuerKey, Role, TrustedKeys};

/// Who holds a key, and what it may sign. A process gets the one key it needs.
const HOLDERS: [(&str, &[Role]); 4] = [
    ("web", &[Role::Guest, Role::Customer]),
    ("checkout", &[Role::Service]),
    ("catalogue", &[Role::Service]),
    ("admin", &[Role::Admin]),
];
const TRUSTED: &str = "trusted.keys";

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

    pub(crate) fn keys(&self) -> anyhow::Result<Keys> {
        write_keys(&self.0.join("keys"))
    }
}

/// A shop's keys in a folder.
pub(crate) struct Keys(PathBuf);

impl Keys {
    pub(crate) fn of(&self, holder: &str) -> anyhow::Result<IssuerKey> {
        read_issuer_key(&self.0.join(format!("{holder}.key")))
    }

    pub(crate) fn for_role(&self, role: Role) -> anyhow::Result<IssuerKey> {
        let holder = HOLDERS.iter().find(|(_, roles)| roles.contains(&role)).map_or("admin", |(holder, _)| holder);
        self.of(holder)
    }

    pub(crate) fn trusted(&self) -> anyhow::Result<TrustedKeys> {
        read_trusted_keys(&self.0.join(TRUSTED))
    }
}

/// Makes the keys that are not there yet, and the list of whom to trust with what.
pub(crate) fn write_keys(folder: &Path) -> anyhow::Result<Keys> {
    make_folder(folder).with_context(|| format!("the key folder {} can't be made", folder.display()))?;
    let mut trusted = String::from("# Who may sign tokens of which role; services read this list.\n");
    for (holder, roles) in HOLDERS {
        let path = folder.join(format!("{holder}.key"));
        if !path.exists() {
            let key = IssuerKey::generate()?;
            write_secret(&path, &key.secret_text()).with_context(|| format!("{} can't be written", path.display()))?;
        }
        trusted.push_str(&TrustedKeys::line(roles, &read_issuer_key(&path)?));
    }
    let path = folder.join(TRUSTED);
    fs::write(&path, trusted).with_context(|| format!("{} can't be written", path.display()))?;
    Ok(Keys(folder.to_owned()))
}

/// A folder that only its owner can look into.
fn make_folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A file that only its owner can read, and that is whole or not there.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(part, path)
}
