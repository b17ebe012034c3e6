//! Transactions: run by name and class, done again when the database asks for it, measured.

mod measured;
mod orm;
mod savepoint;
mod tx;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use opentelemetry::trace::FutureExt as _;
use sea_orm::DbErr;
use selvage_context::lease;
use tokio::time::Instant;

use self::measured::{Measured, Outcome};
pub use self::tx::Tx;
use crate::failure::is_outcome_unknown;
use crate::holding;
use crate::repeat::Tries;
use crate::state::State;
use crate::watch::Operation;

/// Runs `work` in a transaction, again if the database asks for it.
pub(crate) async fn run<T, E, F, Fut>(pool: &Arc<State>, operation: Operation, work: F) -> Result<T, E>
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<DbErr> + Send,
{
    let traced = pool.spans.transaction(&operation);
    let measured = Measured::start(pool, operation, traced.clone());
    let work = attempts(pool, operation, measured, work);
    match traced {
        Some(context) => work.with_context(context).await,
        None => work.await,
    }
}

async fn attempts<T, E, F, Fut>(
    pool: &Arc<State>,
    operation: Operation,
    mut measured: Measured,
    work: F,
) -> Result<T, E>
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<DbErr> + Send,
{
    let mut tries = Tries::default();
    loop {
        let asked = Instant::now();
        let begun = Tx::begin(pool, operation).await;
        let began = Instant::now();
        measured.waited += began - asked;
        let tx = match begun {
            Ok(tx) => tx,
            Err(error) => {
                measured.outcome = Outcome::NotBegun;
                return Err(error.into());
            }
        };
        let result = holding::scope(pool, lease::holding(work(tx.clone()))).await;
        let (ended, outcome) = match result {
            Ok(value) => match tx.end_with_commit().await {
                Ok(()) => (Ok(value), Outcome::Committed),
                Err(error) if is_outcome_unknown(&error) => (Err(error.into()), Outcome::Unknown),
                Err(error) => (Err(error.into()), Outcome::Failed),
            },
            Err(error) => {
                tx.roll_back().await;
                let outcome = if tx.is_outcome_unknown().await { Outcome::Unknown } else { Outcome::Failed };
                (Err(error), outcome)
            }
        };
        let again = tx.give_back().await;
        drop(tx);
        measured.used = Some(measured.used.unwrap_or_default() + began.elapsed());
        measured.outcome = outcome;
        match ended {
            Ok(value) => {
                pool.totals.transactions.fetch_add(1, Ordering::Relaxed);
                return Ok(value);
            }
            Err(error) => {
                if !tries.is_to_be_tried_again(pool, again).await {
                    return Err(error);
                }
                measured.outcome = Outcome::Cancelled;
                measured.retries = tries.failures();
            }
        }
    }
}
