use std::fmt;
use std::sync::Arc;

use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, AsymmetricSecretKey, Generate};
use pasetors::version4::V4;

use crate::role::UnknownRole;

/// What is wrong with a key or a list of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A secret key's text isn't one.
    #[error("not a secret key: it must be one line that begins with 'k4.secret.'")]
    Secret,
    /// A line of a file of secret keys isn't one.
    #[error("not a secret key: line {line} must begin with 'k4.secret.'")]
    SecretLine {
        /// Counted from 1.
        line: usize,
    },
    /// A file of secret keys has more than are read.
    #[error("more than {} secret keys: take out those that nothing was sealed with for the longest", IssuerKeys::MOST)]
    Secrets,
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

/// The secret keys of one holder, as they stand in its file: the first signs and seals. What the others have sealed is still
/// opened, so that a key can be replaced without anybody losing what was sealed with it.
#[derive(Clone, Debug)]
pub struct IssuerKeys(Vec<Arc<IssuerKey>>);

impl IssuerKeys {
    /// The most keys of a holder: one a month for as long as sessions live, and some to spare.
    const MOST: usize = 8;

    /// Reads a file: a key a line, as [`IssuerKey::parse`] does. Empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`KeyError::SecretLine`] for the first line that is none, [`KeyError::Secret`] if there is none at all, and
    /// [`KeyError::Secrets`] if there are more than 8; no key is repeated.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('#') {
                let key = IssuerKey::parse(text).map_err(|_| KeyError::SecretLine { line: index + 1 })?;
                keys.push(Arc::new(key));
            }
        }
        match keys.len() {
            0 => Err(KeyError::Secret),
            1..=Self::MOST => Ok(Self(keys)),
            _ => Err(KeyError::Secrets),
        }
    }

    /// The key that signs.
    pub fn first(&self) -> &Arc<IssuerKey> {
        &self.0[0]
    }

    /// All of them, the one that signs first.
    pub fn iter(&self) -> impl Iterator<Item = &IssuerKey> {
        self.0.iter().map(|key| &**key)
    }
}

impl From<IssuerKey> for IssuerKeys {
    fn from(key: IssuerKey) -> Self {
        Self(vec![Arc::new(key)])
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

    #[test]
    fn a_file_has_the_key_that_signs_and_those_before_it() {
        let keys = [(); 9].map(|()| IssuerKey::generate().unwrap());
        let texts: Vec<_> = keys.iter().map(IssuerKey::secret_text).collect();
        let one = IssuerKeys::parse(&format!("{}\n", texts[0])).unwrap();
        assert_eq!((one.first().id(), one.iter().count()), (keys[0].id(), 1), "as files were until now");
        let two = IssuerKeys::parse(&format!("# since May\n{}\n\n# until May\n  {}\r\n", texts[1], texts[0])).unwrap();
        assert_eq!(two.iter().map(IssuerKey::id).collect::<Vec<_>>(), [keys[1].id(), keys[0].id()]);
        let refused = |text: &str| IssuerKeys::parse(text).unwrap_err().to_string();
        let wrong = refused(&format!("{}\n{}", texts[0], &texts[1][..40]));
        assert!(wrong.contains("line 2 ") && !wrong.contains(&texts[1][..40]), "{wrong}");
        assert!(refused("# nothing\n").contains("k4.secret."));
        assert!(IssuerKeys::parse(&texts[..8].join("\n")).is_ok());
        assert!(refused(&texts.join("\n")).contains("more than 8"));
    }
}
