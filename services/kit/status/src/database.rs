use std::time::Duration;

use selvage_pool::sea_orm::DbErr;
use selvage_pool::{Kind, StoreError};

use crate::{Error, ErrorCode};

/// What a caller is told to wait when the pool refused: as long as it would have waited, within bounds. Less would come
/// back to the same queue; a forecast of more than some seconds is none.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A database's failure. What is ours to look into is INTERNAL; all else passes by itself or by the operator's hand, and
/// its code says whether the same request may be sent again at once.
impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let words = selvage_pool::in_words(&error);
        let told = |code, reason, message: &str| Self::new(code, message).reason(reason);
        let forecast = selvage_pool::refusal(&error).map_or(RETRY_AFTER.0, |refusal| refusal.forecast);
        let retry_after = forecast.clamp(RETRY_AFTER.0, RETRY_AFTER.1);
        match selvage_pool::kind(&error) {
            Kind::Busy => {
                let error =
                    told(ErrorCode::ResourceExhausted, "POOL_EXHAUSTED", "the shop is very busy; try again shortly");
                error.retry_after(retry_after)
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

/// A store's failure: what is damaged is ours to look into.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(error) => error.into(),
            StoreError::Damaged { .. } => Self::internal(error),
        }
    }
}
