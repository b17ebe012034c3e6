use sea_orm::DbErr;

use crate::lease::Lease;
use crate::pool::Pool;

/// A connection that is held and not used, until the value is dropped: for drills of what that does to others.
pub struct Hold(#[expect(dead_code, reason = "it is given back when it is dropped")] Lease);

impl Pool {
    /// Takes a connection only to keep it.
    ///
    /// # Errors
    /// As any caller, by name and class: a [refusal](crate::refusal), or what keeps the pool from connecting.
    pub async fn hold(&self) -> Result<Hold, DbErr> {
        let _wait = self.shared().waits.start();
        self.shared().lease(self.operation(), None).await.map(Hold)
    }
}
