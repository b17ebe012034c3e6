//! Orders as they change, and how many are being placed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use selvage_boot::Life;

use super::Store;
use crate::domain::order::State;

/// How often the orders that are being placed are counted.
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

/// Counts the orders that are being placed again and again until the end of `life`.
pub(crate) async fn watch(store: Store, life: Life) {
    let pending = Arc::new(AtomicU64::new(0));
    let observed = pending.clone();
    opentelemetry::global::meter("selvage.checkout")
        .u64_observable_gauge("selvage.orders")
        .with_unit("{order}")
        .with_description("Orders in a state that they should soon leave.")
        .with_callback(move |instrument| {
            instrument.observe(observed.load(Ordering::Relaxed), &[KeyValue::new("state", State::Pending.word())]);
        })
        .build();
    while life.sleep(EVERY).await {
        match store.orders_pending().await {
            Ok(counted) => pending.store(counted, Ordering::Relaxed),
            // The sweep says so too, and the pool.
            Err(error) => tracing::debug!(error = %error, "orders can't be counted"),
        }
    }
}
