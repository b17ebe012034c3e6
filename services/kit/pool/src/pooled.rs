//! A raw connection with what the pool has to know of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::connection::{Connection, SessionId};

/// A connection, as the gate hands it out.
pub(crate) struct Pooled {
    pub(crate) connection: Connection,
    /// Its session at the server; SQLite has no server.
    pub(crate) session: Option<SessionId>,
    /// Which password it was made with.
    pub(crate) credentials: u64,
    /// Of which generation of sessions it is.
    pub(crate) generation: u64,
    pub(crate) opened: Instant,
    /// When it was last seen that its server is as wanted.
    pub(crate) checked: Instant,
    /// When it is to be replaced.
    pub(crate) expires: Option<Instant>,
}

impl Pooled {
    /// Whether it has reached its age, or is of a generation before `current`.
    pub(crate) fn is_expired(&self, current: u64) -> bool {
        self.generation != current || self.expires.is_some_and(|expires| Instant::now() >= expires)
    }

    /// Says good-bye and waits for it, at most for `bound`. Whether the other side took it.
    pub(crate) async fn close(self, bound: Duration) -> bool {
        match tokio::time::timeout(bound, self.connection.close()).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::debug!(error = %error, "a connection ended without a good-bye"),
            Err(_) => tracing::debug!("a connection's peer didn't take the good-bye"),
        }
        false
    }
}
