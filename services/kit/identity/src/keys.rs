use std::collections::HashMap;
use std::fmt;

use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, AsymmetricSecretKey, Generate};
use pasetors::version4::V4;

use crate::Role;

/// What is wrong with a key or a list of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A secret key's text isn't one.
    #[error("not a secret key: it must be one line that begins with 'k4.secret.'")]
    Secret,
    /// A line of the list isn't of the form it must have.
    #[error("line {line}: must be '<role>[,<role>…] k4.public.…', for example 'guest,customer k4.public.…'")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A role that doesn't exist.
    #[error("there is no role '{0}': it must be guest, customer, service or admin")]
    UnknownRole(String),
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

/// The public keys that are trusted, each with the roles that its holder may give.
#[derive(Clone)]
pub struct TrustedKeys(HashMap<String, (AsymmetricPublicKey<V4>, Vec<Role>)>);

impl TrustedKeys {
    /// Reads a list: a line a key, `<role>[,<role>…] k4.public.…`; empty lines and those that begin with `#` are passed
    /// over.
    ///
    /// # Errors
    /// A line that is not of that form, an unknown role, or no key at all.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || KeyError::Line { line: index + 1 };
            let (roles, key) = line.split_once(char::is_whitespace).ok_or_else(wrong)?;
            let roles = roles.split(',').map(str::parse).collect::<Result<Vec<Role>, _>>()?;
            let public = AsymmetricPublicKey::<V4>::try_from(key.trim()).map_err(|_| wrong())?;
            keys.insert(key_id(key.trim()), (public, roles));
        }
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Self(keys)) }
    }

    /// The line for `key` in such a list.
    pub fn line(roles: &[Role], key: &IssuerKey) -> String {
        let roles: Vec<_> = roles.iter().map(|role| role.name()).collect();
        format!("{} {}\n", roles.join(","), key.public_text())
    }

    pub(crate) fn get(&self, id: &str) -> Option<&(AsymmetricPublicKey<V4>, Vec<Role>)> {
        self.0.get(id)
    }
}

impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(id, (_, roles))| (id, roles))).finish()
    }
}

/// Names a public key in a token's footer: the last 12 characters of its text, enough to tell a shop's few keys apart.
/// It only chooses the key; the signature decides.
fn key_id(public_text: &str) -> String {
    public_text.chars().skip(public_text.chars().count().saturating_sub(12)).collect()
}

fn paserk(key: &impl pasetors::paserk::FormatAsPaserk) -> String {
    let mut text = String::new();
    key.fmt(&mut text).expect("a String takes any text");
    text
}
