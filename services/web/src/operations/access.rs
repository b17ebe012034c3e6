//! Who may look at the operations page: who bears a token for it, in a cookie that only these pages can read and that lives
//! for an hour; and, where the shop says so, who sits at this machine.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse as _, Redirect, Response};
use cookie::SameSite;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use selvage_context::clock::Clock;
use selvage_identity::{Issuer, Role};

use super::Access;
use crate::cookies::{Kind, SealedCookies};
use crate::peer::Peer;

/// The cookie that holds their token. Somebody stays signed in for a shift's hour, or the token's life if that is shorter.
static OPERATOR: Kind = Kind {
    name: "selvage-operator",
    secure_name: "__Host-selvage-operator",
    purpose: "selvage web operations v2",
    lifetime: Duration::from_secs(3600),
    same_site: SameSite::Strict,
};
/// Of the tokens for who sits at this machine: longer than the ten minutes for which a page watches.
const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// The longest token that services take.
pub(crate) const MAX_TOKEN: usize = 1024;
/// The subject of who sits at this machine. It has a space, as no token's has.
const HERE: &str = "operations on this machine";
/// What whoever passes a request on says of it.
const PASSED_ON: [HeaderName; 5] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
];

/// Where the operations page is signed in to.
pub(crate) struct Doors {
    cookies: SealedCookies,
    access: Access,
}

impl Doors {
    /// With cookies encrypted with a key that is derived from `secret`; `secure` ones travel over https only.
    pub(crate) fn new(secret: &str, access: Access, clock: Clock, secure: bool) -> Self {
        Self { cookies: SealedCookies::new(&OPERATOR, &[secret], clock, secure), access }
    }

    /// The cookie of who signs in with `token`.
    pub(crate) fn cookie(&self, token: &str) -> HeaderValue {
        self.cookies.seal(token)
    }

    /// The cookie of who signs out.
    pub(crate) fn farewell(&self) -> HeaderValue {
        self.cookies.expire()
    }

    /// Who makes a request, if they may look.
    fn operator(&self, headers: &HeaderMap, peer: Option<SocketAddr>) -> Option<Operator> {
        let signed_in = self.cookies.open(headers).map(|opened| Operator {
            csrf: format!("operations {}", opened.text),
            token: opened.text.into(),
            is_signed_in: true,
        });
        signed_in.or_else(|| match &self.access {
            Access::Loopback(issuer) if is_here(headers, peer) => Some(here(issuer)),
            _ => None,
        })
    }
}

/// Whether whoever asks sits at this machine: the connection comes from it, nobody passed it on, and it was this machine that
/// was asked for, so that no page from elsewhere made a browser believe that we are its own host.
pub(crate) fn is_here(headers: &HeaderMap, peer: Option<SocketAddr>) -> bool {
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = match asked.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => asked,
    };
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let own = name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    own && peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback())
        && !PASSED_ON.iter().any(|header| headers.contains_key(header))
}

fn here(issuer: &Issuer) -> Operator {
    let token = issuer.issue("operator-at-this-machine", Role::Faults, TOKEN_LIFETIME);
    Operator { token: token.into(), csrf: HERE.to_owned(), is_signed_in: false }
}

/// Who may look. Handlers take this, or send whoever it isn't to sign in.
pub(crate) struct Operator {
    /// For the processes, which check it.
    pub(crate) token: Arc<str>,
    /// What the forms' tokens are made for.
    pub(crate) csrf: String,
    /// By a token, and so able to sign out.
    pub(crate) is_signed_in: bool,
}

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    Arc<Doors>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        let operator = Arc::<Doors>::from_ref(state).operator(&parts.headers, peer);
        operator.ok_or_else(|| Redirect::to("/ops/sign-in").into_response())
    }
}

#[cfg(test)]
mod tests {
    use selvage_identity::IssuerKey;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn doors(is_open: bool) -> (Doors, Clock) {
        let clock = Clock::standing_at(1_800_000_000_000);
        let issuer = Issuer::new(IssuerKey::generate().unwrap(), clock.clone());
        let access = if is_open { Access::Loopback(issuer) } else { Access::Token };
        (Doors::new("a secret of the shop's own", access, clock.clone(), false), clock)
    }

    #[test]
    fn a_token_is_borne_for_an_hour() {
        let (doors, clock) = doors(false);
        let cookie = doors.cookie("v4.public.token");
        let value = cookie.to_str().unwrap().split(';').next().unwrap();
        assert!(!value.contains("token"), "{value}");
        let bearing = headers(&[("cookie", value)]);
        let operator = doors.operator(&bearing, None).unwrap();
        assert_eq!((&*operator.token, operator.is_signed_in), ("v4.public.token", true));
        clock.advance_ms(3_600_000);
        assert!(doors.operator(&bearing, None).is_none());
        assert!(doors.operator(&headers(&[("cookie", "selvage-operator=x")]), None).is_none());
        assert!(doors.farewell().to_str().unwrap().contains("Max-Age=0"));
    }

    #[test]
    fn only_who_sits_at_this_machine_needs_no_token() {
        let (open, _) = doors(true);
        let here = Some(SocketAddr::from(([127, 0, 0, 1], 50_000)));
        for host in ["127.0.0.1:8080", "localhost:8080", "localhost", "[::1]:8080", "127.0.0.2"] {
            let operator = open.operator(&headers(&[("host", host)]), here);
            assert!(operator.is_some_and(|operator| !operator.is_signed_in), "{host}");
            assert!(doors(false).0.operator(&headers(&[("host", host)]), here).is_none(), "{host}");
        }
        let elsewhere = Some(SocketAddr::from(([192, 0, 2, 1], 50_000)));
        let own = ("host", "127.0.0.1:8080");
        assert!(open.operator(&headers(&[own]), elsewhere).is_none());
        assert!(open.operator(&headers(&[own]), None).is_none());
        for host in ["", "shop.example", "shop.example:8080", "127.0.0.1.example", "localhost.example:80"] {
            assert!(open.operator(&headers(&[("host", host)]), here).is_none(), "{host}");
        }
        for passed_on in ["forwarded", "via", "x-forwarded-for", "x-real-ip"] {
            assert!(open.operator(&headers(&[own, (passed_on, "x")]), here).is_none(), "{passed_on}");
        }
    }
}
