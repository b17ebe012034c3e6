use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use pasetors::keys::AsymmetricPublicKey;
use pasetors::version4::V4;

use crate::keys::key_id;
use crate::role::Role;
use crate::{IssuerKey, KeyError};

/// What tokens that a key has signed may be: its line in the list of trusted keys.
#[derive(Clone)]
pub(crate) struct Trusted {
    pub(crate) public: AsymmetricPublicKey<V4>,
    pub(crate) roles: Vec<Role>,
    pub(crate) rpcs: Rpcs,
}

/// The rpcs that tokens of a key may call; `None` leaves that to their role.
pub(crate) type Rpcs = Option<Arc<BTreeSet<String>>>;

/// The public keys that are trusted, each with the roles that its holder may give and, where its line names any, the rpcs
/// that tokens of it may call.
#[derive(Clone)]
pub struct TrustedKeys(HashMap<String, Trusted>);

impl TrustedKeys {
    /// Reads a list: a line a key, `<role>[,<role>…] k4.public.… [<rpc> …]`, each rpc as `package.Service/Method`. Without
    /// any, tokens of the key may call whatever their role may. Empty lines and those that begin with `#` are passed over.
    /// `is_rpc` knows the rpcs that there are.
    ///
    /// # Errors
    /// Names the first line that is not of that form, or that names a role or an rpc that doesn't exist;
    /// [`KeyError::Empty`] if there is no key at all.
    pub fn parse(text: &str, is_rpc: impl Fn(&str) -> bool) -> Result<Self, KeyError> {
        let mut keys = HashMap::new();
        for (index, text) in text.lines().enumerate() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let line = index + 1;
            let wrong = || KeyError::Line { line };
            let mut words = text.split_whitespace();
            let (roles, key) = (words.next().ok_or_else(wrong)?, words.next().ok_or_else(wrong)?);
            let roles = roles.split(',').map(|role| role.parse().map_err(|unknown| KeyError::Role { line, unknown }));
            let roles = roles.collect::<Result<Vec<Role>, _>>()?;
            let public = AsymmetricPublicKey::<V4>::try_from(key).map_err(|_| wrong())?;
            let rpcs = words.map(|rpc| match is_rpc(rpc) {
                true => Ok(rpc.to_owned()),
                false => Err(KeyError::Rpc { line, rpc: rpc.to_owned() }),
            });
            let rpcs = rpcs.collect::<Result<BTreeSet<_>, _>>()?;
            let rpcs = (!rpcs.is_empty()).then(|| Arc::new(rpcs));
            keys.insert(key_id(key), Trusted { public, roles, rpcs });
        }
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Self(keys)) }
    }

    /// The line for `key` in such a list.
    pub fn line(roles: &[Role], key: &IssuerKey, rpcs: &[&str]) -> String {
        let roles: Vec<_> = roles.iter().map(|role| role.name()).collect();
        let words = [roles.join(","), key.public_text()].into_iter().chain(rpcs.iter().map(ToString::to_string));
        words.collect::<Vec<_>>().join(" ") + "\n"
    }

    /// The roles that the holder of `key` may give; `None` if it isn't trusted.
    pub fn roles_of(&self, key: &IssuerKey) -> Option<&[Role]> {
        let trusted = self.get(key.id()).filter(|trusted| {
            AsymmetricPublicKey::<V4>::try_from(key.secret()).is_ok_and(|public| public == trusted.public)
        })?;
        Some(&trusted.roles)
    }

    /// How many keys may sign for services and name no rpcs, so that whoever holds one may call all that services may: lines
    /// from before rpcs could be named.
    pub fn unlimited_services(&self) -> usize {
        self.0.values().filter(|key| key.roles.contains(&Role::Service) && key.rpcs.is_none()).count()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Trusted> {
        self.0.get(id)
    }
}

impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(id, key)| (id, (&key.roles, &key.rpcs)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RPC: &str = "test.v1.Test/Read";

    fn parse(text: &str) -> Result<TrustedKeys, KeyError> {
        TrustedKeys::parse(text, |rpc| rpc == RPC)
    }

    #[test]
    fn a_line_has_roles_a_key_and_perhaps_rpcs() {
        let (key, stranger) = (IssuerKey::generate().unwrap(), IssuerKey::generate().unwrap());
        let text = format!("# whom to trust\n\n  {}", TrustedKeys::line(&[Role::Service], &key, &[RPC]));
        let keys = parse(&text).unwrap();
        assert_eq!((keys.roles_of(&key), keys.roles_of(&stranger)), (Some(&[Role::Service][..]), None));
        assert_eq!(keys.unlimited_services(), 0);
        // As they were written before rpcs could be named.
        let old = parse(&format!("service  {}\r\n", key.public_text())).unwrap();
        assert_eq!((old.roles_of(&key), old.unlimited_services()), (Some(&[Role::Service][..]), 1));
    }

    #[test]
    fn what_is_wrong_is_refused_by_line_with_the_remedy() {
        let key = IssuerKey::generate().unwrap();
        let good = TrustedKeys::line(&[Role::Admin], &key, &[]);
        let public = key.public_text();
        for (wrong, words) in [
            (format!("wizard {public}"), ["there is no role 'wizard'", "guest, customer, service"]),
            (format!("guest,,customer {public}"), ["there is no role ''", "admin"]),
            ("admin".to_owned(), ["must be '<role>", "k4.public"]),
            (format!("admin {}", &public[..public.len() - 3]), ["must be '<role>", "k4.public"]),
            (format!("{public} admin"), ["there is no role 'k4.public", "operations, faults"]),
            (format!("service {public} {RPC} test.v1.Test/Raed"), ["no rpc 'test.v1.Test/Raed'", "take it out"]),
        ] {
            let error = parse(&format!("{good}{wrong}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && words.iter().all(|word| error.contains(word)), "{wrong}: {error}");
        }
        assert!(matches!(parse("# nothing\n\n"), Err(KeyError::Empty)));
    }
}
