//! A pool's limit, and who may change it.
//!
//! It has three owners. What the service was configured with counts until there is a grant; the newest grant counts until a fault
//! is started on purpose; when that ends, the newest grant or configuration counts, as they are by then. Each says a limit
//! from the pool's floor to its ceiling. A fault's is never more than what is granted.

use std::sync::Arc;

use crate::gate::{FaultId, Grant, GrantId, LimitError, Look};
use crate::pool::Pool;
use crate::state::State;

/// What became of the newest grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantStatus {
    /// Which one it is.
    pub id: GrantId,
    /// Connections that it allows.
    pub limit: u32,
    /// Connections that exist, whatever their state.
    pub open: u32,
}

impl GrantStatus {
    /// Whether no more connections are open than it allows, so that its broker may give what is left to another pool.
    pub fn is_acknowledged(&self) -> bool {
        self.open <= self.limit
    }

    fn of(look: &Look) -> Option<Self> {
        look.granted.map(|grant| Self { id: grant.id, limit: grant.limit, open: look.counts.open() })
    }
}

impl Pool {
    /// Configures another limit; beyond the pool's floor or ceiling it becomes that bound. Returns the limit that is in force:
    /// while there is a grant or a fault, that is theirs. More connections are made when they are needed. Of those that are
    /// too many the idle ones are closed now, the others when they come back: [`Pool::settled`] waits for that.
    pub fn set_limit(&self, limit: u32) -> u32 {
        let state = self.state();
        changing(state, || state.gate.set_limit(limit))
    }

    /// Takes a grant of a broker, who shares the server's connections out. It counts before the configuration from now on.
    /// [`Pool::settled`] waits until no more connections are open than it allows, [`Pool::grant_status`] tells.
    ///
    /// # Errors
    /// [`LimitError::Older`] if a newer grant is known: the giver isn't the leader any more, and is to be told.
    /// [`LimitError::Contradiction`] if the same grant said another number before. [`LimitError::OutOfBounds`] if it isn't
    /// within the pool's floor and ceiling. The limit stays as it was.
    pub fn grant_limit(&self, grant: Grant) -> Result<(), LimitError> {
        let state = self.state();
        changing(state, || state.gate.grant(grant))
    }

    /// The newest grant, and how many connections are open beside it; `None` if there was none.
    pub fn grant_status(&self) -> Option<GrantStatus> {
        GrantStatus::of(&self.state().gate.look())
    }

    /// Sets a limit that counts before all others, until the value is dropped: for drills. What then counts is what the
    /// configuration or the newest grant says by then. One that was set before gives way to it for good. While a grant
    /// allows less, that counts.
    ///
    /// # Errors
    /// [`LimitError::OutOfBounds`] if it isn't within the pool's floor and ceiling. The limit stays as it was.
    pub fn override_limit(&self, limit: u32) -> Result<LimitOverride, LimitError> {
        let state = self.state();
        let fault = changing(state, || state.gate.begin_fault(limit))?;
        Ok(LimitOverride { state: state.clone(), fault })
    }

    /// Resolves once the limit is above zero: at once, unless the pool [awaits its first grant](crate::Config::awaits_grant).
    pub async fn allowed(&self) {
        self.state().gate.allowed().await;
    }

    /// Resolves when somebody begins to wait for a connection, and when nobody does any more (5 ms later at the most); the turn of
    /// SQLite's writer isn't one. What happened while nobody awaited this is told once, to the next who does. For one at a
    /// time.
    pub async fn waiting_changed(&self) {
        self.state().gate.waiting_changed().await;
    }

    /// Resolves once no more connections are open than the limit allows; the server's sessions follow within a second.
    pub async fn settled(&self) {
        self.state().gate.settled().await;
    }
}

/// A pool's limit as a fault has set it; over when this is dropped.
#[must_use = "the limit is what it was when this is dropped"]
pub struct LimitOverride {
    state: Arc<State>,
    fault: FaultId,
}

impl Drop for LimitOverride {
    fn drop(&mut self) {
        changing(&self.state, || self.state.gate.end_fault(self.fault));
    }
}

/// Says in the log what a change of the limit has changed.
fn changing<R>(state: &State, change: impl FnOnce() -> R) -> R {
    let before = state.gate.look();
    let result = change();
    let now = state.gate.look();
    if (before.limits.limit, before.owner) != (now.limits.limit, now.owner) {
        tracing::info!(
            pool = state.config.name,
            before = before.limits.limit,
            now = now.limits.limit,
            owner = now.owner.name(),
            "the pool's limit was changed"
        );
    }
    result
}
