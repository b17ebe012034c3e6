//! Tokens against forged requests: each form bears a keyed hash of its session's subject.
//!
//! No library does this without a state that we don't have: those that we know keep a token in a stored session, or set a
//! cookie for everybody who only looks. A hash of the subject needs neither, and every instance can check it.
//!
//! The hash is masked anew for each page (a compressed page that also shows what somebody searched for would give away a
//! constant one bit by bit, see <https://breachattack.com>).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use selvage_identity::Issuer;

use crate::derived::Derived;
use crate::mac::MacKey;

/// The name of the hidden field.
pub(crate) const FIELD: &str = "csrf";

/// Stands in for the subject on pages of visitors without a session. It has a space, as no subject has.
const NOBODY: &str = "no session";

/// Makes and checks the tokens.
pub(crate) struct Csrf(Derived<MacKey>);

impl Csrf {
    /// Keyed by the secret that visitors' tokens are signed with, so that all instances agree and a form outlives a restart,
    /// and a new secret beside the old one.
    pub(crate) fn new(issuer: &Issuer) -> Self {
        Self(Derived::new(issuer, "selvage web csrf v1", MacKey::derive))
    }

    /// The token for a form of `subject`, masked with `mask`.
    pub(crate) fn token(&self, subject: Option<&str>, mask: [u8; 32]) -> String {
        let hash = self.0.get()[0].of(subject.unwrap_or(NOBODY).as_bytes());
        let mut bytes = [0_u8; 64];
        bytes[..32].copy_from_slice(&mask);
        bytes[32..].copy_from_slice(&xor(hash, &mask));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether a request with these headers and this token came from one of our own pages in `subject`'s browser.
    pub(crate) fn allows(&self, subject: Option<&str>, token: &str, headers: &HeaderMap) -> bool {
        let origin = origin(headers);
        if origin == Origin::Foreign {
            return false;
        }
        let Some(hash) = unmask(token) else { return false };
        let keys = self.0.get();
        let is_for = |subject: &str| keys.iter().any(|key| key.matches(&hash, subject.as_bytes()));
        is_for(subject.unwrap_or(NOBODY))
            // A page that was loaded before the visitor's session began (in another tab) has the token of no session. It is
            // accepted where the browser itself says that the page is ours: no other site can make it send that header.
            || (origin == Origin::Same && is_for(NOBODY))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The browser says that the request comes from a page of ours (`Sec-Fetch-Site`).
    Same,
    /// Nothing says that it comes from another site.
    Unknown,
    /// It comes from another site.
    Foreign,
}

fn origin(headers: &HeaderMap) -> Origin {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"));
    match text(http::HeaderName::from_static("sec-fetch-site")) {
        Some("same-origin") => return Origin::Same,
        Some("none") => return Origin::Unknown,
        Some(_) => return Origin::Foreign,
        None => {}
    }
    // Older browsers, and those that reach us without https, send the origin only.
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => Origin::Unknown,
        (Some(origin), Some(host)) if origin.split_once("://").is_some_and(|(_, at)| at == host) => Origin::Unknown,
        (Some(_), _) => Origin::Foreign,
    }
}

fn unmask(token: &str) -> Option<[u8; 32]> {
    let bytes: [u8; 64] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (mask, masked) = bytes.split_at(32);
    Some(xor(masked.try_into().ok()?, mask))
}

fn xor(mut bytes: [u8; 32], with: &[u8]) -> [u8; 32] {
    bytes.iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with);
    bytes
}

#[cfg(test)]
mod tests {
    use selvage_context::clock::Clock;
    use selvage_identity::{IssuerKey, IssuerKeys};

    use super::*;

    fn issuer() -> Issuer {
        Issuer::new(IssuerKey::generate().unwrap(), Clock::standing_at(0))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_is_good_for_its_subject_and_key_alone() {
        let (ours, other) = (Csrf::new(&issuer()), Csrf::new(&issuer()));
        let token = ours.token(Some("g-1"), [7; 32]);
        let plain = HeaderMap::new();
        assert!(ours.allows(Some("g-1"), &token, &plain));
        assert!(!ours.allows(Some("g-2"), &token, &plain));
        assert!(!ours.allows(None, &token, &plain));
        assert!(!other.allows(Some("g-1"), &token, &plain));
        for wrong in ["", "x", &token[1..], &format!("{token}A"), &"A".repeat(86)] {
            assert!(!ours.allows(Some("g-1"), wrong, &plain), "{wrong}");
        }
        assert_ne!(token, ours.token(Some("g-1"), [8; 32]));
    }

    #[test]
    fn a_form_outlives_the_key_that_it_was_made_with_for_as_long_as_that_is_kept() {
        let (issuer, new) = (issuer(), IssuerKey::generate().unwrap());
        let (csrf, old, plain) = (Csrf::new(&issuer), issuer.key(), HeaderMap::new());
        let token = csrf.token(Some("g-1"), [7; 32]);
        issuer.replace_keys(IssuerKeys::parse(&format!("{}\n{}", new.secret_text(), old.secret_text())).unwrap());
        assert!(csrf.allows(Some("g-1"), &token, &plain));
        assert!(csrf.allows(Some("g-1"), &csrf.token(Some("g-1"), [7; 32]), &plain));
        issuer.replace_keys(new);
        assert!(!csrf.allows(Some("g-1"), &token, &plain));
    }

    #[test]
    fn other_sites_are_refused_even_with_a_token() {
        let csrf = Csrf::new(&issuer());
        let token = csrf.token(Some("g-1"), [0; 32]);
        for (pairs, allowed) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("origin", "https://shop.example"), ("host", "shop.example")], true),
            (&[("origin", "https://shop.example.evil"), ("host", "shop.example")], false),
            (&[("origin", "null"), ("host", "shop.example")], false),
        ] {
            assert_eq!(csrf.allows(Some("g-1"), &token, &headers(pairs)), allowed, "{pairs:?}");
        }
    }

    #[test]
    fn nobodys_token_needs_the_browsers_word() {
        let csrf = Csrf::new(&issuer());
        let token = csrf.token(None, [3; 32]);
        assert!(csrf.allows(Some("g-1"), &token, &headers(&[("sec-fetch-site", "same-origin")])));
        assert!(!csrf.allows(Some("g-1"), &token, &headers(&[("sec-fetch-site", "none")])));
        assert!(!csrf.allows(Some("g-1"), &token, &HeaderMap::new()));
    }
}
