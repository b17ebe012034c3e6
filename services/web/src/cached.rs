//! A value kept for a while, fetched by one caller at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Keeps what was fetched last. While it can't be fetched anew the old one serves: a shelf that is a minute old is better
/// than none.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    held: Mutex<Option<(Arc<T>, Instant)>>,
    lifetime: Duration,
}

/// After a failure the old value serves so long before it is tried again.
const RESPITE: Duration = Duration::from_secs(2);

impl<T> Cached<T> {
    /// Nothing yet; values will be kept for `lifetime`.
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { held: Mutex::new(None), lifetime }
    }

    /// The value, fetched if it is too old. Those who come meanwhile wait for the same fetch, within their own deadlines.
    pub(crate) async fn get<E>(&self, fetch: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let mut held = self.held.lock().await;
        let now = Instant::now();
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
                *until = now + RESPITE;
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

    #[tokio::test(start_paused = true)]
    async fn a_value_is_kept_and_outlives_failures() {
        let cached = Cached::new(Duration::from_secs(30));
        assert!(cached.get(async { Err::<u32, _>("down") }).await.is_err());
        assert_eq!(*cached.get(async { Ok::<_, &str>(1) }).await.unwrap(), 1);
        assert_eq!(*cached.get(async { Ok::<_, &str>(2) }).await.unwrap(), 1);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(*cached.get(async { Err::<u32, _>("down") }).await.unwrap(), 1);
        assert_eq!(*cached.get(async { Ok::<_, &str>(3) }).await.unwrap(), 1);
        tokio::time::advance(RESPITE).await;
        assert_eq!(*cached.get(async { Ok::<_, &str>(4) }).await.unwrap(), 4);
        assert_eq!(cached.peek().as_deref(), Some(&4));
    }
}
