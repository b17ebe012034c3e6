//! Who may look at the operations page: who bears a token for it, in a cookie that only these pages can read and that lives
//! for an hour; and, where the shop says so, who has opened the link that it printed at its start.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse as _, Redirect, Response};
use cookie::SameSite;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use selvage_context::clock::Clock;
use selvage_identity::{Issuer, Role};

use super::Access;
use crate::cookies::{Kind, SealedCookies};

/// The cookie that holds their token. Somebody stays signed in for a shift's hour, or the token's life if that is shorter.
static OPERATOR: Kind = Kind {
    name: "selvage-operator",
    secure_name: "__Host-selvage-operator",
    purpose: "selvage web operations v2",
    lifetime: Duration::from_secs(3600),
    same_site: SameSite::Strict,
};
/// The cookie of who has opened the link: for a day, since the link opens nothing a second time. Lax, so that a link that is
/// clicked on in a terminal within a page leads on to the page of operations.
static BY_LINK: Kind = Kind {
    name: "selvage-operator-by-link",
    secure_name: "__Host-selvage-operator-by-link",
    purpose: "selvage web operations link v1",
    lifetime: Duration::from_secs(24 * 3600),
    same_site: SameSite::Lax,
};
/// Of the tokens for who has opened the link: longer than the ten minutes for which a page watches.
const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// The longest token that services take.
pub(crate) const MAX_TOKEN: usize = 1024;
/// What that cookie says, and the subject of forms' tokens. It has spaces, as no token's subject has.
const OPENED: &str = "operations by link";

/// Where the operations page is signed in to.
pub(crate) struct Doors {
    cookies: SealedCookies,
    by_link: SealedCookies,
    access: Access,
}

impl Doors {
    /// With cookies encrypted with a key that is derived from that of `pages`; `secure` ones travel over https only.
    pub(crate) fn new(pages: &Issuer, access: Access, clock: Clock, secure: bool) -> Self {
        let cookies = |kind| SealedCookies::new(kind, pages, clock.clone(), secure);
        Self { cookies: cookies(&OPERATOR), by_link: cookies(&BY_LINK), access }
    }

    /// The cookie of who signs in with `token`.
    pub(crate) fn cookie(&self, token: &str) -> HeaderValue {
        self.cookies.seal(token)
    }

    /// The cookie of who opens the link with `key`; `None` if it is none of this start's, or was opened before.
    pub(crate) fn open(&self, key: &str) -> Option<HeaderValue> {
        match &self.access {
            Access::Link(link, _) if link.open(key) => Some(self.by_link.seal(OPENED)),
            _ => None,
        }
    }

    /// Whether the shop prints a link at its start.
    pub(crate) fn prints_link(&self) -> bool {
        matches!(self.access, Access::Link(..))
    }

    /// The cookies of who signs out.
    pub(crate) fn farewell(&self) -> [HeaderValue; 2] {
        [self.cookies.expire(), self.by_link.expire()]
    }

    /// Who makes a request, if they may look.
    pub(crate) fn operator(&self, headers: &HeaderMap) -> Option<Operator> {
        // By the link first: who opens it may still have the cookie of a token that nobody takes any more.
        if let Access::Link(_, issuer) = &self.access
            && self.by_link.open(headers).is_some()
        {
            return Some(by_link(issuer));
        }
        let signed_in = self.cookies.open(headers)?;
        Some(Operator { csrf: format!("operations {}", signed_in.text), token: signed_in.text.into() })
    }
}

fn by_link(issuer: &Issuer) -> Operator {
    let token = issuer.issue("operator-by-link", Role::Faults, TOKEN_LIFETIME);
    Operator { token: token.into(), csrf: OPENED.to_owned() }
}

/// Who may look. Handlers take this, or send whoever it isn't to sign in.
pub(crate) struct Operator {
    /// For the processes, which check it.
    pub(crate) token: Arc<str>,
    /// What the forms' tokens are made for.
    pub(crate) csrf: String,
}

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    Arc<Doors>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let operator = Arc::<Doors>::from_ref(state).operator(&parts.headers);
        operator.ok_or_else(|| Redirect::to("/ops/sign-in").into_response())
    }
}

#[cfg(test)]
mod tests {
    use http::header;
    use selvage_identity::IssuerKey;

    use super::*;
    use crate::operations::Link;

    /// A request's headers with the cookie that this header of an answer sets.
    fn bearing(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, pair.parse().unwrap())])
    }

    fn issuer(clock: &Clock) -> Issuer {
        Issuer::new(IssuerKey::generate().unwrap(), clock.clone())
    }

    fn doors(link: Option<&Link>) -> (Doors, Clock) {
        let clock = Clock::standing_at(1_800_000_000_000);
        let access = link.map_or(Access::Token, |link| Access::Link(link.clone(), issuer(&clock)));
        (Doors::new(&issuer(&clock), access, clock.clone(), false), clock)
    }

    #[test]
    fn a_token_is_borne_for_an_hour() {
        let (doors, clock) = doors(None);
        let cookie = doors.cookie("v4.public.token");
        assert!(!cookie.to_str().unwrap().contains("token"), "{cookie:?}");
        assert_eq!(&*doors.operator(&bearing(&cookie)).unwrap().token, "v4.public.token");
        clock.advance_ms(3_600_000);
        assert!(doors.operator(&bearing(&cookie)).is_none());
        assert!(doors.operator(&bearing(&HeaderValue::from_static("selvage-operator=x"))).is_none());
        for farewell in doors.farewell() {
            assert!(farewell.to_str().unwrap().contains("Max-Age=0"));
        }
    }

    #[test]
    fn who_opens_the_link_is_in_for_a_day_and_nobody_else_is() {
        let link = Link::new([7; 32]);
        let key = link.path().split_once('=').unwrap().1.to_owned();
        let (doors, clock) = doors(Some(&link));
        assert!(doors.operator(&HeaderMap::new()).is_none(), "nobody is in without it, wherever they sit");
        assert!(doors.open("another key").is_none());
        let cookie = doors.open(&key).unwrap();
        assert!(doors.open(&key).is_none(), "it opens once");
        assert!(doors.operator(&bearing(&cookie)).unwrap().token.starts_with("v4.public."));
        clock.advance_ms(24 * 3_600_000 - 1_000);
        assert!(doors.operator(&bearing(&cookie)).is_some());
        clock.advance_ms(1_000);
        assert!(doors.operator(&bearing(&cookie)).is_none());
    }

    #[test]
    fn a_shop_that_asks_for_tokens_takes_no_link() {
        let link = Link::new([7; 32]);
        let key = link.path().split_once('=').unwrap().1.to_owned();
        let clock = Clock::standing_at(1_800_000_000_000);
        let pages = issuer(&clock);
        let open = Doors::new(&pages, Access::Link(link.clone(), issuer(&clock)), clock.clone(), false);
        let closed = Doors::new(&pages, Access::Token, clock, false);
        assert!(closed.open(&key).is_none());
        let cookie = open.open(&key).unwrap();
        assert!(open.operator(&bearing(&cookie)).is_some());
        assert!(closed.operator(&bearing(&cookie)).is_none(), "not even by the cookie of an earlier start");
    }
}
