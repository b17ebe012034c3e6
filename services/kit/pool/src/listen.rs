//! PostgreSQL's notifications, on a connection of their own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sea_orm::DbBackend;
use sqlx::Executor as _;
use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::backoff::Backoff;
use crate::options::Options;
use crate::state::State;
use crate::{Pool, failure};

/// After so much silence the server is asked whether it is there: one that went away without a word would be believed in
/// for ever, and all that was announced in the meantime missed.
const SILENCE: Duration = Duration::from_secs(1);
/// How long it may take to answer that. What is announced is missed for at most 1 s + 1 s unnoticed.
const ANSWER: Duration = Duration::from_secs(1);
/// Pauses between attempts: the replicas which lost the same server come back apart, and each at most 1 s after it.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// What a [`Listener`] hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// From here on nothing is missed. What was announced before may have been.
    Listening,
    /// A transaction that announced this was committed.
    Notified(String),
    /// From here on, or since up to 2 s ago, what is announced is missed; until it listens again.
    Lost,
}

/// Listens on one channel, on one connection beside its pool's. Makes it anew when it is lost.
pub struct Listener {
    channel: &'static str,
    state: Arc<State>,
    wire: Option<Wire>,
    /// Attempts since it was last connected.
    failures: u32,
    /// The database has nothing to listen to.
    deaf: bool,
}

/// A connection that listens. sqlx's listener wants a pool of sqlx's: it has this one connection.
struct Wire {
    listener: PgListener,
    pool: sqlx::PgPool,
    counted: Counted,
}

/// One in the count of connections.
struct Counted(Arc<AtomicU32>);

impl Counted {
    fn start(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// Listens on `channel`, which is a plain name. With SQLite, which announces nothing, and on a server without LISTEN, which
    /// is named in the log, it never hears anything.
    ///
    /// The connection isn't one of the pool's `limit`, but one of its `listeners`; the pool's snapshot counts it.
    pub fn listen(&self, channel: &'static str) -> Listener {
        let deaf = self.backend() == DbBackend::Sqlite;
        Listener { channel, state: self.state().clone(), wire: None, failures: 0, deaf }
    }
}

impl Listener {
    /// Waits for what happens next. Tries for ever to get a connection; a failure to is logged once until it has one.
    ///
    /// Whoever drops the future loses what it heard, and must begin with a new listener.
    pub async fn next(&mut self) -> Event {
        if self.deaf {
            return std::future::pending().await;
        }
        if let Some(wire) = &mut self.wire {
            if let Some(payload) = wire.hear().await {
                return Event::Notified(payload);
            }
            self.hang_up();
            return Event::Lost;
        }
        // What listens is one of the connections that a broker counts.
        self.state.gate.allowed().await;
        loop {
            tokio::time::sleep(PAUSES.pause(self.failures, (self.state.config.chance)())).await;
            let counted = Counted::start(&self.state.listening);
            let connecting = Wire::connect(&self.state.options, self.channel, counted);
            match tokio::time::timeout(self.state.config.connect_timeout, connecting).await {
                Ok(Ok(wire)) => {
                    (self.wire, self.failures) = (Some(wire), 0);
                    return Event::Listening;
                }
                Ok(Err(error)) if is_unsupported(&error) => {
                    tracing::warn!(
                        pool = self.state.config.name,
                        channel = self.channel,
                        error = %error,
                        "the database has no LISTEN: what is announced isn't heard, and isn't tried to be again"
                    );
                    self.deaf = true;
                    return std::future::pending().await;
                }
                Ok(Err(error)) => self.failed(&error),
                Err(elapsed) => self.failed(&elapsed),
            }
        }
    }

    fn failed(&mut self, error: &dyn fmt::Display) {
        if self.failures == 0 {
            tracing::warn!(channel = self.channel, error = %error, "the database can't be listened to; trying again");
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Closes the connection in the background: a server that is gone takes no good-bye.
    fn hang_up(&mut self) {
        let Some(Wire { listener, pool, counted }) = self.wire.take() else { return };
        drop(listener);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // Returns when the connection is gone.
            pool.close().await;
            drop(counted);
        });
    }
}

/// The server and whoever counts hear that it is over.
impl Drop for Listener {
    fn drop(&mut self) {
        self.hang_up();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl Wire {
    async fn connect(options: &Options, channel: &'static str, counted: Counted) -> Result<Self, sqlx::Error> {
        let (options, _) = options.postgres()?.ok_or_else(failure::closed)?;
        let pool =
            PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        // We connect again ourselves, when the listener's owner has heard that it was lost.
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        listener.listen(channel).await?;
        Ok(Self { listener, pool, counted })
    }

    /// The next notification; `None` if the connection is lost.
    async fn hear(&mut self) -> Option<String> {
        loop {
            match tokio::time::timeout(SILENCE, self.listener.try_recv()).await {
                Ok(Ok(Some(notification))) => return Some(notification.payload().to_owned()),
                Ok(Ok(None) | Err(_)) => return None,
                Err(_silence) => {
                    let asked = tokio::time::timeout(ANSWER, self.listener.execute("SELECT 1")).await;
                    if !matches!(asked, Ok(Ok(_))) {
                        return None;
                    }
                }
            }
        }
    }
}

/// Whether the server has no LISTEN, so that it is of no use to try again: it doesn't know the word or the feature.
fn is_unsupported(error: &sqlx::Error) -> bool {
    matches!(failure::sqlstate(error).as_deref(), Some("0A000" | "42601"))
}
