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
    writeln!(std::io::stdout(), "{}", signed(token)?)?;
    Ok(())
}

fn signed(token: &Token) -> anyhow::Result<String> {
    let subject = token.subject.as_str();
    ensure!(
        (1..=64).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
        "--subject must be 1 to 64 letters, digits and hyphens"
    );
    // Keys are made by who opens the shop: one made here would be trusted by nobody who runs.
    let keys = KeyFolder::open(&keys_in(&token.data.data))?;
    let issuer = Issuer::new(keys.keys_for(token.role, token.key.as_deref())?, Clock::system());
    Ok(issuer.issue(subject, token.role, Duration::from_secs(60 * token.minutes)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use selvage_holders::HOLDERS;
    use selvage_identity::{IssuerKey, Role, TrustedKeys};

    use super::*;
    use crate::cli::Data;

    fn asked(data: &Path) -> Token {
        let data = Data { data: data.to_owned() };
        Token { role: Role::Operations, data, key: None, subject: "somebody".to_owned(), minutes: 60 }
    }

    #[test]
    fn a_folder_without_keys_is_said_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let refused = signed(&asked(folder.path())).unwrap_err().to_string();
        assert!(refused.contains("there are no keys in") && refused.contains("selvage keys"), "{refused}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_token_changes_nothing_in_a_folder_whose_keys_are_being_replaced_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::make(&keys_in(folder.path()), &HOLDERS).unwrap();
        let added = TrustedKeys::line(&[Role::Operations], &IssuerKey::generate().unwrap(), &[]);
        let list = fs::read_to_string(keys.trusted_file()).unwrap() + "# the next one\n" + &added;
        fs::write(keys.trusted_file(), &list).unwrap();
        fs::remove_file(keys.file("web")).unwrap();
        assert!(signed(&asked(folder.path())).unwrap().starts_with("v4.public."));
        assert_eq!(fs::read_to_string(keys.trusted_file()).unwrap(), list);
        assert!(!keys.file("web").exists(), "only `selvage keys` and the shop make keys");
    }
}
