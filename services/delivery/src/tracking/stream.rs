//! One watcher's stream.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use tokio::time::Instant;

use super::Watcher;
use crate::domain::shipment::Shipment;

/// The longest that a stream lasts; its client then asks again, perhaps another process.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// When a stream ends beside its shipment's end: at the end of the process.
pub(crate) trait Ended: Future<Output = ()> + Send + Unpin + 'static {}

impl<F: Future<Output = ()> + Send + Unpin + 'static> Ended for F {}

/// The shipment as it was read when the watcher came, then whenever more has happened to it; ends after its last state,
/// after half an hour, or when `ended` does.
pub(crate) fn updates(
    first: Shipment,
    watcher: Watcher,
    ended: impl Ended,
) -> impl Stream<Item = Arc<Shipment>> + Send {
    let state = Updates { first: Some(first), shown: 0, over: false, watcher, until: Instant::now() + LONGEST, ended };
    unfold(state, |mut state| async move { state.next().await.map(|shipment| (shipment, state)) })
}

struct Updates<E> {
    first: Option<Shipment>,
    /// Events that were shown. What is read twice, or late, has not more of them and is passed over.
    shown: usize,
    over: bool,
    watcher: Watcher,
    until: Instant,
    ended: E,
}

impl<E: Ended> Updates<E> {
    async fn next(&mut self) -> Option<Arc<Shipment>> {
        if self.over {
            return None;
        }
        let shipment = match self.first.take() {
            Some(first) => Arc::new(first),
            None => self.newer().await?,
        };
        self.shown = shipment.events.len();
        self.over = shipment.state.is_final();
        Some(shipment)
    }

    async fn newer(&mut self) -> Option<Arc<Shipment>> {
        let shown = self.shown;
        let more = self.watcher.newest.wait_for(|newest| newest.as_ref().is_some_and(|s| s.events.len() > shown));
        tokio::select! {
            newest = more => newest.ok()?.clone(),
            () = tokio::time::sleep_until(self.until) => None,
            () = &mut self.ended => None,
        }
    }
}
