//! Answers about tokens, remembered for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{Identity, ReviewError, Reviewer};

/// How long an answer counts: for so long a pod that was deleted keeps its token's use. All pods of a shop that come back after
/// a leader's end are checked once in this time, and not once for each of their attempts.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Answers at the most, of some 200 bytes each: four tokens of each of 1,000 pods, which renew one an hour.
const MAX_ANSWERS: usize = 4096;

/// Remembers whose a token is. That one isn't valid is asked anew each time.
pub struct Cached<R> {
    reviewer: R,
    /// By the token's SHA-256, so that no token is kept.
    known: Mutex<HashMap<[u8; 32], (Identity, Instant)>>,
}

impl<R: Reviewer> Cached<R> {
    /// Nothing is known yet.
    pub fn new(reviewer: R) -> Self {
        Self { reviewer, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Identity, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl<R: Reviewer> Reviewer for Cached<R> {
    async fn review(&self, token: &str) -> Result<Identity, ReviewError> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = Instant::now();
        if let Some((identity, until)) = self.known().get(&digest)
            && now < *until
        {
            return Ok(identity.clone());
        }
        let identity = self.reviewer.review(token).await?;
        let mut known = self.known();
        if known.len() >= MAX_ANSWERS {
            known.retain(|_, (_, until)| now < *until);
        }
        // Full of answers that still count: this one is asked for again.
        if known.len() < MAX_ANSWERS {
            known.insert(digest, (identity.clone(), now + REMEMBERED));
        }
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is asked; a token is valid if it begins with "pod-".
    #[derive(Default)]
    struct Asked(AtomicUsize);

    #[tonic::async_trait]
    impl Reviewer for &'static Asked {
        async fn review(&self, token: &str) -> Result<Identity, ReviewError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let named = |pod: &str| Identity { namespace: "shop".into(), pod: pod.into(), uid: "u".into() };
            token.strip_prefix("pod-").map(named).ok_or_else(|| ReviewError::Refused("no".into()))
        }
    }

    fn cached() -> (&'static Asked, Cached<&'static Asked>) {
        let asked: &'static Asked = Box::leak(Box::default());
        (asked, Cached::new(asked))
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_token_is_asked_about_once_a_minute_and_another_one_each_time() {
        let (asked, cached) = cached();
        for _ in 0..3 {
            assert_eq!(cached.review("pod-1").await.unwrap().pod, "1");
            assert!(cached.review("stranger").await.is_err());
        }
        assert_eq!(asked.0.load(Ordering::Relaxed), 1 + 3);
        tokio::time::advance(REMEMBERED).await;
        cached.review("pod-1").await.unwrap();
        assert_eq!(asked.0.load(Ordering::Relaxed), 2 + 3);
        assert_eq!(cached.review("pod-2").await.unwrap().pod, "2", "another token is another question");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_bounded_and_the_old_ones_make_room() {
        let (asked, cached) = cached();
        for number in 0..MAX_ANSWERS + 1 {
            cached.review(&format!("pod-{number}")).await.unwrap();
        }
        assert_eq!(cached.known().len(), MAX_ANSWERS);
        cached.review(&format!("pod-{MAX_ANSWERS}")).await.unwrap();
        assert_eq!(asked.0.load(Ordering::Relaxed), MAX_ANSWERS + 2, "the last one found no room");
        tokio::time::advance(REMEMBERED).await;
        cached.review("pod-new").await.unwrap();
        assert_eq!(cached.known().len(), 1);
    }
}
