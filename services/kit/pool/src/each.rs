//! Rows that are read each by itself, so that one that is damaged stands in no other's way.

use std::fmt;
use std::sync::LazyLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use sea_orm::{QueryResult, TryGetable};

use crate::StoreError;

static PASSED_OVER: LazyLock<Counter<u64>> = LazyLock::new(|| {
    crate::meters::meter()
        .u64_counter("selvage.rows.passed_over")
        .with_unit("{row}")
        .with_description("How often work went on without a row that is damaged.")
        .build()
});
const TABLE: &str = "table";

/// What was read of rows, in their order.
#[derive(Debug)]
pub struct Each<T> {
    /// Of those that can be read.
    pub read: Vec<T>,
    /// The others, each with the reason.
    pub damaged: Vec<(QueryResult, StoreError)>,
}

impl<T> Each<T> {
    /// Reads each of `rows`.
    pub fn of<E: Into<StoreError>>(rows: Vec<QueryResult>, read: impl Fn(&QueryResult) -> Result<T, E>) -> Self {
        let mut each = Self { read: Vec::with_capacity(rows.len()), damaged: Vec::new() };
        for row in rows {
            match read(&row) {
                Ok(value) => each.read.push(value),
                Err(error) => each.damaged.push((row, error.into())),
            }
        }
        each
    }

    /// Leaves the damaged rows of `table` out, each [named](passed_over) by what it has in the column `key`.
    pub fn or_pass_over(self, table: &'static str, key: &str) -> Vec<T> {
        // A series that begins with its first damaged row would rise from nothing to one, which no rate shows.
        PASSED_OVER.add(0, &[KeyValue::new(TABLE, table)]);
        for (row, why) in &self.damaged {
            passed_over(table, name(row, key), why);
        }
        self.read
    }
}

/// The first column of each row, for those who ask for nothing else. A row whose value is of another kind is passed over.
pub fn each_first<T: TryGetable>(table: &'static str, rows: Vec<QueryResult>) -> Vec<T> {
    Each::of(rows, |row| row.try_get_by_index::<T>(0)).or_pass_over(table, "")
}

/// Says in the log and in `selvage.rows.passed_over` that a row of `table` is damaged, and that the work went on without it.
pub fn passed_over(table: &'static str, row: impl fmt::Display, why: &StoreError) {
    tracing::error!(table, row = %row, error = %why, "a row is damaged; it is passed over, and the others go on");
    PASSED_OVER.add(1, &[KeyValue::new(TABLE, table)]);
}

/// A row's name in the log: its key, as far as that can be read.
fn name(row: &QueryResult, key: &str) -> String {
    let id = row.try_get::<uuid::Uuid>("", key).map(|id| id.to_string());
    let id = id.or_else(|_| row.try_get::<i64>("", key).map(|number| number.to_string()));
    id.or_else(|_| row.try_get::<String>("", key)).unwrap_or_else(|_| "its key can't be read either".to_owned())
}
