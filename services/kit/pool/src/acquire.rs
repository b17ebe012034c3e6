//! How a caller gets a connection that lives.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr};
use tokio::time::Instant;

use crate::failure::{self, conn_error};
use crate::gate::{Reason, Refusal};
use crate::lease::Lease;
use crate::state::State;
use crate::watch::Operation;
use crate::{holding, sql};

/// A connection for the statement `text` alone.
pub(crate) async fn for_statement(pool: &Arc<State>, operation: Operation, text: &str) -> Result<Lease, DbErr> {
    if pool.writer.get().is_some() && !sql::only_reads(text) {
        return to_write(pool, operation).await;
    }
    holding::refuse_second(pool)?;
    let _wait = pool.waits.start();
    within(pool, operation, pool.patience(operation.class)).await
}

/// A connection to write with, or for a transaction. On SQLite it comes with the writer's turn, which is waited for first, so
/// that those who wait for it hold no connection that a reader could use.
pub(crate) async fn to_write(pool: &Arc<State>, operation: Operation) -> Result<Lease, DbErr> {
    holding::refuse_second(pool)?;
    let (_wait, asked) = (pool.waits.start(), Instant::now());
    let until = pool.patience(operation.class);
    let Some(writer) = pool.writer.get() else { return within(pool, operation, until).await };
    let span = pool.spans.wait(&operation);
    let turn = match writer.acquire(operation.class, until).await {
        Ok(turn) => turn,
        Err(refusal) => {
            span.failed(refusal.reason.name());
            return Err(failure::refused(refusal));
        }
    };
    span.ended();
    let mut lease = since(asked, pool, operation, until).await?;
    lease.writer = Some(turn);
    Ok(lease)
}

/// A connection that lives, by `until`.
pub(crate) fn within(
    pool: &Arc<State>,
    operation: Operation,
    until: Instant,
) -> impl Future<Output = Result<Lease, DbErr>> + Send {
    since(Instant::now(), pool, operation, until)
}

/// The same for a caller that has been waiting since `asked`.
async fn since(asked: Instant, pool: &Arc<State>, operation: Operation, until: Instant) -> Result<Lease, DbErr> {
    let span = pool.spans.wait(&operation);
    let mut lent = pool.gate.acquire(operation.class, until).await;
    loop {
        let pooled = match lent {
            Ok(pooled) => pooled,
            Err(refusal) => {
                span.failed(refusal.reason.name());
                return Err(refused(pool, refusal));
            }
        };
        let mut lease = Lease::new(pool.clone(), pooled, operation);
        if lease.is_current() && (lease.is_fresh() || lease.is_alive(until).await) {
            span.ended();
            pool.meters.waited(asked.elapsed());
            return Ok(lease);
        }
        drop(lease);
        lent = pool.gate.acquire_again(operation.class, until).await;
    }
}

/// The refusal, or what keeps the pool from connecting if it has no connection at all.
fn refused(pool: &State, refusal: Refusal) -> DbErr {
    let counts = pool.gate.look().counts;
    let without = refusal.reason.is_want() && counts.idle + counts.lent == 0;
    if refusal.reason != Reason::Unreachable && !without {
        return failure::refused(refusal);
    }
    match pool.reachability.last_error() {
        Some(error) => DbErr::Conn(RuntimeErr::SqlxError(error)),
        None => conn_error(failure::silent("take a connection", pool.config.max_wait)),
    }
}
