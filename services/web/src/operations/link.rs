//! The link that opens the operations page for whoever started the shop: printed on their terminal, and good once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A link that can be opened once. Clones are the same link.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    key: String,
    is_used: AtomicBool,
}

impl Link {
    /// The link whose key is `random`: 256 bits, which nobody guesses.
    pub fn new(random: [u8; 32]) -> Self {
        Self(Arc::new(Inner { key: URL_SAFE_NO_PAD.encode(random), is_used: AtomicBool::new(false) }))
    }

    /// Its path and query, to be put behind the shop's address. The key is in the query, which no trace and no log has.
    pub fn path(&self) -> String {
        format!("/ops/open?key={}", self.0.key)
    }

    /// Whether `key` is this link's and nobody has opened it yet; from now on somebody has.
    pub(crate) fn open(&self, key: &str) -> bool {
        // Compared in a time that doesn't depend on where they differ.
        orion::util::secure_cmp(key.as_bytes(), self.0.key.as_bytes()).is_ok()
            && !self.0.is_used.swap(true, Ordering::Relaxed)
    }
}

/// Never shows the key.
impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("is_used", &self.0.is_used).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_once_and_by_its_own_key_alone() {
        let link = Link::new([7; 32]);
        let (path, other) = (link.path(), Link::new([8; 32]).path());
        let key = |path: &str| path.strip_prefix("/ops/open?key=").unwrap().to_owned();
        let own = key(&path);
        for wrong in ["", "x", &own[1..], &format!("{own}A"), &key(&other)] {
            assert!(!link.open(wrong), "{wrong}");
        }
        assert!(link.clone().open(&own), "wrong keys don't use it up");
        assert!(!link.open(&own), "it was used");
        assert!(!format!("{link:?}").contains(&own));
    }
}
