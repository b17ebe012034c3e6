//! What a pooler between us and the server breaks, found when a pool is opened.

use std::sync::Arc;

use sea_orm::{DbBackend, DbErr, Statement};
use tokio::time::Instant;

use crate::failure::{SHARED_SESSIONS, describe};
use crate::gate::Class;
use crate::lease::Lease;
use crate::state::State;
use crate::{OpenError, acquire};

/// How a session has come to its time-out, and what it is in milliseconds. What is said when a session begins comes from the client.
const SETTINGS: &str = "SELECT source, setting::bigint FROM pg_settings WHERE name = 'statement_timeout'";
const PID: &str = "SELECT pg_backend_pid()";
/// A pooler hands out first what came back last, unless another client was faster.
const LOOKS: u32 = 3;

/// Names what of a session's settings is dropped, and refuses a pooler that shares sessions out by transactions.
///
/// PgBouncer takes no settings at the beginning of a session, so that a server which has them is the database's own.
///
/// # Errors
/// [`OpenError::Config`] if transactions are given one another's sessions. [`OpenError::Connect`] if the server doesn't answer.
pub(crate) async fn check(pool: &Arc<State>, first: &mut Lease) -> Result<(), OpenError> {
    if pool.options.backend() != DbBackend::Postgres {
        return Ok(());
    }
    let failed = |error: &DbErr| OpenError::connect(&pool.config.name, error);
    let statement = Statement::from_string(DbBackend::Postgres, SETTINGS);
    let Some(row) = first.query_one(&statement).await.map_err(|error| failed(&error))? else { return Ok(()) };
    let source: Option<String> = row.try_get_by_index(0).map_err(|error| failed(&error))?;
    let in_force: Option<i64> = row.try_get_by_index(1).map_err(|error| failed(&error))?;
    if source.as_deref() == Some("client") {
        return Ok(());
    }
    match are_sessions_shared(pool, first).await {
        Ok(false) => {}
        Err(error) if describe(&error) != Some(SHARED_SESSIONS) => return Err(failed(&error)),
        Ok(true) | Err(_) => return Err(pool.config.wrong(SHARED_SESSIONS.to_owned())),
    }
    let wanted = pool.config.statement_timeout.as_millis();
    if in_force.and_then(|ms| u128::try_from(ms).ok()) != Some(wanted) {
        tracing::warn!(
            pool = pool.config.name,
            wanted_ms = u64::try_from(wanted).unwrap_or(u64::MAX),
            in_force_ms = in_force,
            "a pooler drops what is set for a session: let an administrator of the server run ALTER ROLE … SET statement_timeout, \
             idle_in_transaction_session_timeout and client_connection_check_interval"
        );
    }
    Ok(())
}

/// Whether a transaction over another connection is in the session of `first`. That needs a second connection; a pool that may
/// open only one doesn't find out.
async fn are_sessions_shared(pool: &Arc<State>, first: &mut Lease) -> Result<bool, DbErr> {
    if pool.gate.look().limits.limit < 2 {
        return Ok(false);
    }
    let until = Instant::now() + pool.config.connect_timeout;
    // Without another one nothing can be told, and whoever needs one is told why there is none.
    let Ok(mut second) = acquire::within(pool, State::own("pool_open", Class::Normal), until).await else {
        return Ok(false);
    };
    for _ in 0..LOOKS {
        let mine = pid(first).await?;
        second.begin("BEGIN").await?;
        if mine == pid(&mut second).await? {
            return Ok(true);
        }
        second.roll_back().await?;
    }
    Ok(false)
}

async fn pid(lease: &mut Lease) -> Result<Option<i32>, DbErr> {
    let row = lease.query_one(&Statement::from_string(DbBackend::Postgres, PID)).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}
