use std::time::{Duration, Instant};

/// Waits until `condition` holds, looking every 10 ms.
///
/// # Panics
/// With `what` when `bound` is over.
pub async fn eventually(bound: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < bound, "waited {bound:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
