//! What a pool measures as it happens, by OpenTelemetry's conventions for connection pools.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use selvage_conventions::{SECONDS, db};

/// The meter of all pools.
pub(crate) fn meter() -> Meter {
    opentelemetry::global::meter("selvage.pool")
}

/// What is recorded as it happens.
pub(crate) struct Meters {
    pool: [KeyValue; 1],
    create_time: Histogram<f64>,
    wait_time: Histogram<f64>,
    use_time: Histogram<f64>,
}

impl Meters {
    pub(crate) fn new(pool: &str) -> Self {
        let meter = meter();
        let histogram = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        Self {
            pool: [KeyValue::new(db::POOL_NAME, pool.to_owned())],
            create_time: histogram("db.client.connection.create_time", "The time it took to create a new connection."),
            wait_time: histogram(
                "db.client.connection.wait_time",
                "The time it took to obtain an open connection from the pool.",
            ),
            use_time: histogram(
                "db.client.connection.use_time",
                "The time between borrowing a connection and returning it to the pool.",
            ),
        }
    }

    pub(crate) fn created(&self, took: Duration) {
        self.create_time.record(took.as_secs_f64(), &self.pool);
    }

    pub(crate) fn waited(&self, took: Duration) {
        self.wait_time.record(took.as_secs_f64(), &self.pool);
    }

    pub(crate) fn used(&self, took: Duration) {
        self.use_time.record(took.as_secs_f64(), &self.pool);
    }
}
