//! A raw connection with what has to be known of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::connection::{Backend, Connection};

/// A connection, as the gate hands it out.
pub(crate) struct Slot {
    pub(crate) connection: Connection,
    /// What the server calls it; SQLite has no server.
    pub(crate) backend: Option<Backend>,
    /// Which password it was made with.
    pub(crate) credentials: u64,
    /// When it is to be replaced.
    pub(crate) expires: Option<Instant>,
}

impl Slot {
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
