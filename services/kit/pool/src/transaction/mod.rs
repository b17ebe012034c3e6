//! Transactions: run by name and class, done again when the database asks for it, measured.

mod orm;
mod savepoint;
mod tx;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry::trace::{FutureExt as _, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use sea_orm::DbErr;
use selvage_context::{deadline, lease};
use selvage_conventions::{db, error};
use tokio::time::Instant;
use tracing::Instrument as _;

pub use self::tx::Tx;
use crate::holding;
use crate::state::State;
use crate::watch::Operation;

/// How often a transaction is tried: five conflicts in a row mean a hot row, not bad luck.
const ATTEMPTS: u32 = 5;
/// The pause before trying again, doubled each time: 2, 4, 8, 16 ms, long enough for the other to commit.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// Runs `work` in a transaction, again if the database asks for it.
pub(crate) async fn run<T, E, F, Fut>(pool: &Arc<State>, operation: Operation, work: F) -> Result<T, E>
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<DbErr> + Send,
{
    let span = tracing::debug_span!(
        "transaction",
        pool = pool.config.name,
        name = operation.name,
        class = operation.class.name(),
        outcome = tracing::field::Empty,
        retries = tracing::field::Empty,
        wait_us = tracing::field::Empty,
        use_us = tracing::field::Empty,
    );
    let traced = pool.spans.transaction(&operation);
    let seen = Seen::within(traced.clone());
    let work = attempts(pool, operation, seen, work).instrument(span);
    match traced {
        Some(context) => work.with_context(context).await,
        None => work.await,
    }
}

async fn attempts<T, E, F, Fut>(pool: &Arc<State>, operation: Operation, mut seen: Seen, work: F) -> Result<T, E>
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<DbErr> + Send,
{
    let mut attempt = 1;
    loop {
        let asked = Instant::now();
        let begun = Tx::begin(pool, operation).await;
        let began = Instant::now();
        seen.wait += began - asked;
        let tx = match begun {
            Ok(tx) => tx,
            Err(error) => {
                seen.outcome = "not_begun";
                return Err(error.into());
            }
        };
        let result = holding::scope(pool, lease::holding(work(tx.clone()))).await;
        let ended = match result {
            Ok(value) => tx.end_with_commit().await.map(|()| value).map_err(E::from),
            Err(error) => {
                tx.roll_back().await;
                Err(error)
            }
        };
        let retry_asked = tx.give_back().await;
        drop(tx);
        seen.used += began.elapsed();
        match ended {
            Ok(value) => {
                seen.outcome = "committed";
                pool.totals.transactions.fetch_add(1, Ordering::Relaxed);
                return Ok(value);
            }
            Err(error) => {
                seen.outcome = "failed";
                let pause = FIRST_PAUSE * 2_u32.pow(attempt - 1);
                let in_time = deadline::remaining().is_none_or(|left| left > pause);
                if !retry_asked || attempt == ATTEMPTS || !in_time {
                    return Err(error);
                }
                pool.totals.retries.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause).await;
                seen.outcome = "cancelled";
                seen.retries = attempt;
                attempt += 1;
            }
        }
    }
}

/// What the transaction's spans are told at its end, which may be anywhere: its future may be dropped.
struct Seen {
    traced: Option<Context>,
    outcome: &'static str,
    retries: u32,
    wait: Duration,
    used: Duration,
}

impl Seen {
    fn within(traced: Option<Context>) -> Self {
        Self { traced, outcome: "cancelled", retries: 0, wait: Duration::ZERO, used: Duration::ZERO }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        tracing::Span::current()
            .record("outcome", self.outcome)
            .record("retries", self.retries)
            .record("wait_us", micros(self.wait))
            .record("use_us", micros(self.used));
        if let Some(context) = &self.traced {
            let span = context.span();
            span.set_attribute(KeyValue::new(db::TRANSACTION_OUTCOME, self.outcome));
            if self.retries > 0 {
                span.set_attribute(KeyValue::new(db::TRANSACTION_RETRIES, i64::from(self.retries)));
            }
            if self.outcome != "committed" {
                span.set_attribute(KeyValue::new(error::TYPE, self.outcome));
            }
            span.end();
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
