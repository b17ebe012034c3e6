use std::io::Write as _;
use std::time::Duration;

use anyhow::ensure;
use selvage_boot::KeyFolder;
use selvage_context::clock::Clock;
use selvage_identity::Issuer;

use crate::cli::Token;
use crate::data::keys_in;

/// Prints a token, signed with the key in the data folder that may give its role.
pub(crate) fn print(token: &Token) -> anyhow::Result<()> {
    let subject = token.subject.as_str();
    ensure!(
        (1..=64).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
        "--subject must be 1 to 64 letters, digits and hyphens"
    );
    // Keys are made by who opens the shop: one made here would be trusted by nobody who runs.
    let keys = KeyFolder::open(&keys_in(&token.data.data))?;
    let issuer = Issuer::new(keys.key_for(token.role, token.key.as_deref())?, Clock::system());
    let text = issuer.issue(subject, token.role, Duration::from_secs(60 * token.minutes));
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
