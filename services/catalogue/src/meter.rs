//! What the catalogue measures: answers from memory, how new they are, and stock that wasn't there.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Weak};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use crate::grpc::CachedReads;
use crate::index::Index;
use crate::store::Changes;

/// Lets it be observed how often answers came from memory.
pub(crate) fn observe(cached: &Arc<CachedReads>) {
    let cached: Weak<CachedReads> = Arc::downgrade(cached);
    opentelemetry::global::meter("selvage.catalogue")
        .u64_observable_counter("selvage.cache.lookups")
        .with_unit("{lookup}")
        .with_description("How often an answer was in memory (hit) or was not (miss).")
        .with_callback(move |instrument| {
            let Some(cached) = cached.upgrade() else { return };
            for (cache, counts) in [("products", cached.products.counts()), ("listings", cached.listings.counts())] {
                let missed = counts.misses.load(Ordering::Relaxed) + counts.bypassed.load(Ordering::Relaxed);
                for (outcome, count) in [("hit", counts.hits.load(Ordering::Relaxed)), ("miss", missed)] {
                    instrument.observe(count, &[KeyValue::new("cache", cache), KeyValue::new("outcome", outcome)]);
                }
            }
        })
        .build();
}

/// Lets it be observed how far behind the database answers from memory may be.
pub(crate) fn observe_changes(changes: &Changes) {
    let changes = changes.clone();
    opentelemetry::global::meter("selvage.catalogue")
        .f64_observable_gauge("selvage.changes.behind")
        .with_unit("s")
        .with_description("How long ago the database was asked for the changes that were heard of last.")
        .with_callback(move |instrument| {
            if let Some(behind) = changes.behind() {
                instrument.observe(behind.as_secs_f64(), &[]);
            }
        })
        .build();
}

/// Lets it be observed how many products the index has, and how far behind the database it may be.
pub(crate) fn observe_index(index: &Index) {
    let meter = opentelemetry::global::meter("selvage.catalogue");
    let (products, behind) = (index.clone(), index.clone());
    meter
        .u64_observable_gauge("selvage.index.products")
        .with_unit("{product}")
        .with_description("How many products listings and searches know.")
        .with_callback(move |instrument| instrument.observe(products.products(), &[]))
        .build();
    meter
        .f64_observable_gauge("selvage.index.behind")
        .with_unit("s")
        .with_description("For how long listings and searches may lack what was changed.")
        .with_callback(move |instrument| {
            if let Some(behind) = behind.behind() {
                instrument.observe(behind.as_secs_f64(), &[]);
            }
        })
        .build();
}

/// A reservation was refused because there wasn't enough.
pub(crate) fn out_of_stock() {
    static REFUSED: LazyLock<Counter<u64>> = LazyLock::new(|| {
        opentelemetry::global::meter("selvage.catalogue")
            .u64_counter("selvage.stock.refused")
            .with_unit("{reservation}")
            .with_description("Reservations refused because there was not enough in stock.")
            .build()
    });
    REFUSED.add(1, &[]);
}
