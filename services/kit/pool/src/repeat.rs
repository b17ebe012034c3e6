//! Doing again what has come to nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sea_orm::{DbBackend, DbErr};
use selvage_context::deadline;

use crate::backoff::Backoff;
use crate::sql;
use crate::state::State;

/// How often a transaction or a statement is tried: five conflicts in a row mean a hot row, not bad luck.
const ATTEMPTS: u32 = 5;
/// The pause before trying again: up to 2, 4, 8, 16 ms, long enough for the other to commit. Four pauses are 30 ms at the most.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(16));

/// Whether what has failed may be done again, because nothing of it has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It may have happened, or would fail again.
    Never,
    /// The database asks for it: others were faster.
    Conflict,
    /// Its session was of no use, and another one may be.
    Elsewhere,
}

/// How often something was tried.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    failures: u32,
    /// It was tried in another session. A second one that is of no use either isn't chance.
    elsewhere: bool,
}

impl Tries {
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// It has failed. Waits until it may be tried again; `false`, at once, if it may not, has been tried often enough, or its
    /// caller's deadline is nearer.
    pub(crate) async fn is_to_be_tried_again(&mut self, pool: &State, again: Again) -> bool {
        self.failures += 1;
        let pause = match again {
            Again::Never => return false,
            Again::Elsewhere if std::mem::replace(&mut self.elsewhere, true) => return false,
            Again::Elsewhere => Duration::ZERO,
            Again::Conflict => PAUSES.pause(self.failures, (pool.config.chance)()),
        };
        let in_time = deadline::remaining().is_none_or(|left| left > pause);
        if self.failures >= ATTEMPTS || !in_time {
            return false;
        }
        pool.totals.retries.fetch_add(1, Ordering::Relaxed);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        true
    }

    /// A statement outside a transaction has failed with `error`. Waits until it may be tried again, if it may.
    ///
    /// That is so where it is by itself one transaction, which a procedure or a block of code needn't be: then nothing has
    /// happened. SQLite has waited for its file already.
    ///
    /// # Errors
    /// `error`, if it isn't to be done again.
    pub(crate) async fn after_failure(
        &mut self,
        pool: &State,
        text: &str,
        again: Again,
        error: DbErr,
    ) -> Result<(), DbErr> {
        let may = pool.options.backend() == DbBackend::Postgres && sql::is_one_transaction(text);
        if may && self.is_to_be_tried_again(pool, again).await { Ok(()) } else { Err(error) }
    }
}
