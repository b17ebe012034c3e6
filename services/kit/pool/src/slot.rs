//! A connection, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::connection::Connection;

/// A connection that counts as open from before it is made until it is gone, wherever the future that owns it is dropped.
pub(crate) struct Slot {
    // Before the count: fields are dropped in this order.
    pub(crate) connection: Connection,
    open: Open,
}

impl Slot {
    pub(crate) fn new(connection: Connection, open: Open) -> Self {
        Self { connection, open }
    }

    /// Says good-bye and waits for it, at most for `bound`; the socket is closed all the same.
    pub(crate) async fn close(self, bound: Duration) {
        let Self { connection, open } = self;
        match tokio::time::timeout(bound, connection.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error = %error, "a connection ended without a good-bye"),
            Err(_) => tracing::debug!("a connection's peer didn't take the good-bye"),
        }
        drop(open);
    }

    /// Closes without a word, because the state of the wire isn't known; waits for a server at most for `bound`.
    pub(crate) async fn close_hard(self, bound: Duration) {
        let Self { connection, open } = self;
        connection.close_hard(bound).await;
        drop(open);
    }
}

/// One in the count of open connections.
pub(crate) struct Open(Arc<AtomicU32>);

impl Open {
    pub(crate) fn start(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
