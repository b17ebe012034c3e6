//! Keys that are derived from the secret keys of these pages, and anew when those are replaced: a key can then be replaced
//! while the shop runs, and whoever has something that the one before it sealed loses nothing.

use std::sync::{Arc, Mutex, PoisonError};

use selvage_identity::{Issuer, IssuerKey, IssuerKeys};

/// A key derived from each of the secret keys.
pub(crate) struct Derived<K> {
    issuer: Issuer,
    derive: fn(&str, &'static str) -> K,
    purpose: &'static str,
    /// What was derived last, and from which keys.
    last: Mutex<Last<K>>,
}

type Last<K> = (Arc<IssuerKeys>, Arc<[K]>);

impl<K> Derived<K> {
    /// Keys for `purpose`, which `derive` makes of a secret.
    pub(crate) fn new(issuer: &Issuer, purpose: &'static str, derive: fn(&str, &'static str) -> K) -> Self {
        let keys = issuer.keys();
        let last = Mutex::new((keys.clone(), each(&keys, purpose, derive)));
        Self { issuer: issuer.clone(), derive, purpose, last }
    }

    /// One of each key that there is now. The first is for making things, all are for reading what was made.
    pub(crate) fn get(&self) -> Arc<[K]> {
        let keys = self.issuer.keys();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&last.0, &keys) {
            let derived = each(&keys, self.purpose, self.derive);
            *last = (keys, derived);
        }
        last.1.clone()
    }
}

fn each<K>(keys: &IssuerKeys, purpose: &'static str, derive: fn(&str, &'static str) -> K) -> Arc<[K]> {
    keys.iter().map(IssuerKey::secret_text).map(|secret| derive(&secret, purpose)).collect()
}

#[cfg(test)]
mod tests {
    use selvage_context::clock::Clock;

    use super::*;

    #[test]
    fn keys_are_derived_anew_when_the_secret_is_replaced() {
        let (old, new) = (IssuerKey::generate().unwrap(), IssuerKey::generate().unwrap());
        let both = IssuerKeys::parse(&format!("{}\n{}\n", new.secret_text(), old.secret_text())).unwrap();
        let issuer = Issuer::new(old, Clock::standing_at(0));
        let derived = Derived::new(&issuer, "test", |secret, purpose| format!("{purpose} {secret}"));
        let before = derived.get();
        assert!(Arc::ptr_eq(&before, &derived.get()), "and not each time");
        issuer.replace_keys(both);
        let after = derived.get();
        assert_eq!((after.len(), &after[1]), (2, &before[0]));
        assert_eq!(after[0], format!("test {}", new.secret_text()));
    }
}
