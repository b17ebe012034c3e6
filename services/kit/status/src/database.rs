use std::time::Duration;

use selvage_pool::Kind;
use selvage_pool::sea_orm::DbErr;

use crate::{Error, ErrorCode};

/// What a caller is told to wait when the pool refused: about the time in which a full queue moves on by its half.
const POOL_RETRY_AFTER: Duration = Duration::from_millis(250);

/// A database's failure. What is ours to look into is INTERNAL; all else passes by itself or by the operator's hand, and
/// its code says whether the same request may be sent again at once.
impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let words = selvage_pool::in_words(&error);
        let told = |code, reason, message: &str| Self::new(code, message).reason(reason);
        match selvage_pool::kind(&error) {
            Kind::Busy => {
                let error =
                    told(ErrorCode::ResourceExhausted, "POOL_EXHAUSTED", "the shop is very busy; try again shortly");
                error.retry_after(POOL_RETRY_AFTER)
            }
            Kind::Unreachable => {
                told(ErrorCode::Unavailable, "DATABASE_UNREACHABLE", "the database can't be reached now; try again")
            }
            // Not UNAVAILABLE, which channels try again at once: it would take as long, and make what is slow slower.
            Kind::Timeout => {
                told(ErrorCode::DeadlineExceeded, "STATEMENT_TIMEOUT", "this took too long; try again shortly")
            }
            Kind::Conflict => {
                told(ErrorCode::Aborted, "CONFLICT", "others changed the same at the same time; try again")
            }
            Kind::NoRoom => {
                told(ErrorCode::Unavailable, "NO_ROOM", "the shop has no room for anything new; try again later")
            }
            // As when the wire to a service breaks: channels repeat what is idempotent, and nothing else.
            Kind::OutcomeUnknown => told(
                ErrorCode::Unavailable,
                "OUTCOME_UNKNOWN",
                "whether this was done isn't known; look before you try again",
            ),
            Kind::Other => return Self::internal(words),
        }
        .source(words)
    }
}
