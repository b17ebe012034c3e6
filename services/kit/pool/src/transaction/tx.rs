//! A transaction's handle.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use sea_orm::{AccessMode, DbBackend, DbErr, IsolationLevel, RuntimeErr, TransactionError, TransactionSession as _};
use selvage_context::lease::Held;
use tokio::sync::{Mutex, MutexGuard};

use super::savepoint::{Savepoint, Savepoints};
use crate::lease::Lease;
use crate::repeat::Again;
use crate::state::State;
use crate::watch::Operation;
use crate::{acquire, failure};

/// A transaction's handle. Clones are the same transaction; it ends with the closure that it was given to.
#[derive(Clone)]
pub struct Tx {
    shared: Arc<Shared>,
    /// The savepoint that this handle is, if it isn't the transaction itself.
    savepoint: Option<Arc<Savepoint>>,
}

struct Shared {
    backend: DbBackend,
    /// `None` once the transaction has ended.
    lease: Mutex<Option<Lease>>,
    savepoints: Arc<Savepoints>,
}

impl Tx {
    /// BEGIN on a connection of the pool.
    pub(crate) async fn begin(pool: &Arc<State>, operation: Operation) -> Result<Self, DbErr> {
        let backend = pool.options.backend();
        // SQLite's plain BEGIN takes the file's lock at the first write, and fails there if another was quicker.
        let sql = if backend == DbBackend::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let mut lease = acquire::to_write(pool, operation).await?;
        let mut begun = lease.begin(sql).await;
        // A connection that died while it was idle shows it only now; nothing was done on it yet.
        if lease.is_broken() {
            drop(lease);
            lease = acquire::to_write(pool, operation).await?;
            begun = lease.begin(sql).await;
        }
        begun?;
        lease.held = Some(Held::start());
        Ok(Self {
            shared: Arc::new(Shared { backend, lease: Mutex::new(Some(lease)), savepoints: Arc::default() }),
            savepoint: None,
        })
    }

    /// Sets what only a transaction's first statement may set.
    pub(crate) async fn configure(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<(), DbErr> {
        // SQLite has one isolation level, serializable, and takes no SET TRANSACTION.
        if self.shared.backend != DbBackend::Postgres {
            return Ok(());
        }
        let mut settings = Vec::new();
        settings.extend(isolation_level.map(|level| format!("ISOLATION LEVEL {level}")));
        settings.extend(access_mode.map(|mode| mode.to_string()));
        if settings.is_empty() {
            return Ok(());
        }
        let sql = format!("SET TRANSACTION {}", settings.join(" "));
        self.lease().await?.get()?.control(&sql).await.map_err(exec_error)
    }

    /// Runs `callback`, then commits, or rolls back if it failed.
    pub(crate) async fn finish<F, T, E>(self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        match callback(&self).await {
            Ok(value) => self.commit().await.map(|()| value).map_err(TransactionError::Connection),
            Err(error) => {
                self.rollback().await.map_err(TransactionError::Connection)?;
                Err(TransactionError::Transaction(error))
            }
        }
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.shared.backend
    }

    /// The connection for a statement of this handle, with savepoints that were left without a word rolled back.
    pub(super) async fn lease(&self) -> Result<Locked<'_>, DbErr> {
        let mut locked = Locked(self.shared.lease.lock().await);
        if let Some(id) = self.shared.savepoints.abandoned() {
            locked.get()?.back_to(id).await?;
            // Only now: if this future is dropped before, the next one does it.
            self.shared.savepoints.ended(id);
        }
        // PostgreSQL refuses by itself what comes after a failure. On SQLite it would be done outside the transaction.
        if self.shared.backend == DbBackend::Sqlite
            && let Some(why) = locked.get()?.given_up()
        {
            return Err(failure::given_up(why));
        }
        Ok(locked)
    }

    // --- the transaction as a whole ----------------------------------------------------------------------------------

    /// COMMIT; if there is nothing left to commit, ROLLBACK and the reason.
    pub(super) async fn end_with_commit(&self) -> Result<(), DbErr> {
        let committed = match self.lease().await {
            Ok(mut locked) => locked.get()?.commit().await,
            Err(error) => Err(error),
        };
        if committed.is_err() {
            self.roll_back().await;
        }
        committed
    }

    /// ROLLBACK, if there is still something to roll back.
    pub(super) async fn roll_back(&self) {
        let mut locked = self.shared.lease.lock().await;
        // What can't be rolled back is closed when the lease is dropped, which rolls it back.
        let Some(lease) = locked.as_mut().filter(|lease| !lease.is_broken()) else { return };
        if let Err(error) = lease.roll_back().await {
            tracing::debug!(error = %error, "a transaction ends with its connection");
        }
    }

    /// Whether the server said of a statement that it doesn't know whether that was done.
    pub(super) async fn is_outcome_unknown(&self) -> bool {
        self.shared.lease.lock().await.as_ref().is_some_and(Lease::is_outcome_unknown)
    }

    /// Gives the connection back; whether the transaction may be done again.
    pub(super) async fn give_back(&self) -> Again {
        self.shared.lease.lock().await.take().map_or(Again::Never, |lease| lease.again())
    }

    pub(super) async fn commit_whole(&self) -> Result<(), DbErr> {
        let ended = self.end_with_commit().await;
        self.give_back().await;
        ended
    }

    pub(super) async fn roll_back_whole(&self) -> Result<(), DbErr> {
        let ended = self.end_with_rollback().await;
        self.give_back().await;
        ended
    }

    async fn end_with_rollback(&self) -> Result<(), DbErr> {
        Locked(self.shared.lease.lock().await).get()?.roll_back().await
    }

    // --- a savepoint of it -------------------------------------------------------------------------------------------

    pub(super) fn is_savepoint(&self) -> bool {
        self.savepoint.is_some()
    }

    /// A new savepoint.
    pub(super) async fn begin_savepoint(&self) -> Result<Tx, DbErr> {
        let id = self.shared.savepoints.next_id();
        let mut locked = self.lease().await?;
        locked.get()?.control(&format!("SAVEPOINT s{id}")).await.map_err(exec_error)?;
        let savepoint = self.shared.savepoints.begun(id);
        Ok(Tx { shared: self.shared.clone(), savepoint: Some(Arc::new(savepoint)) })
    }

    pub(super) async fn release_savepoint(&self) -> Result<(), DbErr> {
        let Some(savepoint) = &self.savepoint else { return Ok(()) };
        let sql = format!("RELEASE SAVEPOINT s{}", savepoint.id());
        let mut locked = self.lease().await?;
        locked.get()?.control(&sql).await.map_err(exec_error)?;
        self.shared.savepoints.ended(savepoint.id());
        Ok(())
    }

    pub(super) async fn roll_back_savepoint(&self) -> Result<(), DbErr> {
        let Some(savepoint) = &self.savepoint else { return Ok(()) };
        let mut locked = Locked(self.shared.lease.lock().await);
        locked.get()?.back_to(savepoint.id()).await?;
        self.shared.savepoints.ended(savepoint.id());
        Ok(())
    }
}

impl Lease {
    /// Begins a transaction by `sql`.
    pub(crate) async fn begin(&mut self, sql: &str) -> Result<(), DbErr> {
        self.in_transaction = true;
        let begun = self.control(sql).await;
        self.in_transaction = begun.is_ok();
        begun.map_err(exec_error)
    }

    pub(crate) async fn roll_back(&mut self) -> Result<(), DbErr> {
        self.control("ROLLBACK").await.map_err(exec_error)?;
        self.in_transaction = false;
        Ok(())
    }

    async fn back_to(&mut self, savepoint: u32) -> Result<(), DbErr> {
        self.control(&format!("ROLLBACK TO SAVEPOINT s{savepoint}")).await.map_err(exec_error)?;
        self.failure_undone();
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), DbErr> {
        if let Some(why) = self.given_up() {
            return Err(failure::given_up(why));
        }
        let Err(error) = self.control("COMMIT").await else {
            self.in_transaction = false;
            return Ok(());
        };
        // What may have been committed isn't done again, whatever was seen before.
        if self.is_cut_off() || self.is_outcome_unknown() {
            self.set_outcome_unknown();
            return Err(failure::outcome_unknown("committed", &error));
        }
        Err(exec_error(error))
    }
}

fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

/// The connection of a transaction, which is gone once the transaction has ended.
pub(super) struct Locked<'a>(MutexGuard<'a, Option<Lease>>);

impl Locked<'_> {
    pub(super) fn get(&mut self) -> Result<&mut Lease, DbErr> {
        self.0.as_mut().ok_or_else(|| DbErr::Conn(RuntimeErr::Internal("the transaction has ended".into())))
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let savepoint = self.savepoint.as_ref().map(|savepoint| savepoint.id());
        f.debug_struct("Tx").field("savepoint", &savepoint).finish_non_exhaustive()
    }
}
