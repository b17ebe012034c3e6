use std::fmt;

use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, AsymmetricSecretKey, Generate};
use pasetors::version4::V4;

use crate::role::UnknownRole;

/// What is wrong with a key or a list of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A secret key's text isn't one.
    #[error("not a secret key: it must be one line that begins with 'k4.secret.'")]
    Secret,
    /// A line of the list isn't of the form it must have.
    #[error(
        "line {line}: must be '<role>[,<role>…] k4.public.… [<rpc> …]', for example 'guest,customer k4.public.…'; each <rpc> \
         is one that tokens of the key may call, and without any they may call all"
    )]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A line of the list names a role that doesn't exist.
    #[error("line {line}: {unknown}")]
    Role {
        /// Counted from 1.
        line: usize,
        /// Which, and those that there are.
        unknown: UnknownRole,
    },
    /// A line of the list names an rpc that doesn't exist.
    #[error(
        "line {line}: there is no rpc '{rpc}': it must be one of the services' own, as 'package.Service/Method'; take it out \
         or write it as the services' reflection lists it"
    )]
    Rpc {
        /// Counted from 1.
        line: usize,
        /// As it stands there.
        rpc: String,
    },
    /// A list without keys would refuse everybody.
    #[error("the list of trusted keys is empty")]
    Empty,
    /// The machine gave no randomness.
    #[error("no key could be made: the machine gave no randomness")]
    Randomness,
}

/// A secret key with which tokens are issued.
pub struct IssuerKey {
    secret: AsymmetricSecretKey<V4>,
    id: String,
}

impl IssuerKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] if the machine has none.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = AsymmetricKeyPair::<V4>::generate().map_err(|_| KeyError::Randomness)?;
        Self::of(pair.secret)
    }

    /// Reads a key from its PASERK text, `k4.secret.…`; white space around it is ignored.
    ///
    /// # Errors
    /// [`KeyError::Secret`] if it isn't one; the text is not repeated.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::of(AsymmetricSecretKey::try_from(text.trim()).map_err(|_| KeyError::Secret)?)
    }

    fn of(secret: AsymmetricSecretKey<V4>) -> Result<Self, KeyError> {
        let public = AsymmetricPublicKey::<V4>::try_from(&secret).map_err(|_| KeyError::Secret)?;
        let id = key_id(&paserk(&public));
        Ok(Self { secret, id })
    }

    /// The secret key's PASERK text: to be written to a file that only its owner can read, and nowhere else.
    pub fn secret_text(&self) -> String {
        paserk(&self.secret)
    }

    /// The public key's PASERK text, for the lists of those who trust it.
    pub fn public_text(&self) -> String {
        AsymmetricPublicKey::<V4>::try_from(&self.secret).map(|public| paserk(&public)).unwrap_or_default()
    }

    pub(crate) fn secret(&self) -> &AsymmetricSecretKey<V4> {
        &self.secret
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Names a public key in a token's footer: the last 12 characters of its text, enough to tell a shop's few keys apart.
/// It only chooses the key; the signature decides.
pub(crate) fn key_id(public_text: &str) -> String {
    public_text.chars().skip(public_text.chars().count().saturating_sub(12)).collect()
}

fn paserk(key: &impl pasetors::paserk::FormatAsPaserk) -> String {
    let mut text = String::new();
    key.fmt(&mut text).expect("a String takes any text");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_text() {
        let key = IssuerKey::generate().unwrap();
        let again = IssuerKey::parse(&format!("{}\n", key.secret_text())).unwrap();
        assert_eq!(key.public_text(), again.public_text());
        assert!(!format!("{key:?}").contains(&key.secret_text()));
        assert!(matches!(IssuerKey::parse(&key.public_text()), Err(KeyError::Secret)));
    }
}
