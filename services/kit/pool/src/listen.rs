//! PostgreSQL's notifications, on a connection of their own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::{DbBackend, DbErr, Statement};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Error, Executor as _};
use tokio::time::{Instant, timeout};

use crate::backoff::Backoff;
use crate::gate::Class;
use crate::servers::Session;
use crate::state::State;
use crate::wanted::Role;
use crate::{Pool, acquire, boot_id, failure};

/// After so much silence the server is asked whether it is there: one that went away without a word would be believed in
/// for ever, and all that was announced in the meantime missed.
const SILENCE: Duration = Duration::from_secs(1);
/// How long it may take to answer that. What is announced is missed for at most 1 s + 1 s unnoticed.
const ANSWER: Duration = Duration::from_secs(1);
/// Pauses between attempts: the replicas which lost the same server come back apart, and each at most 1 s after it.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
/// The pause after nothing was heard: a pooler that keeps notifications from us stays what it is until somebody sets it otherwise.
const DEAF_PAUSE: Duration = Duration::from_secs(30);

/// Connections of this process that were tried out, so that each has a channel of its own for it.
static TRIED_OUT: AtomicU64 = AtomicU64::new(0);

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
    /// Attempts since it last heard.
    failures: u32,
    /// Nothing was heard at the last attempt.
    unheard: bool,
    /// The database has nothing to listen to.
    deaf: bool,
}

/// A connection to listen with. sqlx's listener wants a pool of sqlx's: it has this one connection.
struct Ear {
    listener: PgListener,
    pool: sqlx::PgPool,
}

/// A connection that listens.
struct Wire {
    ear: Ear,
    /// Of which generation of sessions it is.
    generation: u64,
    /// Notifications that came while it was tried out.
    heard: VecDeque<String>,
    /// A connection, and once it hears one that listens.
    counted: Vec<Counted>,
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
    /// Listens on `channel`, which is a plain name. It says that it listens once it has heard a notification that the pool sends
    /// to it over another connection: behind a pooler that shares sessions out by transactions LISTEN is taken, and nothing is
    /// ever heard. That is named in the log, and tried again each half a minute. With SQLite, which announces nothing, and on a
    /// server without LISTEN, which is named in the log, it never hears anything.
    ///
    /// The connection isn't one of the pool's `limit`, but one of its `listeners`; the pool's snapshot counts it.
    pub fn listen(&self, channel: &'static str) -> Listener {
        let deaf = self.backend() == DbBackend::Sqlite;
        Listener { channel, state: self.state().clone(), wire: None, failures: 0, unheard: false, deaf }
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
            if let Some(payload) = wire.hear(&self.state).await {
                return Event::Notified(payload);
            }
            self.hang_up();
            return Event::Lost;
        }
        // What listens is one of the connections that a broker counts.
        self.state.gate.allowed().await;
        loop {
            let pause = PAUSES.pause(self.failures, (self.state.config.chance)());
            tokio::time::sleep(if self.unheard { DEAF_PAUSE } else { pause }).await;
            match Wire::connect(&self.state, self.channel).await {
                Ok(wire) => {
                    self.wire = Some(wire);
                    if self.is_heard().await {
                        (self.failures, self.unheard) = (0, false);
                        return Event::Listening;
                    }
                    self.hang_up();
                }
                Err(error) if is_unsupported(&error) => {
                    tracing::warn!(
                        pool = self.state.config.name,
                        channel = self.channel,
                        error = %error,
                        "the database has no LISTEN: what is announced isn't heard, and isn't tried to be again"
                    );
                    self.deaf = true;
                    return std::future::pending().await;
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    /// Whether what the pool announces over another connection arrives; says why it doesn't.
    async fn is_heard(&mut self) -> bool {
        let Some(wire) = &mut self.wire else { return false };
        match wire.try_out(&self.state).await {
            Ok(true) => {
                wire.counted.push(Counted::start(&self.state.listening));
                return true;
            }
            Ok(false) => {
                if !std::mem::replace(&mut self.unheard, true) {
                    tracing::warn!(
                        pool = self.state.config.name,
                        channel = self.channel,
                        "nothing that is announced is heard, though the database takes LISTEN: a pooler gives each transaction \
                         another session; set its pool_mode to session, or let the address name the database's own server"
                    );
                }
            }
            Err(error) => self.failed(&error),
        }
        false
    }

    fn failed(&mut self, error: &dyn fmt::Display) {
        if self.failures == 0 {
            tracing::warn!(channel = self.channel, error = %error, "the database can't be listened to; trying again");
        }
        (self.failures, self.unheard) = (self.failures.saturating_add(1), false);
    }

    /// Closes the connection in the background: a server that is gone takes no good-bye.
    fn hang_up(&mut self) {
        let Some(Wire { ear, counted, .. }) = self.wire.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            ear.close().await;
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

impl Session for Ear {
    async fn make(options: PgConnectOptions) -> Result<Self, Error> {
        let one = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = one.connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        // We connect again ourselves, when the listener's owner has heard that it was lost.
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        Ok(Self { listener, pool })
    }

    async fn role(&mut self) -> Result<Role, Error> {
        Role::of(&mut self.listener).await
    }

    /// Returns when the connection is gone.
    async fn close(self) {
        drop(self.listener);
        self.pool.close().await;
    }
}

impl Wire {
    async fn connect(state: &State, channel: &'static str) -> Result<Self, Error> {
        let counted = vec![Counted::start(&state.listeners)];
        let generation = state.generation.current();
        let (mut ear, _) = state.options.session::<Ear>(state.config.connect_timeout).await?;
        let listening = timeout(state.config.connect_timeout, ear.listener.listen(channel)).await;
        listening.unwrap_or_else(|_| Err(failure::silent("take LISTEN", state.config.connect_timeout)))?;
        Ok(Self { ear, generation, heard: VecDeque::new(), counted })
    }

    /// Announces something over a connection of the pool, on a channel of its own, and waits for it.
    async fn try_out(&mut self, state: &Arc<State>) -> Result<bool, DbErr> {
        let own = format!("selvage_{}_{}", boot_id(), TRIED_OUT.fetch_add(1, Ordering::Relaxed));
        let listening = timeout(ANSWER, self.ear.listener.listen(&own)).await;
        listening.unwrap_or_else(|_| Err(failure::silent("take LISTEN", ANSWER))).map_err(failure::conn_error)?;
        // A crowded pool has a connection for it all the same: what isn't heard of makes it more crowded.
        let announcing = State::own("pool_announce", Class::Critical);
        let mut lease = acquire::within(state, announcing, Instant::now() + state.config.max_wait).await?;
        let announce =
            Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_notify($1, '')", [own.as_str().into()]);
        match lease.query_one(&announce).await {
            // It arrived where nobody listens: that connection and the listening one were given the same session.
            Err(error) if failure::is_stray_notification(&error) => return Ok(false),
            announced => drop(announced?),
        }
        drop(lease);
        let until = Instant::now() + ANSWER;
        while let Ok(heard) = tokio::time::timeout_at(until, self.ear.listener.try_recv()).await {
            match heard.map_err(failure::conn_error)? {
                Some(notification) if notification.channel() == own => {
                    let forgotten = timeout(ANSWER, self.ear.listener.unlisten(&own)).await;
                    forgotten
                        .unwrap_or_else(|_| Err(failure::silent("take UNLISTEN", ANSWER)))
                        .map_err(failure::conn_error)?;
                    return Ok(true);
                }
                Some(notification) => self.heard.push_back(notification.payload().to_owned()),
                None => return Err(failure::conn_error(failure::closed())),
            }
        }
        Ok(false)
    }

    /// The next notification; `None` if the connection is lost, or is to a server that isn't wanted any more.
    async fn hear(&mut self, state: &State) -> Option<String> {
        if let Some(heard) = self.heard.pop_front() {
            return Some(heard);
        }
        loop {
            match timeout(SILENCE, self.ear.listener.try_recv()).await {
                Ok(Ok(Some(notification))) => return Some(notification.payload().to_owned()),
                Ok(Ok(None) | Err(_)) => return None,
                Err(_silence) if self.generation != state.generation.current() => return None,
                Err(_silence) => {
                    if !matches!(timeout(ANSWER, self.ask(state)).await, Ok(Ok(true))) {
                        return None;
                    }
                }
            }
        }
    }

    /// Whether the server is there, and is as it is wanted.
    async fn ask(&mut self, state: &State) -> Result<bool, Error> {
        let wanted = state.options.wanted();
        if wanted.is_demanding() {
            return Ok(wanted.is(self.ear.role().await?));
        }
        self.ear.listener.execute("SELECT 1").await.map(|_| true)
    }
}

/// Whether the server has no LISTEN, so that it is of no use to try again: it doesn't know the word or the feature.
fn is_unsupported(error: &Error) -> bool {
    matches!(failure::sqlstate(error).as_deref(), Some("0A000" | "42601"))
}
