//! Connections that we ended and whose server may not know: their sockets died in silence, or were closed in the middle of
//! a statement that goes on. They stay charged to the pool until the server no longer shows them; a session that it still
//! shows is ended there. Compare <https://github.com/launchbadge/sqlx/issues/4349>, a pool that such sockets strand for
//! ever.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DbBackend, Statement};
use tokio::time::Instant;

use crate::connection::Backend;
use crate::gate::{Charge, Class};
use crate::keeper;
use crate::lease::Lease;
use crate::shared::Shared;
use crate::slot::Slot;
use crate::watch::Operation;

/// After this long no server shows a session any more whose client is gone: its keepalives give it up after
/// 10 + 3 × 5 s, its unanswered data after 25 s.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);
/// A session that is told to end takes some milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a connection to look with is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection that we ended.
pub(crate) struct Stranded {
    backend: Backend,
    /// `None` if its place was needed for looking after it.
    charge: Option<Charge<Slot>>,
    since: Instant,
}

impl Stranded {
    /// Keeps the place until the server is seen not to show `backend`.
    pub(crate) fn new(backend: Backend, charge: Charge<Slot>) -> Self {
        charge.strand();
        Self { backend, charge: Some(charge), since: Instant::now() }
    }
}

/// Looks after those that are stranded, until none is left.
pub(crate) async fn look_after(shared: Arc<Shared>) {
    loop {
        let sessions = sessions(&shared);
        if sessions.is_empty() || shared.is_closed() {
            return;
        }
        let operation = Operation { class: Class::Critical, ..shared.own("pool_stranded") };
        let pause = match shared.lease(operation, Some(Instant::now() + PATIENCE)).await {
            Ok(lease) => see_to(&shared, lease, &sessions).await,
            Err(_) => keeper::TICK,
        };
        tokio::time::sleep(pause).await;
    }
}

/// Those that are stranded, without those that no server can still show.
fn sessions(shared: &Shared) -> Vec<Backend> {
    let mut stranded = shared.stranded();
    stranded.retain(|stranded| {
        let forgotten = stranded.since.elapsed() > FORGOTTEN_AFTER;
        if forgotten {
            tracing::warn!(
                pool = shared.config.name,
                "a connection ended in silence, and the server couldn't be asked about it; it must be gone now"
            );
        }
        !forgotten
    });
    stranded.iter().map(|stranded| stranded.backend).collect()
}

/// Ends the sessions that the server still shows, and forgets those that it doesn't; returns when to look again.
async fn see_to(shared: &Shared, mut lease: Lease, sessions: &[Backend]) -> Duration {
    // Numbers that the server gave us, and nothing else.
    let values: Vec<_> = sessions.iter().map(|session| session.to_sql()).collect();
    let sql = format!(
        "SELECT session.pid, pg_terminate_backend(session.pid) FROM pg_stat_activity AS session \
         JOIN (VALUES {}) AS stranded (pid, started) ON session.pid = stranded.pid AND {} = stranded.started",
        values.join(", "),
        Backend::started_sql("session")
    );
    match lease.query_all(&Statement::from_string(DbBackend::Postgres, sql)).await {
        Ok(rows) => {
            let there: Vec<i32> = rows.iter().filter_map(|row| row.try_get_by_index(0).ok()).collect();
            let is_gone = |session: Backend| sessions.contains(&session) && !there.contains(&session.pid());
            shared.stranded().retain(|stranded| !is_gone(stranded.backend));
            LOOK_AGAIN
        }
        Err(error) => {
            tracing::debug!(pool = shared.config.name, error = %error, "stranded connections can't be looked after");
            keeper::TICK
        }
    }
}

/// With every place stranded there is nothing to ask the server with, and nothing to serve with either: one place is used
/// again at once. Only then may the server show one connection more than the limit, until it has ended the others.
pub(crate) fn replace_one(shared: &Arc<Shared>) {
    let mut stranded = shared.stranded();
    let Some(oldest) = stranded.iter_mut().find(|stranded| stranded.charge.is_some()) else { return };
    if let Some(charge) = oldest.charge.take_if(|charge| charge.take_over()) {
        tokio::spawn(keeper::open(shared.clone(), charge));
    }
}
