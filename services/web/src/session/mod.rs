//! Who makes a request. A guest's session is an encrypted cookie, which only these pages read; for each request the services
//! get a token of a few minutes made from it, so that a token which got lost is soon worth nothing.

mod old_form;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use cookie::SameSite;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use selvage_context::clock::Clock;
use selvage_identity::{Issuer, KeptToken, Role};
use uuid::Uuid;

use crate::cookies::{Kind, SealedCookies};
use crate::problem::Problem;
use old_form::OldForm;

/// The cookie that holds a guest's session, for as long as a bag is kept. It is renewed once less than half of that is left,
/// or a key has made it that makes no more.
static SESSION: Kind = Kind {
    name: "selvage-session",
    secure_name: "__Host-selvage-session",
    purpose: "selvage web session v2",
    lifetime: Duration::from_secs(30 * 24 * 3600),
    same_site: SameSite::Lax,
};
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
        parts.extensions.get().cloned().ok_or_else(|| Problem::internal("a route has no session layer around it"))
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

/// Begins sessions and reads them.
pub(crate) struct Sessions {
    cookies: SealedCookies,
    old_form: OldForm,
    issuer: Issuer,
    clock: Clock,
    /// Of nobody in particular.
    anonymous: KeptToken,
}

impl Sessions {
    /// Sessions encrypted with a key that is derived from that of `issuer`, which makes the services' tokens.
    /// `secure` cookies travel over https only.
    pub(crate) fn new(issuer: Issuer, clock: Clock, secure: bool) -> Self {
        let nobody = subject(Uuid::new_v4());
        Self {
            cookies: SealedCookies::new(&SESSION, &issuer, clock.clone(), secure),
            old_form: OldForm::new(&issuer, secure),
            // Kept for half of its life.
            anonymous: KeptToken::new(issuer.clone(), &nobody, Role::Guest, TOKEN_LIFETIME, TOKEN_LIFETIME / 2),
            issuer,
            clock,
        }
    }

    /// Who made a request, and the cookie that renews their session where it is time.
    pub(crate) fn read(&self, headers: &HeaderMap) -> (Visitor, Option<HeaderValue>) {
        let (subject, is_renewed) = if let Some(opened) = self.cookies.open(headers) {
            let is_renewed = opened.is_of_earlier_key || opened.left < SESSION.lifetime / 2;
            (opened.text, is_renewed)
        } else if let Some(subject) = self.old_form.open(headers, self.clock.now_ms() / 1000) {
            (subject, true)
        } else {
            return (Visitor { session: None, reading_token: self.anonymous_token() }, None);
        };
        let renewal = is_renewed.then(|| self.cookies.seal(&subject));
        let session = self.session(&subject);
        (Visitor { reading_token: session.token.clone(), session: Some(session) }, renewal)
    }

    /// A new guest, and the cookie to remember them by.
    pub(crate) fn begin(&self, id: Uuid) -> (Session, HeaderValue) {
        let subject = subject(id);
        (self.session(&subject), self.cookies.seal(&subject))
    }

    /// A token of nobody in particular, kept for half of its life.
    pub(crate) fn anonymous_token(&self) -> Arc<str> {
        self.anonymous.get()
    }

    fn session(&self, subject: &str) -> Session {
        let token = self.issuer.issue(subject, Role::Guest, TOKEN_LIFETIME);
        Session { subject: subject.into(), token: token.into() }
    }
}

fn subject(id: Uuid) -> String {
    format!("g-{}", id.simple())
}

#[cfg(test)]
mod tests {
    use selvage_identity::{IssuerKey, IssuerKeys};

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
    fn a_guest_stays_the_same_guest_while_the_shops_key_is_replaced() {
        let clock = Clock::standing_at(1_800_000_000_000);
        let (old, new) = (IssuerKey::generate().unwrap(), IssuerKey::generate().unwrap());
        let both = IssuerKeys::parse(&format!("{}\n{}", new.secret_text(), old.secret_text())).unwrap();
        let issuer = Issuer::new(old, clock.clone());
        let sessions = Sessions::new(issuer.clone(), clock.clone(), false);
        let (session, cookie) = sessions.begin(Uuid::from_u128(1));
        issuer.replace_keys(both);
        let (visitor, renewal) = sessions.read(&with(value(&cookie)));
        assert_eq!(visitor.subject(), Some(&*session.subject));
        let renewed = with(value(&renewal.expect("a cookie of the new key")));
        // Once the old key is gone, only who hasn't come by meanwhile is somebody else.
        issuer.replace_keys(new);
        let (visitor, renewal) = sessions.read(&renewed);
        assert_eq!((visitor.subject(), renewal), (Some(&*session.subject), None));
        assert_eq!(sessions.read(&with(value(&cookie))).0.subject(), None);
    }

    #[test]
    fn foreign_and_broken_cookies_are_nobody() {
        let clock = Clock::standing_at(1_800_000_000_000);
        let (_, foreign) = sessions(&clock).begin(Uuid::from_u128(1));
        let sessions = sessions(&clock);
        let (_, own) = sessions.begin(Uuid::from_u128(3));
        let forged = value(&own).replacen("=", "=A", 1);
        let (token, _) = sessions.begin(Uuid::from_u128(4));
        let token = format!("selvage-session={}", token.token);
        for cookie in
            [value(&foreign), &forged, &token, "selvage-session=", "selvage-session", "selvage=.", "=;=", "other=1"]
        {
            assert_eq!(sessions.read(&with(cookie)).0.subject(), None, "{cookie}");
        }
        // One that somebody else set before ours doesn't hide it.
        let (session, cookie) = sessions.begin(Uuid::from_u128(2));
        let (visitor, _) = sessions.read(&with(&format!("selvage-session=x; {}", value(&cookie))));
        assert_eq!(visitor.subject(), Some(&*session.subject));
    }

    #[test]
    fn cookies_are_closed_to_scripts_and_other_sites() {
        let sessions =
            Sessions::new(Issuer::new(IssuerKey::generate().unwrap(), Clock::system()), Clock::system(), true);
        let (_, cookie) = sessions.begin(Uuid::from_u128(1));
        let text = cookie.to_str().unwrap();
        for attribute in ["__Host-selvage-session=", "HttpOnly", "SameSite=Lax", "Path=/", "Secure", "Max-Age=2592000"]
        {
            assert!(text.contains(attribute), "{text}");
        }
    }
    /// The key of a shop that was started for this test before sessions were encrypted, and a cookie that it set, good until
    /// 27 December 2026, 19:28:45.
    const KEY_OF_THEN: &str =
        "k4.secret.Y_41y_BUdNs1e-aIHhR_k54eQS81A3s3wNljZqAHiZNsM-bzvb2PV6V1hvM3xh6cUEcjl8cKFe30Oq9Bau5uFg";
    const COOKIE_OF_THEN: &str =
        "selvage=g-6cf068925d2f4eccbdefded2e7ef04d7.1798399725.H_PjtdRMoMFdIn9ytq_FRb8ZAeraP7WCaN6EvdphM6Y";

    #[test]
    fn a_guest_of_the_old_form_stays_the_same_guest_and_gets_the_new_one() {
        let clock = Clock::standing_at(1_795_824_000_000);
        let sessions =
            Sessions::new(Issuer::new(IssuerKey::parse(KEY_OF_THEN).unwrap(), clock.clone()), clock.clone(), false);
        let (visitor, renewal) = sessions.read(&with(COOKIE_OF_THEN));
        let subject = visitor.subject().expect("the old form is read").to_owned();
        assert_eq!(subject, "g-6cf068925d2f4eccbdefded2e7ef04d7");
        let renewal = renewal.expect("the new form");
        let (renewed, again) = sessions.read(&with(&format!("{COOKIE_OF_THEN}; {}", value(&renewal))));
        assert_eq!((renewed.subject(), again), (Some(&*subject), None));
        // A month later the old form is at its end, and the new one is good still if it was renewed meanwhile.
        clock.advance_ms(30 * 24 * 3_600_000 + 1000);
        assert_eq!(sessions.read(&with(COOKIE_OF_THEN)).0.subject(), None);
        let forged = COOKIE_OF_THEN.replacen("g-", "h-", 1);
        clock.advance_ms(-30 * 24 * 3_600_000);
        assert_eq!(sessions.read(&with(&forged)).0.subject(), None);
    }
}
