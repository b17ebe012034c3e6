//! Keyed hashes (BLAKE2b, by orion) of 32 bytes: forms' tokens are made of them, and the keys of cookies derived.

use orion::hazardous::mac::blake2b::{Blake2b, SecretKey};

const BYTES: usize = 32;

/// A keyed hash's key.
#[derive(Debug)]
pub(crate) struct MacKey(SecretKey);

impl MacKey {
    /// Derives a key for one purpose from a secret of at least 32 bytes.
    pub(crate) fn derive(secret: &str, purpose: &'static str) -> Self {
        // A key has 64 bytes at the most: longer secrets are hashed first, under the purpose.
        let label = SecretKey::try_from(purpose.as_bytes()).expect("a purpose is 1 to 64 bytes");
        Self(SecretKey::try_from(tag(&label, secret.as_bytes()).as_slice()).expect("32 bytes are a key"))
    }

    /// The hash of `data`.
    pub(crate) fn of(&self, data: &[u8]) -> [u8; BYTES] {
        tag(&self.0, data)
    }

    /// Whether `hash` is the hash of `data`, compared in a time that doesn't depend on where they differ.
    pub(crate) fn matches(&self, hash: &[u8; BYTES], data: &[u8]) -> bool {
        orion::hazardous::mac::blake2b::Tag::try_from(hash.as_slice())
            .is_ok_and(|expected| Blake2b::verify(&expected, &self.0, BYTES, data).is_ok())
    }
}

fn tag(key: &SecretKey, data: &[u8]) -> [u8; BYTES] {
    let computed = Blake2b::new(key, BYTES).and_then(|mut state| {
        state.update(data)?;
        state.finalize()
    });
    let computed = computed.expect("the length is right, and the state is used once");
    computed.unprotected_as_ref().try_into().expect("as long as asked for")
}

/// Names content by its hash, in 12 hexadecimal digits.
pub(crate) fn content_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let key = SecretKey::try_from(b"content".as_slice()).expect("a key");
    let mut hash = [0_u8; BYTES];
    for part in parts {
        hash = tag(&key, &[&hash, part].concat());
    }
    hash[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}
