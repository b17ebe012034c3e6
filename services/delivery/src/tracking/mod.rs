//! Watching shipments. One poller looks for all watchers of the process where their shipments stand, and only while there
//! are any: one statement each time, whatever their number, and two more when something has happened.
//!
//! It asks for the shipments that are watched and compares their states, instead of following a list of events: a list is
//! in the order in which transactions got their ids, not in that in which they commit, and on a database with several nodes
//! in neither. A state that was committed is seen by the next look, in whatever order others commit.
//!
//! Each tracked shipment has one cell with what was read of it last, which its watchers wait on. A slow watcher finds the
//! newest state when it looks, with all events in it, so it can't lag behind or lose one.

mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use selvage_boot::Host;
use selvage_pool::StoreError;
use selvage_status::{Error, ErrorCode};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

use crate::domain::shipment::Shipment;
use crate::store::Store;

pub(crate) use stream::updates;

/// Watchers of one process: each holds an HTTP/2 stream and about 1 KiB here. A poll looks at as many rows at the most, by
/// their keys: some 5 ms of the database's time, twice a second.
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
        let (poller, life) = (tracking.clone(), host.life.clone());
        host.life.spawn("tracking", async move {
            while !life.is_stopping() {
                tokio::select! {
                    () = poller.wake.notified() => {}
                    () = life.stopping() => break,
                }
                while poller.is_watched() {
                    if let Err(error) = poller.poll(&store).await {
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
    pub(crate) fn watch(&self, order_id: Uuid) -> Result<Watcher, Error> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            Error::new(ErrorCode::ResourceExhausted, "too many parcels are being watched; try again later")
                .reason("TOO_MANY_WATCHERS")
                .retry_after(RETRY_AFTER)
        })?;
        let newest = self.cells().entry(order_id).or_insert_with(|| watch::Sender::new(None)).subscribe();
        self.wake.notify_one();
        Ok(Watcher { newest, _place: place })
    }

    /// Looks where the watched shipments stand, and reads and shows those to which something has happened since they were
    /// shown: at first all of them. A watcher that comes while this runs is shown its shipment by the next poll.
    async fn poll(&self, store: &Store) -> Result<(), StoreError> {
        let watched: Vec<_> = self.cells().keys().copied().collect();
        let states = store.shipment_list_states(&watched).await?;
        let changed = {
            let cells = self.cells();
            let shown =
                |id: &Uuid| cells.get(id).and_then(|cell| cell.borrow().as_ref().map(|shown| shown.state.word()));
            let changed = states.into_iter().filter(|(id, state)| shown(id) != Some(state.as_str()));
            changed.map(|(id, _)| id).collect::<Vec<_>>()
        };
        if changed.is_empty() {
            return Ok(());
        }
        let found = store.shipment_list(&changed).await?;
        let cells = self.cells();
        for shipment in found {
            if let Some(cell) = cells.get(&shipment.order_id) {
                cell.send_replace(Some(Arc::new(shipment)));
            }
        }
        Ok(())
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
