//! After which failures a session is of no use any more.

use sqlx::Error;
use sqlx::postgres::PgDatabaseError;

use crate::failure::sqlstate;

/// Why a session is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Useless {
    /// Its wire is broken, or nobody knows what is on it. What was asked last may have been done.
    Broken,
    /// Somebody ended it at the other end and said so, perhaps a pooler, who doesn't know what became of what was asked last.
    HungUp,
    /// The server ended it, and with it what it was asked: nothing of that was done.
    Ended,
    /// The server ended it because it took too long, as it would again. Nothing was done.
    TooLong,
    /// Its server takes no writes, as one from which another took over. Nothing was done.
    ReadOnly,
    /// What was prepared in it isn't any more: a table has changed, or another session answers in its place, a pooler's.
    /// Nothing was done.
    Outdated,
}

impl Useless {
    /// What `error` says of its session; `None` if that is as good as before.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => Some(Self::Broken),
            Error::Database(_) => Self::of_state(&sqlstate(error)?, error),
            _ => None,
        }
    }

    fn of_state(state: &str, error: &Error) -> Option<Self> {
        match state {
            // Idle for too long in a transaction, a transaction that took too long.
            "25P03" | "25P04" => Some(Self::TooLong),
            // Terminated, shutting down, starting up, database dropped, idle for too long; 57014 only ends a statement.
            ended if ended.starts_with("57P") => Some(Self::Ended),
            hung_up if hung_up.starts_with("08") => Some(Self::HungUp),
            "25006" => Some(Self::ReadOnly),
            // There is no such prepared statement; there is one already.
            "26000" | "42P05" => Some(Self::Outdated),
            // "cached plan must not change result type", which other languages say in other words.
            "0A000" if routine(error) == Some("RevalidateCachedQuery") => Some(Self::Outdated),
            _ => None,
        }
    }

    /// Whether the other end has ended it.
    pub(crate) fn is_ended_there(self) -> bool {
        matches!(self, Self::HungUp | Self::Ended | Self::TooLong)
    }

    /// Whether what was asked last may have been done.
    pub(crate) fn may_be_done(self) -> bool {
        matches!(self, Self::Broken | Self::HungUp)
    }

    /// Whether what was asked last wasn't done, and may be in another session.
    pub(crate) fn may_be_asked_again(self) -> bool {
        matches!(self, Self::Ended | Self::ReadOnly | Self::Outdated)
    }
}

/// The server's function that failed.
fn routine(error: &Error) -> Option<&str> {
    error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.routine()
}
