use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use pasetors::Public;
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use quick_cache::sync::Cache;
use selvage_context::clock::Clock;
use selvage_status::{Error, ErrorCode};

use crate::metrics::{AHEAD, count_refused};
use crate::token::{Claims, LONGEST_LIFE};
use crate::{Caller, TrustedKeys};

/// The longest token that is looked at; ours have about 250 bytes.
const MAX_TOKEN_BYTES: usize = 1024;
/// The longest subject.
const MAX_SUBJECT_BYTES: usize = 64;
/// How far the clock of who signed a token may be ahead of ours: machines that set their clocks by NTP differ by less than a
/// second, and one that has lost its server drifts by a few seconds a day.
const MAX_AHEAD_SECONDS: i64 = 60;
/// How often a difference of clocks is logged, however many tokens are refused for it.
const SAID_EVERY_MS: i64 = 10_000;
/// Tokens that were verified before: an Ed25519 check costs some 50 µs, a lookup far below 1 µs. At 4,096 × (a token of
/// about 250 bytes twice + its claims) they take under 3 MiB; of a full cache those go that are used least.
const MAX_CACHED: usize = 4096;

/// Checks tokens. Cheap to clone; clones share whom they trust and what they verified.
#[derive(Clone, Debug)]
pub struct Verifier {
    trust: Arc<RwLock<Trust>>,
    clock: Clock,
    verified: Arc<Cache<String, Verified>>,
    /// When a difference of clocks was logged last, in milliseconds since the Unix epoch.
    said_ms: Arc<AtomicI64>,
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
        crate::metrics::begin();
        Self {
            trust: Arc::new(RwLock::new(trust)),
            clock,
            verified: Arc::new(Cache::new(MAX_CACHED)),
            said_ms: Arc::new(AtomicI64::new(i64::MIN)),
        }
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
    /// UNAUTHENTICATED if it is malformed or not signed by a key that may give its role, which the answer doesn't tell apart.
    /// One that is signed as it must be is told what is wrong: by its reason `TOKEN_EXPIRED`, `TOKEN_AHEAD` (its signer's
    /// clock is more than a minute ahead of ours) or `TOKEN_TOO_LONG` (it is made for more than [`LONGEST_LIFE`]), and in words.
    pub fn verify(&self, token: &str) -> Result<Caller, Error> {
        self.look(token).inspect_err(|error| count_refused(error.reason_code()))
    }

    fn look(&self, token: &str) -> Result<Caller, Error> {
        let trust = self.trust.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (now_ms, refused) = (self.clock.now_ms(), |words: String| Error::new(ErrorCode::Unauthenticated, words));
        let now = now_ms / 1000;
        let verified = match self.verified.get(token).filter(|verified| verified.version == trust.version) {
            Some(verified) => verified,
            None => {
                let verified = self.check(token, &trust).ok_or_else(|| refused("the token is not valid".to_owned()))?;
                AHEAD.record(u64::try_from(verified.issued.saturating_sub(now)).unwrap_or(0), &[]);
                verified
            }
        };
        if verified.expires.saturating_sub(verified.issued) > LONGEST_LIFE.as_secs() as i64 {
            let words =
                format!("the token is made for more than {} s, and none may live longer", LONGEST_LIFE.as_secs());
            return Err(refused(words).reason("TOKEN_TOO_LONG"));
        }
        if now >= verified.expires {
            let since = now.saturating_sub(verified.expires);
            return Err(
                refused(format!("the token has expired {since} s ago by the clock here")).reason("TOKEN_EXPIRED")
            );
        }
        let ahead = verified.issued.saturating_sub(now);
        if ahead > MAX_AHEAD_SECONDS {
            let words = format!(
                "the token was issued {ahead} s ahead of the clock here, and at most {MAX_AHEAD_SECONDS} s are let pass: set \
                 both machines' clocks"
            );
            let error = refused(words.clone()).reason("TOKEN_AHEAD");
            return Err(if self.is_to_say(now_ms) { error.source(words) } else { error });
        }
        Ok(verified.caller)
    }

    /// Whether a difference of clocks is to be logged again; if so, it counts as logged at `now_ms`.
    fn is_to_say(&self, now_ms: i64) -> bool {
        let before = self.said_ms.load(Ordering::Relaxed);
        // A clock that was set back says it again.
        let is_silent = before <= now_ms && now_ms.saturating_sub(before) < SAID_EVERY_MS;
        !is_silent && self.said_ms.compare_exchange(before, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
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
    fn a_clock_that_is_a_minute_ahead_is_let_pass_and_one_further_ahead_is_told_by_how_much() {
        let (here, key) = (Clock::standing_at(1_800_000_000_000), IssuerKey::generate().unwrap());
        let verifier = Verifier::new(trusted(&[(&[Role::Guest], &key)]), here.clone());
        let there = Clock::standing_at(1_800_000_060_000);
        let issuer = Issuer::new(key, there.clone());
        let token = || issuer.issue("guest-1", Role::Guest, Duration::from_secs(900));
        let is_logged = |error: &Error| std::error::Error::source(error).is_some();
        assert!(verifier.verify(&token()).is_ok());
        there.advance_ms(1_000);
        let early = token();
        let refused = verifier.verify(&early).unwrap_err();
        assert_eq!(refused.reason_code(), Some("TOKEN_AHEAD"));
        assert!(refused.to_string().contains("61 s ahead"), "{refused}");
        assert!(is_logged(&refused));
        here.advance_ms(500);
        assert!(!is_logged(&verifier.verify(&early).unwrap_err()), "not for each token");
        here.advance_ms(500);
        assert!(verifier.verify(&early).is_ok(), "its time has come");
        there.advance_ms(3_600_000);
        here.advance_ms(SAID_EVERY_MS);
        assert!(is_logged(&verifier.verify(&token()).unwrap_err()), "again after a while");
    }

    #[test]
    fn no_token_lives_longer_than_a_day_whoever_signed_it() {
        let (issuer, verifier, clock) = shop(&[Role::Admin]);
        let longest = issuer.issue("admin-1", Role::Admin, Duration::from_secs(400 * 24 * 3600));
        assert!(verifier.verify(&longest).is_ok());
        clock.advance_ms(24 * 3_600_000);
        assert_eq!(verifier.verify(&longest).unwrap_err().reason_code(), Some("TOKEN_EXPIRED"));
        // Made by somebody who has the key and a program of their own.
        let (key, now) = (issuer.key(), clock.now_ms() / 1000);
        let made = |seconds: i64| {
            let claims =
                Claims { sub: "admin-1".into(), role: Role::Admin, iat: now, exp: now.saturating_add(seconds) };
            let payload = serde_json::to_vec(&claims).unwrap();
            PublicToken::sign(key.secret(), &payload, Some(key.id().as_bytes()), None).unwrap()
        };
        assert!(verifier.verify(&made(24 * 3600)).is_ok());
        for seconds in [24 * 3600 + 1, i64::MAX] {
            let refused = verifier.verify(&made(seconds)).unwrap_err();
            assert_eq!(refused.reason_code(), Some("TOKEN_TOO_LONG"), "{seconds}");
        }
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
        issuer.replace_keys(new);
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
