//! A pool's handle.

mod orm;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DbBackend, DbErr};
use tokio::time::Instant;

use crate::gate::Class;
use crate::options::Options;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::transaction::{self, Tx};
use crate::uses::Use;
use crate::waits::Waits;
use crate::watch::{LongHeld, Operation};
use crate::writer::Writer;
use crate::{Config, OpenError, acquire, keeper, metrics, pooler, server};

/// How long a pool that closes waits for those inside: 4 × the 5 s that a statement may take by default. Who holds a
/// connection for longer is not waited for; it is closed when it comes back.
const CLOSE_WAIT: Duration = Duration::from_secs(20);

/// A pool, under the name and class that its statements go by. Clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    state: Arc<State>,
    operation: Operation,
}

impl Pool {
    /// Opens a pool, with one connection to see that the database answers; those of the floor follow, the rest come when
    /// they are needed. Its metrics go to OpenTelemetry's global meter provider, which must be set before.
    ///
    /// # Errors
    /// [`OpenError::Config`] if the tuning makes no sense by itself or beside what the server allows: it says which number is to be
    /// changed. [`OpenError::Address`] if the address is wrong. [`OpenError::Connect`] if the database doesn't answer
    /// or refuses us: it says what a person can do. To try again makes sense for the last alone.
    #[track_caller]
    pub fn open(config: Config) -> impl Future<Output = Result<Self, OpenError>> + Send {
        let operation = Operation { name: "unnamed", class: Class::Normal, site: Location::caller() };
        Self::open_for(config, operation)
    }

    async fn open_for(config: Config, operation: Operation) -> Result<Self, OpenError> {
        let pool = Self::prepare(config, operation)?;
        if let Err(error) = pool.reach().await {
            pool.state.close();
            return Err(error);
        }
        metrics::observe(&pool.state);
        Ok(pool)
    }

    /// A pool that hasn't asked for a connection yet. If it [awaits a grant](Config::awaits_grant), it makes none before that,
    /// and whoever asks it for one waits. [`Pool::reach`] is what remains to be done. To be called within a tokio runtime.
    ///
    /// # Errors
    /// As [`Pool::open`], but for [`OpenError::Connect`].
    #[track_caller]
    pub fn unopened(config: Config) -> Result<Self, OpenError> {
        let operation = Operation { name: "unnamed", class: Class::Normal, site: Location::caller() };
        let pool = Self::prepare(config, operation)?;
        metrics::observe(&pool.state);
        Ok(pool)
    }

    fn prepare(config: Config, operation: Operation) -> Result<Self, OpenError> {
        config.validate()?;
        let options = Options::new(&config)?;
        let state = Arc::new(State::new(config, options));
        tokio::spawn(keeper::keep(Arc::downgrade(&state), state.gate.clone()));
        Ok(Self { state, operation })
    }

    /// Waits until the pool may make connections, makes the first one, and looks at what the server gives. The pool is open
    /// then. After a failure this may be tried again.
    ///
    /// # Errors
    /// [`OpenError::Config`] if the tuning makes no sense beside what the server allows, [`OpenError::Connect`] if the database
    /// doesn't answer or refuses us.
    pub async fn reach(&self) -> Result<(), OpenError> {
        self.state.gate.allowed().await;
        first_connection(&self.state).await?;
        if let Some(file) = self.state.options.file() {
            self.state.writer.get_or_init(|| Writer::of(&file));
        }
        Ok(())
    }

    /// The same pool, for statements that go by `name` and `class`. Names are few and constant: see [how to name an
    /// operation](crate#how-to-name-an-operation).
    #[must_use]
    #[track_caller]
    pub fn named(&self, name: &'static str, class: Class) -> Self {
        Self { operation: Operation { name, class, site: Location::caller() }, ..self.clone() }
    }

    /// Runs `work` in a transaction: BEGIN, `work`, COMMIT; ROLLBACK if it fails. On PostgreSQL at READ COMMITTED; on
    /// SQLite as the one writer.
    ///
    /// If the database asks for it (a serialization failure, a deadlock, a busy file) all of it is done again, up to
    /// five times and not beyond the caller's deadline, so `work` must be such that it can be. It must not call other
    /// services: a connection is held.
    ///
    /// # Errors
    /// `work`'s own error, after the roll-back; otherwise a [`DbErr`], of which [`kind`](crate::kind) tells what it is to the
    /// caller. A [refusal](crate::refusal) means that there was no connection in time, and says when to come again.
    /// [`Kind::OutcomeUnknown`](crate::Kind::OutcomeUnknown) means that it may have been committed: look before it is done
    /// again. After every other error nothing was committed.
    #[track_caller]
    pub fn run_tx<T, E, F, Fut>(
        &self,
        name: &'static str,
        class: Class,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<DbErr> + Send,
    {
        let (state, operation) = (self.state.clone(), Operation { name, class, site: Location::caller() });
        async move { transaction::run(&state, operation, work).await }
    }

    /// The kind of database.
    pub fn backend(&self) -> DbBackend {
        self.state.options.backend()
    }

    /// The pool at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.state)
    }

    /// From now on each statement takes longer by `delay`, with its connection held, as if the network had become slow: for
    /// drills. Returns what it was before.
    pub fn delay_statements(&self, delay: Duration) -> Duration {
        self.state.latency.set(delay)
    }

    /// How long callers have waited for a connection, since the pool was opened.
    pub fn waits(&self) -> Waits {
        self.state.waits.so_far()
    }

    /// The operations that hold a connection for longer than `long_lease` now.
    pub fn long_held(&self) -> Vec<LongHeld> {
        self.state.holders.long(self.state.config.long_lease).collect()
    }

    /// How often and for how long a connection was used since the pool was opened, by operation; at most 65 of them.
    pub fn uses(&self) -> Vec<Use> {
        self.state.uses.so_far()
    }

    /// The operation that holds a connection for longest now.
    pub fn longest_held(&self) -> Option<LongHeld> {
        self.state.holders.longest()
    }

    /// The tuning that it was opened with.
    pub fn config(&self) -> &Config {
        &self.state.config
    }

    /// Refuses new callers, waits for those inside, at most 20 s, and closes every connection. For tests, and programs
    /// that go on without the pool: a service that stops has no caller left, and its connections end with it.
    pub async fn close(&self) {
        let state = &self.state;
        let _ = tokio::time::timeout(CLOSE_WAIT, state.gate.drained()).await;
        state.close();
        // What is still in use isn't waited for again.
        let _ = tokio::time::timeout(state.config.connect_timeout, state.gate.emptied()).await;
    }

    /// The name and class that statements and transactions go by, and where that was said.
    pub(crate) fn operation(&self) -> Operation {
        self.operation
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }
}

/// Makes the first connection, and looks at what the server gives.
async fn first_connection(state: &Arc<State>) -> Result<(), OpenError> {
    // Nobody waits for it yet: it may take what a connection may, and a little for the keeper.
    let until = Instant::now() + state.options.longest_connect(state.config.connect_timeout) + keeper::TICK;
    match acquire::within(state, State::own("pool_open", Class::Normal), until).await {
        Ok(mut first) => {
            pooler::check(state, &mut first).await?;
            server::check_room(state, &mut first).await
        }
        Err(error) => Err(OpenError::connect(&state.config.name, &error)),
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.state.config.name).field("snapshot", &self.snapshot()).finish()
    }
}
