use std::time::Duration;

use sea_orm::DbErr;

use crate::{Error, ErrorCode};

/// What a caller is told to wait when the pool refused: about the time in which a full queue moves on by its half.
const POOL_RETRY_AFTER: Duration = Duration::from_millis(250);

/// A database's failure: a pool that has no place is overload, a connection that broke is unavailability, all else is
/// our fault.
impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::ConnectionAcquire(_) => {
                Self::new(ErrorCode::ResourceExhausted, "the shop is very busy; try again shortly")
                    .reason("POOL_EXHAUSTED")
                    .retry_after(POOL_RETRY_AFTER)
                    .source(error)
            }
            DbErr::Conn(_) => Self::unavailable("the database", error),
            _ => Self::internal(error),
        }
    }
}
