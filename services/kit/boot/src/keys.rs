use std::path::{Path, PathBuf};

use anyhow::Context as _;
use selvage_identity::{IssuerKey, TrustedKeys};

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
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read trusted keys {}", path.display()))?;
    TrustedKeys::parse(&text).with_context(|| format!("in trusted keys {}", path.display()))
}

/// Reads a secret key.
///
/// # Errors
/// Names the file and what is wrong, never the key.
pub fn read_issuer_key(path: &Path) -> anyhow::Result<IssuerKey> {
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read secret key {}", path.display()))?;
    IssuerKey::parse(&text).with_context(|| format!("in secret key {}", path.display()))
}
