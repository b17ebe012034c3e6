//! The form that sessions had until they were encrypted: `<subject>.<until when, seconds since the Unix epoch>.<keyed hash
//! over both>`, in a cookie of another name. It is still read, so that no guest loses bag and orders; nothing makes it any
//! more. Sessions live for 30 days: this file goes 30 days after the last process that makes them was replaced.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use selvage_identity::Issuer;

use crate::cookies::named;
use crate::derived::Derived;
use crate::mac::MacKey;

/// Reads sessions of the old form.
pub(super) struct OldForm {
    keys: Derived<MacKey>,
    name: &'static str,
}

impl OldForm {
    /// Those that were hashed with a key derived from one of `issuer`'s; `secure` ones had a name of their own.
    pub(super) fn new(issuer: &Issuer, secure: bool) -> Self {
        let keys = Derived::new(issuer, "selvage web session v1", MacKey::derive);
        Self { keys, name: if secure { "__Host-selvage" } else { "selvage" } }
    }

    /// The subject of the first cookie among `headers` that we made and that is still good at `now`, in seconds since the
    /// Unix epoch.
    pub(super) fn open(&self, headers: &HeaderMap, now: i64) -> Option<String> {
        named(headers, self.name).find_map(|cookie| {
            let (claim, hash) = cookie.value().rsplit_once('.')?;
            let hash: [u8; 32] = URL_SAFE_NO_PAD.decode(hash).ok()?.try_into().ok()?;
            let (subject, until) = claim.rsplit_once('.')?;
            let keys = self.keys.get();
            let is_ours = keys.iter().any(|key| key.matches(&hash, claim.as_bytes()));
            let is_good = is_ours && until.parse::<i64>().ok()? > now;
            is_good.then(|| subject.to_owned())
        })
    }
}
