//! What is known of a transaction at its end, for metrics and traces.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use selvage_conventions::{db, error};

use crate::state::State;
use crate::watch::Operation;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    /// Nothing was committed.
    Failed,
    /// Whether it was committed isn't known.
    Unknown,
    /// There was no connection, or no BEGIN.
    NotBegun,
    /// Whoever wanted it went away.
    Cancelled,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::NotBegun => "not_begun",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A transaction's measurements, recorded when this is dropped: its end may be anywhere, for its future may be dropped.
pub(super) struct Measured {
    pool: Arc<State>,
    operation: Operation,
    /// Its span, if its trace is recorded.
    traced: Option<Context>,
    pub(super) outcome: Outcome,
    pub(super) retries: u32,
    pub(super) waited: Duration,
    /// `None` until it has begun.
    pub(super) used: Option<Duration>,
}

impl Measured {
    pub(super) fn start(pool: &Arc<State>, operation: Operation, traced: Option<Context>) -> Self {
        Self {
            pool: pool.clone(),
            operation,
            traced,
            outcome: Outcome::Cancelled,
            retries: 0,
            waited: Duration::ZERO,
            used: None,
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let outcome = self.outcome.name();
        self.pool.meters.transaction(&self.operation, outcome, self.retries, self.waited, self.used);
        if let Some(context) = &self.traced {
            let span = context.span();
            span.set_attribute(KeyValue::new(db::TRANSACTION_OUTCOME, outcome));
            if self.retries > 0 {
                span.set_attribute(KeyValue::new(db::TRANSACTION_RETRIES, i64::from(self.retries)));
            }
            if self.outcome != Outcome::Committed {
                span.set_attribute(KeyValue::new(error::TYPE, outcome));
            }
            span.end();
        }
    }
}
