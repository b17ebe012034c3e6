//! Who makes a request. A guest's session is a sealed cookie, which only these pages read; for each request the services get
//! a token of a few minutes made from it, so that a token which got lost is soon worth nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use selvage_context::clock::Clock;
use selvage_identity::{Issuer, KeptToken, Role};
use uuid::Uuid;

use crate::mac::MacKey;
use crate::problem::Problem;

/// The cookie that holds a guest's session. Over https it has a prefix with which browsers take it from this host alone.
const COOKIE: &str = "selvage";
const SECURE_COOKIE: &str = "__Host-selvage";

/// As long as a bag is kept. A session is renewed once less than half of it is left.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Of the tokens that the services get: longer than the longest request, the ten minutes for which a page watches a parcel.
const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// A guest's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// By it a bag and orders are the guest's.
    pub(crate) subject: Arc<str>,
    /// For the services, during this request.
    pub(crate) token: Arc<str>,
}

/// Who made a request: put into its extensions by [`attach`], and taken as an argument by handlers.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// `None` until somebody puts something into a bag.
    pub(crate) session: Option<Session>,
    /// The token with which the catalogue is read: the session's, or that of nobody in particular.
    pub(crate) reading_token: Arc<str>,
}

impl Visitor {
    /// The session's subject.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.session.as_ref().map(|session| &*session.subject)
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::ours("a route has no session layer around it"))
    }
}

/// Finds out who makes a request, and renews their session where it is time.
pub(crate) async fn attach(State(sessions): State<Arc<Sessions>>, mut request: Request, next: Next) -> Response {
    let (visitor, renewal) = sessions.read(request.headers());
    request.extensions_mut().insert(visitor);
    let mut response = next.run(request).await;
    if let Some(cookie) = renewal {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Issues sessions and reads them.
pub(crate) struct Sessions {
    issuer: Issuer,
    seal: MacKey,
    clock: Clock,
    secure: bool,
    /// Of nobody in particular.
    anonymous: KeptToken,
}

impl Sessions {
    /// Sessions sealed with a key that is derived from that of `issuer` as it is now; `issuer` makes the services' tokens.
    /// `secure` cookies travel over https only.
    pub(crate) fn new(issuer: Issuer, clock: Clock, secure: bool) -> Self {
        let nobody = subject(Uuid::new_v4());
        Self {
            seal: MacKey::derive(&issuer.key().secret_text(), "selvage web session v1"),
            // Kept for half of its life.
            anonymous: KeptToken::new(issuer.clone(), &nobody, Role::Guest, TOKEN_LIFETIME, TOKEN_LIFETIME / 2),
            issuer,
            clock,
            secure,
        }
    }

    /// The session that a request bears, and the cookie that renews it where it is time.
    pub(crate) fn read(&self, headers: &HeaderMap) -> (Visitor, Option<HeaderValue>) {
        let now = self.clock.now_ms() / 1000;
        let Some((subject, left)) = cookies(headers, self.name()).find_map(|value| self.open(value, now)) else {
            return (Visitor { session: None, reading_token: self.anonymous_token() }, None);
        };
        let renewal = (left < LIFETIME.as_secs() / 2).then(|| self.cookie(subject));
        let session = self.session(subject);
        (Visitor { reading_token: session.token.clone(), session: Some(session) }, renewal)
    }

    /// A new guest, and the cookie to remember them by.
    pub(crate) fn begin(&self, id: Uuid) -> (Session, HeaderValue) {
        let subject = subject(id);
        (self.session(&subject), self.cookie(&subject))
    }

    /// A token of nobody in particular, kept for half of its life.
    pub(crate) fn anonymous_token(&self) -> Arc<str> {
        self.anonymous.get()
    }

    fn session(&self, subject: &str) -> Session {
        let token = self.issuer.issue(subject, Role::Guest, TOKEN_LIFETIME);
        Session { subject: subject.into(), token: token.into() }
    }

    fn name(&self) -> &'static str {
        if self.secure { SECURE_COOKIE } else { COOKIE }
    }

    /// `<subject>.<until when, seconds since the Unix epoch>.<seal over both>`.
    fn cookie(&self, subject: &str) -> HeaderValue {
        let until = self.clock.now_ms() / 1000 + i64::try_from(LIFETIME.as_secs()).unwrap_or(i64::MAX / 2);
        let claim = format!("{subject}.{until}");
        let seal = URL_SAFE_NO_PAD.encode(self.seal.of(claim.as_bytes()));
        let (name, age) = (self.name(), LIFETIME.as_secs());
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = format!("{name}={claim}.{seal}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(cookie).expect("letters, digits, '.', '-' and '_'")
    }

    /// The subject of a cookie that we sealed, and the seconds that it has left.
    fn open<'a>(&self, value: &'a str, now: i64) -> Option<(&'a str, u64)> {
        let (claim, seal) = value.rsplit_once('.')?;
        let seal: [u8; 32] = URL_SAFE_NO_PAD.decode(seal).ok()?.try_into().ok()?;
        if !self.seal.matches(&seal, claim.as_bytes()) {
            return None;
        }
        let (subject, until) = claim.rsplit_once('.')?;
        let left = until.parse::<i64>().ok()?.checked_sub(now)?;
        u64::try_from(left).ok().filter(|left| *left > 0).map(|left| (subject, left))
    }
}

fn subject(id: Uuid) -> String {
    format!("g-{}", id.simple())
}

/// The values of the cookie `name`: there can be several, of which another site on the same domain may have set some.
pub(crate) fn cookies<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let texts = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(known, _)| *known == name).map(|(_, value)| value).take(4)
}

#[cfg(test)]
mod tests {
    use selvage_identity::IssuerKey;

    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())])
    }

    fn sessions(clock: &Clock) -> Sessions {
        let issuer = Issuer::new(IssuerKey::generate().unwrap(), clock.clone());
        Sessions::new(issuer, clock.clone(), false)
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
        let (_, own) = sessions.begin(Uuid::from_u128(3));
        let forged = value(&own).replacen("g-", "h-", 1);
        let (token, _) = sessions.begin(Uuid::from_u128(4));
        let token = format!("selvage={}", token.token);
        for cookie in [value(&foreign), &forged, &token, "selvage=", "selvage=.", "selvage", "=;=", "other=1"] {
            assert_eq!(sessions.read(&with(cookie)).0.subject(), None, "{cookie}");
        }
        // One that somebody else set before ours doesn't hide it.
        let (session, cookie) = sessions.begin(Uuid::from_u128(2));
        let (visitor, _) = sessions.read(&with(&format!("selvage=x; {}", value(&cookie))));
        assert_eq!(visitor.subject(), Some(&*session.subject));
    }

    #[test]
    fn cookies_are_closed_to_scripts_and_other_sites() {
        let sessions =
            Sessions::new(Issuer::new(IssuerKey::generate().unwrap(), Clock::system()), Clock::system(), true);
        let (_, cookie) = sessions.begin(Uuid::from_u128(1));
        let text = cookie.to_str().unwrap();
        for attribute in ["__Host-selvage=", "HttpOnly", "SameSite=Lax", "Path=/", "Secure", "Max-Age=2592000"] {
            assert!(text.contains(attribute), "{text}");
        }
    }
}
