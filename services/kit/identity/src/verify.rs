use std::sync::Arc;

use pasetors::Public;
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use quick_cache::sync::Cache;
use selvage_context::clock::Clock;
use selvage_status::{Error, ErrorCode};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::token::Claims;
use crate::{Caller, Role, TrustedKeys};

/// The longest token that is looked at; ours have about 250 bytes.
const MAX_TOKEN_BYTES: usize = 1024;
/// The longest subject.
const MAX_SUBJECT_BYTES: usize = 64;
/// How far the clocks of two machines may differ.
const CLOCK_SKEW_SECONDS: i64 = 30;
/// Tokens that were verified before: an Ed25519 check costs some 50 µs, a lookup far below 1 µs. At 4,096 × (a token of
/// about 250 bytes twice + its claims) they take under 3 MiB; of a full cache those go that are used least.
const MAX_CACHED: usize = 4096;

/// Checks tokens. Cheap to clone; clones share what they verified.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Arc<TrustedKeys>,
    clock: Clock,
    verified: Arc<Cache<String, Verified>>,
}

#[derive(Clone, Debug)]
struct Verified {
    caller: Caller,
    issued: i64,
    expires: i64,
}

impl Verifier {
    /// A verifier that trusts `keys`.
    pub fn new(keys: TrustedKeys, clock: Clock) -> Self {
        Self { keys: Arc::new(keys), clock, verified: Arc::new(Cache::new(MAX_CACHED)) }
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// UNAUTHENTICATED if it is malformed, not signed by a key that may give its role, not valid yet or no longer. The
    /// answer doesn't say which, except that an expired one can be told by its reason `TOKEN_EXPIRED`.
    pub fn verify(&self, token: &str) -> Result<Caller, Error> {
        let verified = match self.verified.get(token) {
            Some(verified) => verified,
            None => self.check(token).ok_or_else(refused)?,
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

    fn check(&self, token: &str) -> Option<Verified> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let untrusted = UntrustedToken::<Public, V4>::try_from(token).ok()?;
        let id = std::str::from_utf8(untrusted.untrusted_footer()).ok()?;
        let (key, roles) = self.keys.get(id)?;
        let trusted = PublicToken::verify(key, &untrusted, None, None).ok()?;
        let claims: Claims = serde_json::from_str(trusted.payload()).ok()?;
        if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT_BYTES || !roles.contains(&claims.role) {
            return None;
        }
        let caller = Caller::new(claims.sub.into(), claims.role, token.into());
        let verified = Verified { caller, issued: claims.iat, expires: claims.exp };
        self.verified.insert(token.to_owned(), verified.clone());
        Some(verified)
    }
}

/// Puts the [`Caller`] into each request's extensions, or refuses it.
impl Interceptor for Verifier {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
            Error::new(ErrorCode::Unauthenticated, "a token is needed: metadata 'authorization: Bearer <token>'")
        })?;
        let caller = self.verify(token)?;
        request.extensions_mut().insert(caller);
        Ok(request)
    }
}

fn refused() -> Error {
    Error::new(ErrorCode::Unauthenticated, "the token is not valid")
}

/// The roles that a request's rpc allows, checked in one place so that the answers are alike.
impl Caller {
    /// # Errors
    /// PERMISSION_DENIED if the caller is in none of `roles`.
    pub fn require(&self, roles: &[Role]) -> Result<(), Error> {
        if roles.contains(&self.role()) {
            return Ok(());
        }
        let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
        Err(Error::new(ErrorCode::PermissionDenied, format!("this is for the role {} only", names.join(" or "))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Issuer, IssuerKey, ServiceToken};

    fn shop(roles: &[Role]) -> (Issuer, Verifier, Clock) {
        let clock = Clock::standing_at(1_800_000_000_000);
        let key = IssuerKey::generate().unwrap();
        let keys = TrustedKeys::parse(&TrustedKeys::line(roles, &key)).unwrap();
        (Issuer::new(key, clock.clone()), Verifier::new(keys, clock.clone()), clock)
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
        for (role, allowed) in
            [(Role::Guest, true), (Role::Customer, true), (Role::Service, false), (Role::Admin, false)]
        {
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
        let token = ServiceToken::new(issuer, "checkout");
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
    fn keys_survive_their_text() {
        let key = IssuerKey::generate().unwrap();
        let again = IssuerKey::parse(&format!("{}\n", key.secret_text())).unwrap();
        assert_eq!(key.public_text(), again.public_text());
        assert!(!format!("{key:?}").contains(&key.secret_text()));
        assert!(TrustedKeys::parse("# nothing\n\n").is_err());
        assert!(TrustedKeys::parse("wizard k4.public.xx").is_err());
    }
}
