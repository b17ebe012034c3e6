//! Ends the sessions of stranded connections at the server, and frees their slots once it doesn't show them.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DbBackend, Statement};
use tokio::time::Instant;

use crate::connection::SessionId;
use crate::gate::Class;
use crate::lease::Lease;
use crate::state::State;
use crate::{acquire, connect};

/// A session that is told to end takes some milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The pause after the server couldn't be asked.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How long a connection to look with is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sees to it that stranded connections are looked after.
pub(crate) fn tend(pool: &Arc<State>) {
    replace_one(pool);
    if pool.stranded.needs_tending() {
        let pool = pool.clone();
        tokio::spawn(async move {
            look_after(&pool).await;
            pool.stranded.untended();
        });
    }
}

/// Looks after those that are stranded, until none is left.
async fn look_after(pool: &Arc<State>) {
    loop {
        let (sessions, forgotten) = pool.stranded.sessions();
        if forgotten > 0 {
            tracing::warn!(
                pool = pool.config.name,
                connections = forgotten,
                "connections ended in silence, and the server couldn't be asked about them; they must be gone now"
            );
        }
        if sessions.is_empty() || pool.is_closed() {
            return;
        }
        let operation = State::own("pool_stranded", Class::Critical);
        let pause = match acquire::within(pool, operation, Instant::now() + PATIENCE).await {
            Ok(lease) => end(pool, lease, &sessions).await,
            Err(_) => ASK_AGAIN,
        };
        tokio::time::sleep(pause).await;
    }
}

/// Ends the sessions that the server still shows, and frees the slots of those that it doesn't; returns when to look again.
async fn end(pool: &State, mut lease: Lease, sessions: &[SessionId]) -> Duration {
    // Numbers that the server gave us, and nothing else.
    let values: Vec<_> = sessions.iter().map(|session| session.to_sql()).collect();
    let sql = format!(
        "SELECT session.pid, pg_terminate_backend(session.pid) FROM pg_stat_activity AS session \
         JOIN (VALUES {}) AS stranded (pid, started) ON session.pid = stranded.pid AND {} = stranded.started",
        values.join(", "),
        SessionId::started_sql("session")
    );
    match lease.query_all(&Statement::from_string(DbBackend::Postgres, sql)).await {
        Ok(rows) => {
            let there: Vec<i32> = rows.iter().filter_map(|row| row.try_get_by_index(0).ok()).collect();
            pool.stranded.free(|session| sessions.contains(&session) && !there.contains(&session.pid()));
            LOOK_AGAIN
        }
        Err(error) => {
            tracing::debug!(pool = pool.config.name, error = %error, "stranded connections can't be looked after");
            ASK_AGAIN
        }
    }
}

/// With every slot stranded there is nothing to ask the server with, and nothing to serve with either: one slot is used
/// again at once. Only then may the server show one connection more than the limit, until it has ended the others.
fn replace_one(pool: &Arc<State>) {
    if let Some(slot) = pool.stranded.take_over() {
        tokio::spawn(connect::open(pool.clone(), slot));
    }
}
