//! `selvage-deploy token`: a token for whoever calls the services by hand.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use selvage_boot::Keys;
use selvage_context::clock::Clock;
use selvage_identity::Role;

use crate::cli::say;

#[derive(clap::Args)]
pub(crate) struct Token {
    /// guest, customer, service, operations (looks at processes), faults (and starts faults in them) or admin
    role: Role,
    /// The file of a key that the services trust with this role
    #[arg(long, env = "SELVAGE_ISSUER_KEY", value_name = "FILE")]
    key_file: PathBuf,
    /// Whose token: an opaque id of 1 to 64 letters, digits and hyphens
    #[arg(long, default_value = "operator")]
    subject: String,
    /// How long it is valid, in minutes, at most a day
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
}

/// Prints it. Whether the key may give that role is decided by those who trust it.
pub(crate) fn run(token: &Token) -> anyhow::Result<()> {
    let subject = token.subject.as_str();
    ensure!(
        (1..=64).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
        "--subject must be 1 to 64 letters, digits and hyphens"
    );
    let issuer = Keys::new(Clock::system()).issuer(&token.key_file)?;
    say(&issuer.issue(subject, token.role, Duration::from_secs(60 * token.minutes)))
}
