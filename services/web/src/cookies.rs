//! Cookies that only these pages can read and make: encrypted and authenticated under their name by the `cookie` crate's
//! private jar (AES-256-GCM).
//!
//! Two things stand here that the jar can't say. A value's end is encrypted with it, since a browser may go on sending a
//! cookie that it was told to forget. And several keys can open a cookie, of which the first makes new ones, so that a key
//! can be replaced without anybody losing their session ([`Derived`]).

use std::time::Duration;

use cookie::{Cookie, CookieJar, Key, SameSite};
use http::{HeaderMap, HeaderValue, header};
use selvage_context::clock::Clock;
use selvage_identity::Issuer;

use crate::derived::Derived;
use crate::mac::MacKey;

/// Longer values aren't decrypted. The longest that is made, of an admin's token of 1,024 bytes, has 1,420: 11 bytes for the
/// end, 28 for nonce and tag, and a third more for base64.
const MAX_VALUE_BYTES: usize = 2 * 1024;
/// Cookies of one name that are looked at: another site on the same domain may have set some.
const MAX_OF_ONE_NAME: usize = 4;

/// What a cookie is for, and how browsers treat it.
pub(crate) struct Kind {
    /// The name of the cookie where people reach the shop by http.
    pub(crate) name: &'static str,
    /// The name over https, with the prefix `__Host-`, by which browsers take it from this host alone.
    pub(crate) secure_name: &'static str,
    /// What the key is derived for.
    pub(crate) purpose: &'static str,
    /// How long a cookie is good for.
    pub(crate) lifetime: Duration,
    /// Whether browsers send it with requests that begin on other sites.
    pub(crate) same_site: SameSite,
}

/// Makes and reads the cookies of one kind.
pub(crate) struct SealedCookies {
    kind: &'static Kind,
    /// The first encrypts, each decrypts. A key may encrypt 2³² values (NIST SP 800-38D, for random nonces): 136 new or
    /// renewed sessions a second for a year.
    keys: Derived<Key>,
    clock: Clock,
    secure: bool,
}

/// What a cookie says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) text: String,
    /// How long the cookie is still good for.
    pub(crate) left: Duration,
    /// A key made it that makes no more: whoever has it should get another.
    pub(crate) is_of_earlier_key: bool,
}

impl SealedCookies {
    /// With keys that are derived from those of `issuer`: the first makes new cookies, each opens those that it made. `secure`
    /// cookies travel over https alone.
    pub(crate) fn new(kind: &'static Kind, issuer: &Issuer, clock: Clock, secure: bool) -> Self {
        Self { kind, keys: Derived::new(issuer, kind.purpose, key), clock, secure }
    }

    /// The header that sets a cookie which says `text`.
    pub(crate) fn seal(&self, text: &str) -> HeaderValue {
        let until = self.now() + i64::try_from(self.kind.lifetime.as_secs()).unwrap_or(i64::MAX / 2);
        let mut jar = CookieJar::new();
        jar.private_mut(&self.keys.get()[0]).add(self.cookie(format!("{until} {text}"), self.kind.lifetime));
        header_of(jar.get(self.name()).expect("it was just added"))
    }

    /// The header that has a browser forget the cookie.
    pub(crate) fn expire(&self) -> HeaderValue {
        header_of(&self.cookie(String::new(), Duration::ZERO))
    }

    /// What the first of a request's cookies says that was made here and is still good.
    pub(crate) fn open(&self, headers: &HeaderMap) -> Option<Opened> {
        let (jar, keys) = (CookieJar::new(), self.keys.get());
        named(headers, self.name()).filter(|cookie| cookie.value().len() <= MAX_VALUE_BYTES).find_map(|cookie| {
            let (number, opened) = keys
                .iter()
                .enumerate()
                .find_map(|(number, key)| Some((number, jar.private(key).decrypt(cookie.clone().into_owned())?)))?;
            let (until, text) = opened.value().split_once(' ')?;
            let left = until.parse::<i64>().ok()?.checked_sub(self.now())?;
            let left = u64::try_from(left).ok().filter(|left| *left > 0)?;
            Some(Opened { text: text.to_owned(), left: Duration::from_secs(left), is_of_earlier_key: number > 0 })
        })
    }

    fn cookie(&self, value: String, max_age: Duration) -> Cookie<'static> {
        let max_age = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        Cookie::build((self.name(), value))
            .path("/")
            .http_only(true)
            .same_site(self.kind.same_site)
            .secure(self.secure)
            .max_age(time::Duration::seconds(max_age))
            .build()
    }

    fn name(&self) -> &'static str {
        if self.secure { self.kind.secure_name } else { self.kind.name }
    }

    /// Seconds since the Unix epoch.
    fn now(&self) -> i64 {
        self.clock.now_ms() / 1000
    }
}

/// A request's cookies of one name, the first few.
pub(crate) fn named<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = Cookie<'a>> {
    let texts = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let cookies = texts.flat_map(|text| Cookie::split_parse(text).filter_map(Result::ok));
    cookies.filter(move |cookie| cookie.name() == name).take(MAX_OF_ONE_NAME)
}

/// The jar's key has two halves, for signing and for encrypting.
fn key(secret: &str, purpose: &'static str) -> Key {
    let derived = MacKey::derive(secret, purpose);
    Key::from(&[derived.of(b"signing"), derived.of(b"encryption")].concat())
}

fn header_of(cookie: &Cookie<'_>) -> HeaderValue {
    HeaderValue::try_from(cookie.to_string()).expect("a name of ours, base64 and attributes are visible ASCII")
}

#[cfg(test)]
mod tests {
    use selvage_identity::{IssuerKey, IssuerKeys};

    use super::*;

    static TEST: Kind = Kind {
        name: "test",
        secure_name: "__Host-test",
        purpose: "selvage web test",
        lifetime: Duration::from_secs(3600),
        same_site: SameSite::Strict,
    };

    /// Who has these keys, the one that signs first.
    fn issuer(keys: &[&IssuerKey]) -> Issuer {
        let texts: Vec<_> = keys.iter().map(|key| key.secret_text()).collect();
        Issuer::new(IssuerKeys::parse(&texts.join("\n")).unwrap(), clock())
    }

    fn new_key() -> IssuerKey {
        IssuerKey::generate().unwrap()
    }

    fn cookies(keys: &[&IssuerKey], clock: &Clock) -> SealedCookies {
        SealedCookies::new(&TEST, &issuer(keys), clock.clone(), false)
    }

    /// A request's headers with the cookies that these headers of answers set.
    fn sent(set: &[&HeaderValue]) -> HeaderMap {
        let pair = |set: &&HeaderValue| set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let pairs: Vec<_> = set.iter().map(pair).collect();
        HeaderMap::from_iter([(header::COOKIE, pairs.join("; ").parse().unwrap())])
    }

    fn clock() -> Clock {
        Clock::standing_at(1_800_000_000_000)
    }

    #[test]
    fn a_cookie_is_read_here_alone_until_its_end() {
        let clock = clock();
        let ours = cookies(&[&new_key()], &clock);
        let set = ours.seal("somebody");
        assert!(!set.to_str().unwrap().contains("somebody"));
        let left = Duration::from_secs(3600);
        assert_eq!(ours.open(&sent(&[&set])), Some(Opened { text: "somebody".into(), left, is_of_earlier_key: false }));
        assert_eq!(cookies(&[&new_key()], &clock).open(&sent(&[&set])), None);
        clock.advance_ms(3_600_000);
        assert_eq!(ours.open(&sent(&[&set])), None);
    }

    #[test]
    fn a_cookie_of_another_kind_is_none() {
        static OTHER: Kind = Kind { name: "other", secure_name: "__Host-other", ..TEST_OF_THE_SAME_PURPOSE };
        let clock = clock();
        let key = new_key();
        let other = SealedCookies::new(&OTHER, &issuer(&[&key]), clock.clone(), false).seal("somebody");
        let renamed = HeaderValue::try_from(other.to_str().unwrap().replacen("other=", "test=", 1)).unwrap();
        assert_eq!(cookies(&[&key], &clock).open(&sent(&[&renamed])), None);
    }

    /// The same key as [`TEST`]'s: only the name tells them apart.
    const TEST_OF_THE_SAME_PURPOSE: Kind = Kind {
        name: "",
        secure_name: "",
        purpose: "selvage web test",
        lifetime: Duration::from_secs(3600),
        same_site: SameSite::Strict,
    };

    #[test]
    fn a_key_is_replaced_without_anybody_losing_a_cookie() {
        let clock = clock();
        let (old, new) = (new_key(), new_key());
        let shared = issuer(&[&old]);
        let running = SealedCookies::new(&TEST, &shared, clock.clone(), false);
        let before = running.seal("somebody");
        // While the shop runs, and as it is after its next start.
        shared.replace_keys(IssuerKeys::parse(&format!("{}\n{}", new.secret_text(), old.secret_text())).unwrap());
        for both in [&running, &cookies(&[&new, &old], &clock)] {
            let opened = both.open(&sent(&[&before])).unwrap();
            assert_eq!((&*opened.text, opened.is_of_earlier_key), ("somebody", true));
            let after = both.seal("somebody");
            assert!(!both.open(&sent(&[&after])).unwrap().is_of_earlier_key);
            assert!(cookies(&[&new], &clock).open(&sent(&[&after])).is_some(), "the first key makes new ones");
            assert!(cookies(&[&old], &clock).open(&sent(&[&after])).is_none());
        }
    }

    #[test]
    fn what_others_set_is_passed_over() {
        let clock = clock();
        let ours = cookies(&[&new_key()], &clock);
        let right = ours.seal("somebody");
        let wrong = ["test=x", "test=", "test=====", "test=AAAA"].map(HeaderValue::from_static);
        for wrong in &wrong {
            assert_eq!(ours.open(&sent(&[wrong])), None, "{wrong:?}");
            assert!(ours.open(&sent(&[wrong, &right])).is_some(), "{wrong:?} hides ours");
        }
        let long = HeaderValue::try_from(format!("test={}", "A".repeat(8_000))).unwrap();
        assert_eq!(ours.open(&sent(&[&long])), None);
        let mut changed = right.to_str().unwrap().to_owned().into_bytes();
        changed[20] ^= 1;
        assert_eq!(ours.open(&sent(&[&HeaderValue::from_bytes(&changed).unwrap()])), None);
    }

    #[test]
    fn the_longest_token_fits() {
        let ours = cookies(&[&new_key()], &clock());
        let text = "t".repeat(1_024);
        let set = ours.seal(&text);
        let value = set.to_str().unwrap().split(';').next().unwrap().len() - "test=".len();
        assert!(value <= 1_420, "{value} bytes");
        assert_eq!(ours.open(&sent(&[&set])).unwrap().text, text);
    }

    #[test]
    fn cookies_are_closed_to_scripts_and_forgotten_when_asked_to() {
        let secure = SealedCookies::new(&TEST, &issuer(&[&new_key()]), clock(), true);
        let set = secure.seal("somebody");
        let attributes = ["__Host-test=", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Secure", "; Max-Age=3600"];
        for attribute in attributes {
            assert!(set.to_str().unwrap().contains(attribute), "{set:?}");
        }
        assert!(secure.expire().to_str().unwrap().contains("Max-Age=0"));
    }
}
