//! What only these pages can read: XChaCha20-Poly1305.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orion::hazardous::aead::xchacha20poly1305::{Nonce, SecretKey, XChaCha20Poly1305};

use crate::mac::MacKey;

const NONCE: usize = 24;
const TAG: usize = 16;
/// The longest text that is opened.
const MAX_BYTES: usize = 2 * 1024;

/// Seals texts with a key of its own.
pub(super) struct Seal(SecretKey);

impl Seal {
    /// With a key derived from `secret` for one `purpose`.
    pub(super) fn derive(secret: &str, purpose: &str) -> Self {
        let key = MacKey::derive(secret, purpose).of(b"key");
        Self(SecretKey::try_from(key.as_slice()).expect("32 bytes are a key"))
    }

    /// The text, so that nobody else can read or change it. A nonce is used once.
    pub(super) fn close(&self, text: &str, nonce: [u8; NONCE]) -> String {
        let mut sealed = vec![0_u8; NONCE + text.len() + TAG];
        sealed[..NONCE].copy_from_slice(&nonce);
        let used = Nonce::try_from(nonce.as_slice()).expect("24 bytes are a nonce");
        XChaCha20Poly1305::seal(&self.0, &used, text.as_bytes(), None, &mut sealed[NONCE..])
            .expect("there is room, and a text is far below 2^32 blocks");
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The text again, if it was sealed here.
    pub(super) fn open(&self, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        if !(NONCE + TAG + 1..=MAX_BYTES).contains(&bytes.len()) {
            return None;
        }
        let (nonce, closed) = bytes.split_at(NONCE);
        let mut text = vec![0_u8; closed.len() - TAG];
        XChaCha20Poly1305::open(&self.0, &Nonce::try_from(nonce).ok()?, closed, None, &mut text).ok()?;
        String::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_here_alone_and_unchanged() {
        let seal = Seal::derive("a secret of the shop's own", "test");
        let closed = seal.close("until.token", [7; NONCE]);
        assert_eq!(seal.open(&closed).as_deref(), Some("until.token"));
        assert!(!closed.contains("token"));
        assert_ne!(closed, seal.close("until.token", [8; NONCE]));
        assert_eq!(Seal::derive("a secret of the shop's own", "another").open(&closed), None);
        assert_eq!(Seal::derive("another secret altogether", "test").open(&closed), None);
        for wrong in ["", "x", &closed[1..], &format!("{closed}A"), &"A".repeat(80), &"A".repeat(8000)] {
            assert_eq!(seal.open(wrong), None, "{wrong}");
        }
    }
}
