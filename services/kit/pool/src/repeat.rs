//! Doing again what the database asks to be done again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sea_orm::DbErr;
use selvage_context::deadline;

use crate::backoff::Backoff;
use crate::state::State;
use crate::{failure, sql};

/// How often a transaction or a statement is tried: five conflicts in a row mean a hot row, not bad luck.
const ATTEMPTS: u32 = 5;
/// The pause before trying again: up to 2, 4, 8, 16 ms, long enough for the other to commit. Four pauses are 30 ms at the most.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(16));

/// Waits until it may be tried again after so many failures; `false`, at once, if it has been tried often enough, or its
/// caller's deadline is nearer.
pub(crate) async fn is_to_be_tried_again(pool: &State, failures: u32) -> bool {
    let pause = PAUSES.pause(failures, (pool.config.chance)());
    let in_time = deadline::remaining().is_none_or(|left| left > pause);
    if failures >= ATTEMPTS || !in_time {
        return false;
    }
    pool.totals.retries.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(pause).await;
    true
}

/// A statement outside a transaction has failed. Waits until it may be tried again, if it may.
///
/// That is so where the server says that a conflict undid it (40001, 40P01), and it is by itself one transaction, which a
/// procedure or a block of code needn't be: then nothing has happened. SQLite has waited for its file already.
///
/// # Errors
/// `error`, if it isn't to be done again.
pub(crate) async fn after_failure(pool: &State, text: &str, error: DbErr, failures: u32) -> Result<(), DbErr> {
    let may = failure::is_undone_conflict(&error) && sql::is_one_transaction(text);
    if may && is_to_be_tried_again(pool, failures).await { Ok(()) } else { Err(error) }
}
