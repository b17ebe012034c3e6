//! Where a process finds its keys, and how it follows their changes.

mod file;
mod folder;
mod follow;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use selvage_identity::{IssuerKeys, KeyError, TrustedKeys};

pub use folder::{Holder, KeyFolder, LIST_HEADER};
pub use follow::Keys;

/// Where a process finds its keys.
#[derive(clap::Args, Clone, Debug)]
pub struct KeyFiles {
    /// File with the public keys that are trusted, a line each: `<role>[,<role>…] k4.public.… [<rpc> …]`. It is read again
    /// when it changes
    #[arg(long, env = "SELVAGE_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: PathBuf,
    /// File with the secret key that this process signs its own tokens with: the first line, if it has several. It is read
    /// again when it changes
    #[arg(long, env = "SELVAGE_ISSUER_KEY", value_name = "FILE")]
    pub issuer_key: Option<PathBuf>,
}

/// Reads a list of trusted keys.
fn read_trusted_keys(path: &Path) -> anyhow::Result<TrustedKeys> {
    let text = file::read(path).with_context(|| format!("can't read trusted keys {}", path.display()))?;
    parse_trusted_keys(&text).with_context(|| format!("in trusted keys {}", path.display()))
}

fn parse_trusted_keys(text: &str) -> Result<TrustedKeys, KeyError> {
    TrustedKeys::parse(text, selvage_proto::is_rpc)
}

/// Reads the secret keys of a holder. An error names the file and what is wrong, never the key.
fn read_issuer_keys(path: &Path) -> anyhow::Result<IssuerKeys> {
    let text = file::read(path).with_context(|| format!("can't read secret key {}", path.display()))?;
    IssuerKeys::parse(&text).with_context(|| format!("in secret key {}", path.display()))
}
