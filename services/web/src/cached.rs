//! A value kept for a while, fetched by one caller at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Keeps what was fetched last. While a newer value can't be fetched, callers get the old one: a list of categories that is a
/// minute old is better than none.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    held: Mutex<Option<(Arc<T>, Instant)>>,
    lifetime: Duration,
}

/// How long callers get the old value after a failure, before the next attempt.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);

impl<T> Cached<T> {
    /// Holds nothing yet; a value will be kept for `lifetime`.
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { held: Mutex::new(None), lifetime }
    }

    /// The value, fetched anew if it is older than its lifetime. Callers who come meanwhile wait for the same fetch, within
    /// their own deadlines.
    ///
    /// # Errors
    /// The fetch's own, if there is no old value.
    pub(crate) fn get<E>(&self, fetch: impl Future<Output = Result<T, E>>) -> impl Future<Output = Result<Arc<T>, E>> {
        self.get_at(Instant::now, fetch)
    }

    /// The same, by a clock that is asked once no other caller is fetching.
    async fn get_at<E>(
        &self,
        now: impl FnOnce() -> Instant,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        let mut held = self.held.lock().await;
        let now = now();
        if let Some((value, until)) = &*held
            && now < *until
        {
            return Ok(value.clone());
        }
        match (fetch.await, &mut *held) {
            (Ok(value), held) => {
                let value = Arc::new(value);
                *held = Some((value.clone(), now + self.lifetime));
                Ok(value)
            }
            (Err(_), Some((value, until))) => {
                *until = now + PAUSE_AFTER_FAILURE;
                Ok(value.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The value if there is one and nobody is fetching it, however old.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.held.try_lock().ok()?.as_ref().map(|(value, _)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_is_kept_and_outlives_failures() {
        let (cached, now) = (Cached::new(Duration::from_secs(30)), Instant::now());
        let get = async |second: u64, fetched: Result<u32, &'static str>| {
            let got = cached.get_at(|| now + Duration::from_secs(second), async { fetched }).await;
            got.map(|value| *value)
        };
        assert_eq!(get(0, Err("down")).await, Err("down"));
        assert_eq!(get(0, Ok(1)).await, Ok(1));
        assert_eq!(get(29, Ok(2)).await, Ok(1));
        assert_eq!(get(31, Err("down")).await, Ok(1));
        assert_eq!(get(31, Ok(3)).await, Ok(1));
        assert_eq!(get(31 + PAUSE_AFTER_FAILURE.as_secs(), Ok(4)).await, Ok(4));
        assert_eq!(cached.peek().as_deref(), Some(&4));
    }
}
