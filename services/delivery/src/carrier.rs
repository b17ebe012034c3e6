//! The carrier: moves parcels that are due. Several processes may run one each; they share the work.

use std::time::Duration;

use selvage_boot::Host;
use selvage_pool::StoreError;

use crate::store::{CARRIER_BATCH, Store};

/// The longest time between two looks for a parcel that is due: another process may have made one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After a failure of the database.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Runs until the end of `host.life`. `step` is the time between two moves.
pub(crate) async fn run(store: Store, step: Duration, host: Host) {
    let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    // A parcel made just after a look is due a step later, so an eighth of it keeps the delay small beside the step.
    let longest = (step / 8).clamp(Duration::from_millis(50), LONGEST_PAUSE);
    let mut pause = Duration::ZERO;
    while host.life.sleep(pause).await {
        pause = match round(&store, step_ms, host.clock.now_ms()).await {
            Ok(pause) => pause.min(longest),
            Err(error) => {
                tracing::warn!(%error, "parcels could not be moved");
                PAUSE_AFTER_FAILURE
            }
        };
    }
}

/// Moves one batch; returns how long there is nothing to do. Only looking costs no transaction.
async fn round(store: &Store, step_ms: i64, now_ms: i64) -> Result<Duration, StoreError> {
    let Some(next) = store.shipment_next_due().await? else { return Ok(LONGEST_PAUSE) };
    if next > now_ms {
        return Ok(Duration::from_millis(u64::try_from(next - now_ms).unwrap_or(0)));
    }
    let moved = store.shipment_move_due(now_ms, now_ms.saturating_add(step_ms)).await?;
    // None moved though one was due: another carrier holds it, and is given time.
    Ok(if moved >= CARRIER_BATCH { Duration::ZERO } else { Duration::from_millis(50) })
}
