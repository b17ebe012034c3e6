use std::sync::{Arc, PoisonError, RwLock};

use pasetors::Public;
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use quick_cache::sync::Cache;
use selvage_context::clock::Clock;
use selvage_status::{Error, ErrorCode};

use crate::token::Claims;
use crate::{Caller, TrustedKeys};

/// The longest token that is looked at; ours have about 250 bytes.
const MAX_TOKEN_BYTES: usize = 1024;
/// The longest subject.
const MAX_SUBJECT_BYTES: usize = 64;
/// How far the clocks of two machines may differ.
const CLOCK_SKEW_SECONDS: i64 = 30;
/// Tokens that were verified before: an Ed25519 check costs some 50 µs, a lookup far below 1 µs. At 4,096 × (a token of
/// about 250 bytes twice + its claims) they take under 3 MiB; of a full cache those go that are used least.
const MAX_CACHED: usize = 4096;

/// Checks tokens. Cheap to clone; clones share whom they trust and what they verified.
#[derive(Clone, Debug)]
pub struct Verifier {
    trust: Arc<RwLock<Trust>>,
    clock: Clock,
    verified: Arc<Cache<String, Verified>>,
}

/// Whom we trust now, and how often that was replaced.
#[derive(Clone, Debug)]
struct Trust {
    keys: Arc<TrustedKeys>,
    version: u64,
}

#[derive(Clone, Debug)]
struct Verified {
    caller: Caller,
    issued: i64,
    expires: i64,
    /// The [`Trust`] that it was verified with: what another one says is no longer of interest.
    version: u64,
}

impl Verifier {
    /// A verifier that trusts `keys`.
    pub fn new(keys: TrustedKeys, clock: Clock) -> Self {
        let trust = Trust { keys: Arc::new(keys), version: 0 };
        Self { trust: Arc::new(RwLock::new(trust)), clock, verified: Arc::new(Cache::new(MAX_CACHED)) }
    }

    /// Trusts `keys` instead, from the next call on: a token of a key that isn't among them any more is refused at once.
    pub fn replace_keys(&self, keys: TrustedKeys) {
        let mut trust = self.trust.write().unwrap_or_else(PoisonError::into_inner);
        *trust = Trust { keys: Arc::new(keys), version: trust.version + 1 };
        drop(trust);
        self.verified.clear();
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// UNAUTHENTICATED if it is malformed, not signed by a key that may give its role, not valid yet or no longer. The
    /// answer doesn't say which, except that an expired one can be told by its reason `TOKEN_EXPIRED`.
    pub fn verify(&self, token: &str) -> Result<Caller, Error> {
        let trust = self.trust.read().unwrap_or_else(PoisonError::into_inner).clone();
        let verified = match self.verified.get(token).filter(|verified| verified.version == trust.version) {
            Some(verified) => verified,
            None => self.check(token, &trust).ok_or_else(refused)?,
        };
        let now = self.clock.now_ms() / 1000;
        if now >= verified.expires {
            return Err(Error::new(ErrorCode::Unauthenticated, "the token has expired").reason("TOKEN_EXPIRED"));
        }
        if verified.issued > now + CLOCK_SKEW_SECONDS {
            return Err(refused());
        }
        Ok(verified.caller)
    }

    fn check(&self, token: &str, trust: &Trust) -> Option<Verified> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let untrusted = UntrustedToken::<Public, V4>::try_from(token).ok()?;
        let id = std::str::from_utf8(untrusted.untrusted_footer()).ok()?;
        let key = trust.keys.get(id)?;
        let trusted = PublicToken::verify(&key.public, &untrusted, None, None).ok()?;
        let claims: Claims = serde_json::from_str(trusted.payload()).ok()?;
        if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT_BYTES || !key.roles.contains(&claims.role) {
            return None;
        }
        let caller = Caller::new(claims.sub.into(), claims.role, token.into(), key.rpcs.clone());
        let verified = Verified { caller, issued: claims.iat, expires: claims.exp, version: trust.version };
        self.verified.insert(token.to_owned(), verified.clone());
        Some(verified)
    }
}

fn refused() -> Error {
    Error::new(ErrorCode::Unauthenticated, "the token is not valid")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Issuer, IssuerKey, Role, ServiceToken};

    fn shop(roles: &[Role]) -> (Issuer, Verifier, Clock) {
        let clock = Clock::standing_at(1_800_000_000_000);
        let key = IssuerKey::generate().unwrap();
        let verifier = Verifier::new(trusted(&[(roles, &key)]), clock.clone());
        (Issuer::new(key, clock.clone()), verifier, clock)
    }

    fn trusted(keys: &[(&[Role], &IssuerKey)]) -> TrustedKeys {
        let lines: String = keys.iter().map(|(roles, key)| TrustedKeys::line(roles, key, &[])).collect();
        TrustedKeys::parse(&lines, |_| false).unwrap()
    }

    #[test]
    fn a_token_is_its_subjects_until_it_expires() {
        let (issuer, verifier, clock) = shop(&[Role::Guest]);
        let token = issuer.issue("guest-1", Role::Guest, Duration::from_secs(60));
        let caller = verifier.verify(&token).unwrap();
        assert_eq!((caller.subject(), caller.role()), ("guest-1", Role::Guest));
        clock.advance_ms(59_999);
        assert!(verifier.verify(&token).is_ok());
        clock.advance_ms(1);
        assert_eq!(verifier.verify(&token).unwrap_err().reason_code(), Some("TOKEN_EXPIRED"));
    }

    #[test]
    fn a_key_can_give_only_the_roles_it_is_trusted_with() {
        let (issuer, verifier, _) = shop(&[Role::Guest, Role::Customer]);
        for role in Role::ALL {
            let allowed = [Role::Guest, Role::Customer].contains(&role);
            let token = issuer.issue("somebody", role, Duration::from_secs(60));
            assert_eq!(verifier.verify(&token).is_ok(), allowed, "{role}");
        }
    }

    #[test]
    fn no_changed_byte_passes() {
        let (issuer, verifier, _) = shop(&[Role::Guest]);
        let token = issuer.issue("guest-1", Role::Guest, Duration::from_secs(60));
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verifier.verify(&changed).is_err(), "byte {index}");
        }
        assert!(verifier.verify("").is_err());
        assert!(verifier.verify(&"x".repeat(100_000)).is_err());
    }

    #[test]
    fn a_foreign_key_is_refused() {
        let (_, verifier, _) = shop(&[Role::Guest]);
        let (stranger, _, _) = shop(&[Role::Guest]);
        assert!(verifier.verify(&stranger.issue("guest-1", Role::Guest, Duration::from_secs(60))).is_err());
    }

    #[test]
    fn a_service_renews_its_token_in_time() {
        let (issuer, verifier, clock) = shop(&[Role::Service]);
        let token = ServiceToken::new(issuer, "relay");
        let first = token.get();
        assert_eq!(first, token.get());
        clock.advance_ms(240_000);
        let second = token.get();
        assert_ne!(first, second);
        clock.advance_ms(60_000);
        assert!(verifier.verify(&first).is_err());
        assert!(verifier.verify(&second).is_ok());
    }

    #[test]
    fn a_service_replaces_its_token_when_the_clock_was_set_back() {
        let (issuer, verifier, clock) = shop(&[Role::Service]);
        let token = ServiceToken::new(issuer, "relay");
        let first = token.get();
        clock.advance_ms(-3_600_000);
        assert!(verifier.verify(&first).is_err(), "it isn't valid yet");
        assert!(verifier.verify(&token.get()).is_ok());
    }

    #[test]
    fn keys_are_replaced_while_tokens_are_under_way() {
        let (issuer, verifier, clock) = shop(&[Role::Service]);
        let (old, token) = (issuer.key(), ServiceToken::new(issuer.clone(), "relay"));
        let before = token.get();
        assert!(verifier.verify(&before).is_ok());
        let new = IssuerKey::generate().unwrap();
        let roles: &[Role] = &[Role::Service];
        // First both are trusted, then the new one signs, then the old one is trusted no more.
        verifier.replace_keys(trusted(&[(roles, &old), (roles, &new)]));
        assert!(verifier.verify(&before).is_ok());
        let only_new = trusted(&[(roles, &new)]);
        issuer.replace_key(new);
        let after = token.get();
        assert_ne!(before, after, "the next token is the new key's");
        assert!(verifier.clone().verify(&after).is_ok() && verifier.verify(&before).is_ok());
        verifier.replace_keys(only_new);
        assert!(verifier.clone().verify(&before).is_err(), "though it was verified before");
        assert!(verifier.verify(&after).is_ok());
        clock.advance_ms(1_000);
        assert_eq!(token.get(), after);
    }
}
