//! Watching shipments. One poller reads what happened for all watchers of the process, and only while there are any: a
//! watcher costs two statements when it comes and none after.
//!
//! Each tracked shipment has one cell with its newest state, which its watchers wait on. A slow watcher finds the newest
//! state when it looks, with all events in it, so it can't lag behind or lose one.

mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use selvage_boot::Host;
use selvage_context::clock::Clock;
use selvage_status::{Error, ErrorCode, Result};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

use crate::domain::events::Cursor;
use crate::domain::shipment::Shipment;
use crate::store::{EVENTS_BATCH, Store};

pub(crate) use stream::updates;

/// Watchers of one process: each holds an HTTP/2 stream and about 1 KiB here. A poll reads at most as many shipments.
const MAX_WATCHERS: usize = 1_000;
/// Between two polls: quick enough for a person, two statements a second for the database.
const POLL: Duration = Duration::from_millis(500);
/// When a watcher that found no place may try again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

type Cell = watch::Sender<Option<Arc<Shipment>>>;

/// The shipments that are watched. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Tracking {
    watched: Arc<Mutex<HashMap<Uuid, Cell>>>,
    places: Arc<Semaphore>,
    wake: Arc<Notify>,
}

/// A place among the watchers of a shipment, until it is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) newest: watch::Receiver<Option<Arc<Shipment>>>,
    _place: OwnedSemaphorePermit,
}

impl Tracking {
    /// Starts the poller on the life of `host`.
    pub(crate) fn start(store: Store, host: &Host) -> Self {
        let places = Arc::new(Semaphore::new(MAX_WATCHERS));
        let tracking = Self { watched: Arc::default(), places, wake: Arc::default() };
        let (poller, life, clock) = (tracking.clone(), host.life.clone(), host.clock.clone());
        host.life.spawn("tracking", async move {
            while !life.is_stopping() {
                tokio::select! {
                    () = poller.wake.notified() => {}
                    () = life.stopping() => break,
                }
                let mut cursor = None;
                while poller.is_watched() {
                    if let Err(error) = poller.poll(&store, &mut cursor, &clock).await {
                        tracing::warn!(%error, "tracked shipments could not be read");
                    }
                    if !life.sleep(POLL).await {
                        return;
                    }
                }
            }
        });
        tracking
    }

    /// Watches a shipment. What happens from now on is sure to reach the watcher; it reads itself what was before.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if there are too many watchers.
    pub(crate) fn watch(&self, order_id: Uuid) -> Result<Watcher> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            Error::new(ErrorCode::ResourceExhausted, "too many parcels are being watched; try again later")
                .reason("TOO_MANY_WATCHERS")
                .retry_after(RETRY_AFTER)
        })?;
        let newest = self.cells().entry(order_id).or_insert_with(|| watch::Sender::new(None)).subscribe();
        self.wake.notify_one();
        Ok(Watcher { newest, _place: place })
    }

    /// Reads the events that are new to `cursor`, and shows the shipments among them that are watched.
    ///
    /// With no cursor yet it starts at the end of the events and shows all that are watched: a watcher may have read its
    /// shipment before that end was found. One that comes later reads after it, and so misses nothing either.
    async fn poll(&self, store: &Store, cursor: &mut Option<Cursor>, clock: &Clock) -> Result<()> {
        let changed = match cursor {
            None => {
                *cursor = Some(store.event_end().await?);
                self.cells().keys().copied().collect()
            }
            Some(cursor) => self.changed(store, cursor, clock).await?,
        };
        if changed.is_empty() {
            return Ok(());
        }
        let found = store.shipment_list(&changed).await;
        if found.is_err() {
            // What was read of the events is not shown yet: begin anew at the next poll.
            *cursor = None;
        }
        let cells = self.cells();
        for shipment in found? {
            if let Some(cell) = cells.get(&shipment.order_id) {
                cell.send_replace(Some(Arc::new(shipment)));
            }
        }
        Ok(())
    }

    /// The watched shipments to which something happened. One statement, and another for each further 1,000 events.
    async fn changed(&self, store: &Store, cursor: &mut Cursor, clock: &Clock) -> Result<Vec<Uuid>> {
        let mut changed = Vec::new();
        loop {
            let events = store.event_list(cursor).await?;
            let ids: Vec<_> = events.iter().map(|(id, _)| *id).collect();
            cursor.read(&ids, clock.now_ms());
            let cells = self.cells();
            changed.extend(events.iter().map(|(_, order_id)| *order_id).filter(|id| cells.contains_key(id)));
            if ids.len() < usize::try_from(EVENTS_BATCH).unwrap_or(usize::MAX) {
                changed.sort_unstable();
                changed.dedup();
                return Ok(changed);
            }
        }
    }

    /// Forgets shipments that nobody watches any more: whether any is left.
    fn is_watched(&self) -> bool {
        let mut cells = self.cells();
        cells.retain(|_, cell| cell.receiver_count() > 0);
        !cells.is_empty()
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<Uuid, Cell>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
