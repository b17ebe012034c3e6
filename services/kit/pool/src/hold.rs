use sea_orm::DbErr;

use crate::acquire;
use crate::lease::Lease;
use crate::pool::Pool;

/// A connection that is held and not used, until the value is dropped: for drills of what that does to others.
#[must_use = "the connection is given back when this is dropped"]
pub struct Hold(#[expect(dead_code, reason = "it is given back when it is dropped")] Lease);

impl Pool {
    /// Takes a connection only to keep it.
    ///
    /// # Errors
    /// A [refusal](crate::refusal) if no connection was free in time: its forecast says when to come again. Otherwise what
    /// keeps the pool from connecting; it goes on trying by itself.
    pub async fn hold(&self) -> Result<Hold, DbErr> {
        let _wait = self.state().waits.start();
        let until = self.state().patience(self.operation().class);
        acquire::within(self.state(), self.operation(), until).await.map(Hold)
    }
}
