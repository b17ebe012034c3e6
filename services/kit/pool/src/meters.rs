//! What a pool measures as it happens, by OpenTelemetry's conventions for connection pools, and its transactions by name.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use selvage_conventions::{SECONDS, db};

use crate::watch::Operation;

/// Names of operations that a pool counts apart. A service has some twenty; of six pools with 64 names and five outcomes each
/// come 1,920 series, and OpenTelemetry's library keeps 2,000 of one metric.
const MAX_OPERATIONS: usize = 64;

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
    transactions: TransactionMeters,
}

struct TransactionMeters {
    operations: Names,
    wait_time: Histogram<f64>,
    use_time: Histogram<f64>,
    ended: Counter<u64>,
    repeated: Counter<u64>,
}

impl Meters {
    pub(crate) fn new(pool: &str) -> Self {
        let meter = meter();
        let histogram = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_unit("{transaction}").with_description(description).build()
        };
        Self {
            pool: [KeyValue::new(db::POOL_NAME, std::sync::Arc::<str>::from(pool))],
            create_time: histogram("db.client.connection.create_time", "The time it took to create a new connection."),
            wait_time: histogram(
                "db.client.connection.wait_time",
                "The time it took to obtain an open connection from the pool.",
            ),
            use_time: histogram(
                "db.client.connection.use_time",
                "The time between borrowing a connection and returning it to the pool.",
            ),
            transactions: TransactionMeters {
                operations: Names::default(),
                wait_time: histogram(
                    db::TRANSACTION_WAIT_TIME,
                    "The time until a transaction had begun, all attempts together.",
                ),
                use_time: histogram(
                    db::TRANSACTION_USE_TIME,
                    "The time that a transaction held a connection, all attempts together.",
                ),
                ended: counter(db::TRANSACTIONS_ENDED, "Transactions that have ended, by outcome."),
                repeated: counter(
                    db::TRANSACTIONS_REPEATED,
                    "How often transactions were done again because the database asked for it.",
                ),
            },
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

    /// A transaction has ended. `used` is `None` if it never began.
    pub(crate) fn transaction(
        &self,
        operation: &Operation,
        outcome: &'static str,
        repeated: u32,
        waited: Duration,
        used: Option<Duration>,
    ) {
        let of = &self.transactions;
        let [pool] = &self.pool;
        let which = [
            pool.clone(),
            KeyValue::new(db::OPERATION, of.operations.bounded(operation.name)),
            KeyValue::new(db::CLASS, operation.class.name()),
            KeyValue::new(db::OUTCOME, outcome),
        ];
        of.ended.add(1, &which);
        let which = &which[..3];
        // Also nothing is added, so that each name has its series before the first conflict.
        of.repeated.add(repeated.into(), which);
        of.wait_time.record(waited.as_secs_f64(), which);
        if let Some(used) = used {
            of.use_time.record(used.as_secs_f64(), which);
        }
    }
}

/// The names that are counted apart: those that came first.
#[derive(Debug, Default)]
struct Names(RwLock<Vec<&'static str>>);

impl Names {
    fn bounded(&self, name: &'static str) -> &'static str {
        let known = |names: &[&'static str]| names.contains(&name);
        if known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return name;
        }
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known(&names) {
            return name;
        }
        if names.len() >= MAX_OPERATIONS {
            return db::OTHER_OPERATION;
        }
        names.push(name);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_apart_up_to_a_bound() {
        let names = Names::default();
        let made_up = |number: usize| -> &'static str { format!("operation_{number}").leak() };
        for number in 0..MAX_OPERATIONS {
            assert_eq!(names.bounded(made_up(number)), made_up(number));
        }
        assert_eq!(names.bounded("one_too_many"), db::OTHER_OPERATION);
        assert_eq!(names.bounded(made_up(7)), "operation_7", "those that are known stay so");
    }
}
