//! Orders as they change, how many are being placed, and how many stand still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_pool::StoreError;

use super::Store;
use crate::domain::order::State;
use crate::domain::recovery::STANDING_AFTER_MS;

/// How often orders are counted: two statements, each by an index of few rows.
const EVERY: Duration = Duration::from_secs(5);

/// An order has come into a state.
pub(crate) fn changed(state: State) {
    static CHANGED: LazyLock<Counter<u64>> = LazyLock::new(|| {
        opentelemetry::global::meter("selvage.checkout")
            .u64_counter("selvage.orders.changed")
            .with_unit("{order}")
            .with_description("How often an order came into a state.")
            .build()
    });
    CHANGED.add(1, &[KeyValue::new("state", state.word())]);
}

/// What was counted last; 0 until it was counted once, as alerts want it.
#[derive(Default)]
struct Counted {
    pending: AtomicU64,
    standing: AtomicU64,
}

/// Counts the orders that are being placed, and those that stand still, again and again until the end of `life`.
pub(crate) async fn watch(store: Store, clock: Clock, life: Life) {
    let counted = Arc::new(Counted::default());
    observe(&counted);
    while life.sleep(EVERY).await {
        if let Err(error) = count(&store, &clock, &counted).await {
            // The sweep says so too, and the pool.
            tracing::debug!(error = %error, "orders can't be counted");
        }
    }
}

async fn count(store: &Store, clock: &Clock, counted: &Counted) -> Result<(), StoreError> {
    counted.pending.store(store.order_count_pending().await?, Ordering::Relaxed);
    let standing = store.order_count_standing(clock.now_ms() - STANDING_AFTER_MS).await?;
    counted.standing.store(standing, Ordering::Relaxed);
    Ok(())
}

fn observe(counted: &Arc<Counted>) {
    let meter = opentelemetry::global::meter("selvage.checkout");
    let observed = counted.clone();
    meter
        .u64_observable_gauge("selvage.orders")
        .with_unit("{order}")
        .with_description("Orders in a state that they should soon leave.")
        .with_callback(move |instrument| {
            let pending = observed.pending.load(Ordering::Relaxed);
            instrument.observe(pending, &[KeyValue::new("state", State::Pending.word())]);
        })
        .build();
    let observed = counted.clone();
    meter
        .u64_observable_gauge("selvage.orders.standing")
        .with_unit("{order}")
        .with_description(
            "Orders that haven't changed for a quarter of an hour, and aren't at rest; a thousand at the most.",
        )
        .with_callback(move |instrument| instrument.observe(observed.standing.load(Ordering::Relaxed), &[]))
        .build();
}
