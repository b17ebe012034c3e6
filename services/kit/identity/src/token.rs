use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pasetors::version4::PublicToken;
use selvage_context::clock::Clock;
use serde::{Deserialize, Serialize};

use crate::IssuerKey;
use crate::keys::KeyError;

/// What a token's holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Somebody in the shop without an account.
    Guest,
    /// Somebody with an account, signed in.
    Customer,
    /// One of our own services.
    Service,
    /// Somebody who runs the shop.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Guest, Self::Customer, Self::Service, Self::Admin];

    /// The role's name in tokens and key files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Customer => "customer",
            Self::Service => "service",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| KeyError::UnknownRole(text.to_owned()))
    }
}

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

/// Issues tokens with one secret key.
#[derive(Clone)]
pub struct Issuer {
    key: Arc<IssuerKey>,
    clock: Clock,
}

impl Issuer {
    /// An issuer that signs with `key`.
    pub fn new(key: IssuerKey, clock: Clock) -> Self {
        Self { key: Arc::new(key), clock }
    }

    /// A token for `subject` in `role` that is valid from now for `lifetime` (whole seconds, at least one).
    ///
    /// Whether this key may give that role is decided by those who trust it.
    pub fn issue(&self, subject: &str, role: Role, lifetime: Duration) -> String {
        let now = self.clock.now_ms() / 1000;
        let seconds = i64::try_from(lifetime.as_secs().max(1)).unwrap_or(i64::MAX);
        let claims = Claims { sub: subject.to_owned(), role, iat: now, exp: now.saturating_add(seconds) };
        let payload = serde_json::to_vec(&claims).expect("claims are plain strings and integers");
        PublicToken::sign(self.key.secret(), &payload, Some(self.key.id().as_bytes()), None)
            .expect("signing with a well-formed key can't fail")
    }
}

/// How long a service's own token is valid, and how long before its end it is replaced: one signature in four minutes.
const SERVICE_LIFETIME: Duration = Duration::from_secs(300);
const SERVICE_RENEWAL_MS: i64 = 60_000;

/// A service's own token, issued again before it ends.
#[derive(Clone)]
pub struct ServiceToken {
    issuer: Issuer,
    name: &'static str,
    current: Arc<Mutex<Option<Current>>>,
}

/// The token in use, and the moment from which it is replaced.
struct Current {
    token: Arc<str>,
    renew_at_ms: i64,
}

impl ServiceToken {
    /// The token of the service `name`.
    pub fn new(issuer: Issuer, name: &'static str) -> Self {
        Self { issuer, name, current: Arc::default() }
    }

    /// A token that is valid for at least a minute.
    pub fn get(&self) -> Arc<str> {
        let now = self.issuer.clock.now_ms();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(held) if now < held.renew_at_ms => held.token.clone(),
            _ => {
                let token: Arc<str> = self.issuer.issue(self.name, Role::Service, SERVICE_LIFETIME).into();
                let lifetime = i64::try_from(SERVICE_LIFETIME.as_millis()).unwrap_or(i64::MAX);
                *current = Some(Current { token: token.clone(), renew_at_ms: now + lifetime - SERVICE_RENEWAL_MS });
                token
            }
        }
    }
}

impl fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceToken").field("name", &self.name).finish_non_exhaustive()
    }
}
