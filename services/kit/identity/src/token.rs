use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use pasetors::version4::PublicToken;
use selvage_context::clock::Clock;
use serde::{Deserialize, Serialize};

use crate::{IssuerKey, IssuerKeys, Role};

/// The longest that a token may live, whoever signed it: one that got lost is worth nothing after a day.
pub const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What a token says.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The subject: an opaque id, 1 to 64 bytes.
    pub(crate) sub: String,
    pub(crate) role: Role,
    /// Issued and expires, in seconds since the Unix epoch.
    pub(crate) iat: i64,
    pub(crate) exp: i64,
}

/// Issues tokens with the first of its secret keys, which can be replaced. Clones issue with the same.
#[derive(Clone)]
pub struct Issuer {
    keys: Arc<RwLock<Arc<IssuerKeys>>>,
    clock: Clock,
}

impl Issuer {
    /// An issuer that signs with the first of `keys`.
    pub fn new(keys: impl Into<IssuerKeys>, clock: Clock) -> Self {
        Self { keys: Arc::new(RwLock::new(Arc::new(keys.into()))), clock }
    }

    /// A token for `subject` in `role` that is valid from now for `lifetime` (whole seconds, at least one and at most
    /// [`LONGEST_LIFE`]).
    ///
    /// Whether this key may give that role is decided by those who trust it.
    pub fn issue(&self, subject: &str, role: Role, lifetime: Duration) -> String {
        let now = self.clock.now_ms() / 1000;
        let seconds = i64::try_from(lifetime.min(LONGEST_LIFE).as_secs().max(1)).unwrap_or(i64::MAX);
        let claims = Claims { sub: subject.to_owned(), role, iat: now, exp: now.saturating_add(seconds) };
        let payload = serde_json::to_vec(&claims).expect("claims are plain strings and integers");
        let key = self.key();
        PublicToken::sign(key.secret(), &payload, Some(key.id().as_bytes()), None)
            .expect("signing with a well-formed key can't fail")
    }

    /// Signs with the first of `keys` from now on. Tokens that were signed before are valid for as long as their key is
    /// trusted.
    pub fn replace_keys(&self, keys: impl Into<IssuerKeys>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys.into());
    }

    /// The keys that it has now.
    pub fn keys(&self) -> Arc<IssuerKeys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key that tokens are signed with now.
    pub fn key(&self) -> Arc<IssuerKey> {
        self.keys().first().clone()
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// A token for one subject, which is issued again some time before it ends, and at once when its issuer's key is replaced.
/// Clones share the token.
#[derive(Clone)]
pub struct KeptToken {
    issuer: Issuer,
    subject: Arc<str>,
    role: Role,
    lifetime: Duration,
    /// How long before its end it is issued again.
    margin: Duration,
    current: Arc<Mutex<Option<Current>>>,
}

/// The token in use: by whose key, and from when until when it is given out.
struct Current {
    token: Arc<str>,
    key: Arc<IssuerKey>,
    from_ms: i64,
    until_ms: i64,
}

impl KeptToken {
    /// The token of `subject` in `role`. Each is valid for `lifetime`, and given out until `margin` before its end.
    pub fn new(issuer: Issuer, subject: &str, role: Role, lifetime: Duration, margin: Duration) -> Self {
        Self { issuer, subject: subject.into(), role, lifetime, margin, current: Arc::default() }
    }

    /// A token that is valid for at least the margin.
    pub fn get(&self) -> Arc<str> {
        let (now, key) = (self.issuer.clock.now_ms(), self.issuer.key());
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            // A clock that was set back would keep one that isn't valid yet.
            Some(held) if (held.from_ms..held.until_ms).contains(&now) && Arc::ptr_eq(&held.key, &key) => {
                held.token.clone()
            }
            _ => {
                let token: Arc<str> = self.issuer.issue(&self.subject, self.role, self.lifetime).into();
                let given_out = self.lifetime.saturating_sub(self.margin).as_millis();
                let until_ms = now.saturating_add(i64::try_from(given_out).unwrap_or(i64::MAX));
                *current = Some(Current { token: token.clone(), key, from_ms: now, until_ms });
                token
            }
        }
    }
}

impl fmt::Debug for KeptToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptToken").field("subject", &self.subject).field("role", &self.role).finish_non_exhaustive()
    }
}

/// How long a service's own token is valid, and how long before its end it is replaced: one signature in four minutes.
const SERVICE_LIFETIME: Duration = Duration::from_secs(300);
const SERVICE_MARGIN: Duration = Duration::from_secs(60);

/// A service's own token, issued again before it ends.
#[derive(Clone, Debug)]
pub struct ServiceToken(KeptToken);

impl ServiceToken {
    /// The token of the service `name`.
    pub fn new(issuer: Issuer, name: &'static str) -> Self {
        Self(KeptToken::new(issuer, name, Role::Service, SERVICE_LIFETIME, SERVICE_MARGIN))
    }

    /// A token that is valid for at least a minute.
    pub fn get(&self) -> Arc<str> {
        self.0.get()
    }
}
