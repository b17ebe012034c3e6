//! Who may read what.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// How long it counts that somebody was let in: a page asks anew whenever it is loaded. Whose right was taken is let in for so
/// much longer.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Answers at the most, of some 60 bytes each: 50 people and pages, each in 20 namespaces.
const MAX_ANSWERS: usize = 1024;

/// Why somebody isn't let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The token isn't valid, or not for us.
    #[error("the token isn't valid: {0}")]
    Stranger(String),
    /// Its owner may not read there.
    #[error("{0} may not list poolscalers.selvage.dev")]
    Forbidden(String),
    /// Nobody could be asked.
    #[error("it can't be checked: {0}")]
    Unavailable(String),
}

/// Says who may read what was decided. Kubernetes does, by a TokenReview and a SubjectAccessReview.
#[tonic::async_trait]
pub trait Access: Send + Sync + 'static {
    /// Whether the owner of `token` may read what is in `namespace`, or in all if it is empty. Its caller bounds the time.
    ///
    /// # Errors
    /// See [`AccessError`].
    async fn may_read(&self, token: &str, namespace: &str) -> Result<(), AccessError>;
}

/// Remembers who was let in. Who wasn't is asked about anew each time.
pub struct Cached<A> {
    access: A,
    /// By the SHA-256 of the token and the namespace, so that no token is kept.
    known: Mutex<HashMap<[u8; 32], Instant>>,
}

impl<A: Access> Cached<A> {
    /// Nobody is known yet.
    pub fn new(access: A) -> Self {
        Self { access, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl<A: Access> Access for Cached<A> {
    async fn may_read(&self, token: &str, namespace: &str) -> Result<(), AccessError> {
        // No namespace has a line's end in its name.
        let digest: [u8; 32] = Sha256::digest(format!("{namespace}\n{token}").as_bytes()).into();
        let now = Instant::now();
        if self.known().get(&digest).is_some_and(|until| now < *until) {
            return Ok(());
        }
        self.access.may_read(token, namespace).await?;
        let mut known = self.known();
        if known.len() >= MAX_ANSWERS {
            known.retain(|_, until| now < *until);
        }
        // Full of answers that still count: this one is asked for again.
        if known.len() < MAX_ANSWERS {
            known.insert(digest, now + REMEMBERED);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is asked; who is called as the namespace may read there.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    #[tonic::async_trait]
    impl Access for Counting {
        async fn may_read(&self, token: &str, namespace: &str) -> Result<(), AccessError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if token == namespace { Ok(()) } else { Err(AccessError::Forbidden(token.to_owned())) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_let_in_is_remembered_for_that_namespace_and_for_a_while() {
        let cached = Cached::new(Counting::default());
        let asked = || cached.access.0.load(Ordering::Relaxed);
        for _ in 0..5 {
            assert!(cached.may_read("shop", "shop").await.is_ok());
            assert!(cached.may_read("shop", "bank").await.is_err());
        }
        assert_eq!(asked(), 6, "who isn't let in is asked about each time");
        tokio::time::advance(REMEMBERED).await;
        assert!(cached.may_read("shop", "shop").await.is_ok());
        assert_eq!(asked(), 7);
        for number in 0..2 * MAX_ANSWERS {
            let name = format!("n{number}");
            assert!(cached.may_read(&name, &name).await.is_ok());
        }
        assert_eq!(cached.known().len(), MAX_ANSWERS);
    }
}
