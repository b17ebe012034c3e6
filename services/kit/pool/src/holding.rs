//! Of which pools the code that runs now holds a connection: a caller that waits for a second connection of a pool while it
//! holds the first can wait for itself.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr};
use tokio::task::futures::TaskLocalFuture;

use crate::state::State;

tokio::task_local! {
    /// The pools, by address, the innermost last.
    static HOLDING: Vec<usize>;
}

fn identity(pool: &Arc<State>) -> usize {
    Arc::as_ptr(pool).addr()
}

/// Runs `work`, which holds a connection of `pool`.
pub(crate) fn scope<F: Future>(pool: &Arc<State>, work: F) -> TaskLocalFuture<Vec<usize>, F> {
    let mut pools = HOLDING.try_with(Clone::clone).unwrap_or_default();
    pools.push(identity(pool));
    HOLDING.scope(pools, work)
}

/// Refuses a caller that holds a connection of `pool` already.
pub(crate) fn refuse_second(pool: &Arc<State>) -> Result<(), DbErr> {
    let holds = HOLDING.try_with(|pools| pools.contains(&identity(pool))).unwrap_or(false);
    if holds {
        let message = format!(
            "pool '{}': a second connection was asked for within a transaction, and could be waited for for ever: use the \
             transaction's own handle",
            pool.config.name
        );
        debug_assert!(false, "{message}");
        return Err(DbErr::Conn(RuntimeErr::Internal(message)));
    }
    Ok(())
}
