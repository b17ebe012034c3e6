use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use selvage_identity::{IssuerKey, Role, TrustedKeys};

/// Where a process finds its keys.
#[derive(clap::Args, Clone, Debug)]
pub struct KeyFiles {
    /// File with the public keys that are trusted, a line each: `<role>[,<role>…] k4.public.…`
    #[arg(long, env = "SELVAGE_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: PathBuf,
    /// File with the secret key that this process signs its own tokens with
    #[arg(long, env = "SELVAGE_ISSUER_KEY", value_name = "FILE")]
    pub issuer_key: Option<PathBuf>,
}

/// Reads a list of trusted keys.
///
/// # Errors
/// Names the file, the line and what is wrong.
pub fn read_trusted_keys(path: &Path) -> anyhow::Result<TrustedKeys> {
    let text = fs::read_to_string(path).with_context(|| format!("can't read trusted keys {}", path.display()))?;
    TrustedKeys::parse(&text).with_context(|| format!("in trusted keys {}", path.display()))
}

/// Reads a secret key.
///
/// # Errors
/// Names the file and what is wrong, never the key.
pub fn read_issuer_key(path: &Path) -> anyhow::Result<IssuerKey> {
    let text = fs::read_to_string(path).with_context(|| format!("can't read secret key {}", path.display()))?;
    IssuerKey::parse(&text).with_context(|| format!("in secret key {}", path.display()))
}

/// Who holds a key, and what it may sign. A process gets the one key that it needs.
const HOLDERS: [(&str, &[Role]); 4] = [
    ("web", &[Role::Guest, Role::Customer]),
    ("checkout", &[Role::Service]),
    ("catalogue", &[Role::Service]),
    ("admin", &[Role::Admin]),
];
const TRUSTED: &str = "trusted.keys";

/// A shop's keys in a folder: `<holder>.key` for each who signs, and `trusted.keys` for all who check.
#[derive(Clone, Debug)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// Makes the keys that are not there yet, and the list of whom to trust with what.
    ///
    /// # Errors
    /// Names the file that can't be written or read.
    pub fn make(folder: &Path) -> anyhow::Result<Self> {
        let private = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        private.with_context(|| format!("the key folder {} can't be made", folder.display()))?;
        let mut trusted = String::from("# Who may sign tokens of which role; services read this list.\n");
        for (holder, roles) in HOLDERS {
            let path = folder.join(format!("{holder}.key"));
            if !path.exists() {
                let text = IssuerKey::generate()?.secret_text();
                write_secret(&path, &text).with_context(|| format!("{} can't be written", path.display()))?;
            }
            trusted.push_str(&TrustedKeys::line(roles, &read_issuer_key(&path)?));
        }
        let path = folder.join(TRUSTED);
        fs::write(&path, trusted).with_context(|| format!("{} can't be written", path.display()))?;
        Ok(Self(folder.to_owned()))
    }

    /// The file of a holder's key: web, checkout, catalogue or admin.
    pub fn file(&self, holder: &str) -> PathBuf {
        self.0.join(format!("{holder}.key"))
    }

    /// The file of those who are trusted.
    pub fn trusted_file(&self) -> PathBuf {
        self.0.join(TRUSTED)
    }

    /// A holder's key.
    ///
    /// # Errors
    /// Names the file that can't be read.
    pub fn of(&self, holder: &str) -> anyhow::Result<IssuerKey> {
        read_issuer_key(&self.file(holder))
    }

    /// A key that may sign tokens of `role`.
    ///
    /// # Errors
    /// Names the file that can't be read.
    pub fn for_role(&self, role: Role) -> anyhow::Result<IssuerKey> {
        let holder = HOLDERS.iter().find(|(_, roles)| roles.contains(&role)).map_or("admin", |(holder, _)| holder);
        self.of(holder)
    }

    /// Those who are trusted.
    ///
    /// # Errors
    /// Names the file that can't be read.
    pub fn trusted(&self) -> anyhow::Result<TrustedKeys> {
        read_trusted_keys(&self.trusted_file())
    }
}

/// A file that only its owner can read, and that is whole or not there.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(part, path)
}
