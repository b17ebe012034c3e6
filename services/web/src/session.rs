//! Who looks at a page. A guest's session is a signed token in a cookie; the services take the same token.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use selvage_context::clock::Clock;
use selvage_identity::{Issuer, IssuerKey, KeyError, Role, TrustedKeys, Verifier};
use serde::Deserialize;
use uuid::Uuid;

/// The cookie that holds a guest's token.
pub const COOKIE: &str = "selvage";

/// As long as a bag is kept. A session is renewed once less than half of it is left.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Of the token with which pages are read for visitors who have no session; renewed at half.
const ANONYMOUS_LIFETIME: Duration = Duration::from_secs(3600);

/// A guest's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// By it a bag and orders are the guest's.
    pub(crate) subject: Arc<str>,
    /// For the services.
    pub(crate) token: Arc<str>,
}

/// Who made a request: put into its extensions by [`attach`](crate::app).
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor(pub(crate) Option<Session>);

impl Visitor {
    /// The session's subject.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.0.as_ref().map(|session| &*session.subject)
    }
}

/// Issues sessions and reads them.
pub(crate) struct Sessions {
    issuer: Issuer,
    verifier: Verifier,
    clock: Clock,
    secure: bool,
    anonymous_subject: String,
    anonymous: Mutex<Option<(Arc<str>, i64)>>,
}

impl Sessions {
    /// Sessions signed with `key`; `secure` cookies travel over https only.
    pub(crate) fn new(key: IssuerKey, clock: Clock, secure: bool) -> Result<Self, KeyError> {
        let trusted = TrustedKeys::parse(&TrustedKeys::line(&[Role::Guest], &key))?;
        Ok(Self {
            verifier: Verifier::new(trusted, clock.clone()),
            issuer: Issuer::new(key, clock.clone()),
            clock,
            secure,
            anonymous_subject: subject(Uuid::new_v4()),
            anonymous: Mutex::default(),
        })
    }

    /// The session that a request bears, and the cookie that renews it where it is time.
    pub(crate) fn read(&self, headers: &HeaderMap) -> (Visitor, Option<HeaderValue>) {
        let Some(caller) = cookies(headers).find_map(|token| self.verifier.verify(token).ok()) else {
            return (Visitor::default(), None);
        };
        let left = expiry(caller.token()).unwrap_or_default() - self.clock.now_ms() / 1000;
        if left.unsigned_abs() < LIFETIME.as_secs() / 2 {
            let (session, cookie) = self.issue(caller.subject());
            return (Visitor(Some(session)), Some(cookie));
        }
        (Visitor(Some(Session { subject: caller.subject().into(), token: caller.token().clone() })), None)
    }

    /// A new guest, and the cookie to remember them by.
    pub(crate) fn begin(&self, id: Uuid) -> (Session, HeaderValue) {
        self.issue(&subject(id))
    }

    /// The token with which to read for `visitor`.
    pub(crate) fn reading_token(&self, visitor: &Visitor) -> Arc<str> {
        match &visitor.0 {
            Some(session) => session.token.clone(),
            None => self.anonymous(),
        }
    }

    /// A token of nobody in particular.
    pub(crate) fn anonymous(&self) -> Arc<str> {
        let now = self.clock.now_ms();
        let mut held = self.anonymous.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some((token, renew_at)) if now < *renew_at => token.clone(),
            _ => {
                let token: Arc<str> =
                    self.issuer.issue(&self.anonymous_subject, Role::Guest, ANONYMOUS_LIFETIME).into();
                let half = i64::try_from(ANONYMOUS_LIFETIME.as_millis() / 2).unwrap_or(i64::MAX);
                *held = Some((token.clone(), now + half));
                token
            }
        }
    }

    fn issue(&self, subject: &str) -> (Session, HeaderValue) {
        let token = self.issuer.issue(subject, Role::Guest, LIFETIME);
        let secure = if self.secure { "; Secure" } else { "" };
        let age = LIFETIME.as_secs();
        let cookie = format!("{COOKIE}={token}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{secure}");
        let cookie = HeaderValue::try_from(cookie).expect("a token is letters, digits, '.', '-' and '_'");
        (Session { subject: subject.into(), token: token.into() }, cookie)
    }
}

fn subject(id: Uuid) -> String {
    format!("g-{}", id.simple())
}

/// The values of our cookie: there can be several, of which another site on the same domain may have set some.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let texts = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value).take(4)
}

/// When a token that was verified before expires, in seconds since the Unix epoch. Its payload is the claims followed by
/// the signature's 64 bytes.
fn expiry(token: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(2)?).ok()?;
    let claims: Claims = serde_json::from_slice(payload.get(..payload.len().checked_sub(64)?)?).ok()?;
    Some(claims.exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())])
    }

    fn sessions(clock: &Clock) -> Sessions {
        Sessions::new(IssuerKey::generate().unwrap(), clock.clone(), false).unwrap()
    }

    fn value(cookie: &HeaderValue) -> &str {
        cookie.to_str().unwrap().split(';').next().unwrap()
    }

    #[test]
    fn a_session_is_renewed_in_its_second_half_and_stays_the_same_guest() {
        let clock = Clock::standing_at(1_800_000_000_000);
        let sessions = sessions(&clock);
        let (session, cookie) = sessions.begin(Uuid::from_u128(1));
        let headers = with(&format!("theme=dark; {}", value(&cookie)));
        let (visitor, renewal) = sessions.read(&headers);
        assert_eq!((visitor.subject(), renewal), (Some(&*session.subject), None));
        clock.advance_ms(16 * 24 * 3_600_000);
        let (visitor, renewal) = sessions.read(&headers);
        assert_eq!(visitor.subject(), Some(&*session.subject));
        clock.advance_ms(20 * 24 * 3_600_000);
        assert_eq!(sessions.read(&headers).0.subject(), None);
        let (visitor, _) = sessions.read(&with(value(&renewal.unwrap())));
        assert_eq!(visitor.subject(), Some(&*session.subject));
    }

    #[test]
    fn foreign_and_broken_cookies_are_nobody() {
        let clock = Clock::standing_at(1_800_000_000_000);
        let (_, foreign) = sessions(&clock).begin(Uuid::from_u128(1));
        let sessions = sessions(&clock);
        for cookie in [value(&foreign), "selvage=", "selvage", "=;=", "other=1"] {
            assert_eq!(sessions.read(&with(cookie)).0.subject(), None, "{cookie}");
        }
        // One that somebody else set before ours doesn't hide it.
        let (session, cookie) = sessions.begin(Uuid::from_u128(2));
        let (visitor, _) = sessions.read(&with(&format!("selvage=x; {}", value(&cookie))));
        assert_eq!(visitor.subject(), Some(&*session.subject));
    }

    #[test]
    fn cookies_are_closed_to_scripts_and_other_sites() {
        let sessions = Sessions::new(IssuerKey::generate().unwrap(), Clock::system(), true).unwrap();
        let (_, cookie) = sessions.begin(Uuid::from_u128(1));
        let text = cookie.to_str().unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Secure", "Max-Age=2592000"] {
            assert!(text.contains(attribute), "{text}");
        }
    }
}
