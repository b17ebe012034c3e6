//! What a database's failure means.

use std::io;
use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, SqlErr};
use sqlx::Error;

use crate::ConfigError;
use crate::gate::Refusal;

/// Why a pool can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The tuning makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address can't be read. It isn't repeated, for it may bear a password.
    #[error("pool '{0}': the database address can't be read; it must be like postgres://user@host/database")]
    Address(String),
    /// The database doesn't answer, or refuses us.
    #[error("pool '{pool}': {why}")]
    Connect {
        /// The pool.
        pool: String,
        /// What is wrong, and what to do about it.
        why: String,
    },
}

impl OpenError {
    pub(crate) fn connect(pool: &str, error: &DbErr) -> Self {
        Self::Connect { pool: pool.to_owned(), why: in_words(error) }
    }
}

/// What a database's failure is to those whose work it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No connection was free in time: too much at once.
    Busy,
    /// The database isn't there: it doesn't answer, ended the connection, or takes no other.
    Unreachable,
    /// The database ended the statement, for it took too long.
    Timeout,
    /// Others were faster, however often it was tried.
    Conflict,
    /// The disk is full.
    NoRoom,
    /// The connection was lost while committing: see [`is_outcome_unknown`].
    OutcomeUnknown,
    /// All else, which is ours to look into: a wrong statement, an old schema, a damaged file.
    Other,
}

/// The kind of a failure.
pub fn kind(error: &DbErr) -> Kind {
    if let Some(refusal) = refusal(error) {
        return if refusal.reason.is_want() { Kind::Busy } else { Kind::Unreachable };
    }
    if is_outcome_unknown(error) {
        return Kind::OutcomeUnknown;
    }
    match sqlx_error(error).map_or(Kind::Other, kind_of_sqlx) {
        Kind::NoRoom => Kind::NoRoom,
        // Whatever keeps us from connecting: no password, no file.
        _ if matches!(error, DbErr::Conn(RuntimeErr::SqlxError(_))) => Kind::Unreachable,
        kind => kind,
    }
}

fn kind_of_sqlx(error: &Error) -> Kind {
    let Error::Database(database) = error else {
        return if is_broken(error) { Kind::Unreachable } else { Kind::Other };
    };
    if is_retryable(error) {
        return Kind::Conflict;
    }
    if let Some(code) = sqlite_code(database.as_ref()) {
        return if code == 13 { Kind::NoRoom } else { Kind::Other };
    }
    match database.code().unwrap_or_default().as_ref() {
        "57014" => Kind::Timeout,
        "53100" => Kind::NoRoom,
        "53300" => Kind::Unreachable,
        _ if is_broken(error) => Kind::Unreachable,
        _ => Kind::Other,
    }
}

/// A failure in words for the log, with what can be done about it if that is known.
pub fn in_words(error: &DbErr) -> String {
    describe(error).map_or_else(|| error.to_string(), |words| format!("{words} ({error})"))
}

/// A failure that the user of a program can do something about, in words for them.
pub fn describe(error: &DbErr) -> Option<&'static str> {
    if refusal(error).is_some() {
        return None;
    }
    let Error::Database(database) = sqlx_error(error)? else {
        return match sqlx_error(error)? {
            // The last is SeaORM's pool's, which migrates: it tries again where nobody listens, until its time is over.
            Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut => {
                Some("the database can't be reached; is it running, and is its address right?")
            }
            _ => None,
        };
    };
    let (code, message) = (database.code().unwrap_or_default(), database.message());
    if let Some(code) = sqlite_code(database.as_ref()) {
        return match code {
            5 | 6 => Some("the database file is in use by another program for longer than we wait"),
            8 => Some("the database file can't be written to; check its permissions and those of its folder"),
            10 => Some("the disk reported an error on the database file"),
            11 | 26 => Some("the database file is damaged; put it aside and restore it from a backup"),
            13 => Some("the disk is full; free some space, nothing that was confirmed is lost"),
            14 => Some("the database file can't be opened; check its folder and its permissions"),
            1 if message.starts_with("no such table") || message.starts_with("no such column") => Some(SCHEMA_MISSING),
            _ => None,
        };
    }
    match code.as_ref() {
        "28P01" | "28000" => Some("the database refuses this user or password"),
        "3D000" => Some("the database doesn't exist; create it first"),
        "53300" => Some("the database has no connection left; its limit is below what its clients ask for"),
        "57P03" => Some("the database is starting up or shutting down"),
        "57014" => Some("the database ended a statement that took too long"),
        "42501" => Some("the database role lacks a permission"),
        "53100" => Some("the database server's disk is full; nothing that was confirmed is lost"),
        // Undefined schema, table, column, function.
        "3F000" | "42P01" | "42703" | "42883" => Some(SCHEMA_MISSING),
        _ => None,
    }
}

const SCHEMA_MISSING: &str = "the schema is missing or old; run the service's migrate command";

/// Why the pool gave no connection, if that is what failed.
pub fn refusal(error: &DbErr) -> Option<Refusal> {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else { return None };
    let Error::Io(error) = error.as_ref() else { return None };
    error.get_ref()?.downcast_ref().copied()
}

/// SeaORM's errors have no place for a refusal; an error of the connection may bear any other.
pub(crate) fn refused(refusal: Refusal) -> DbErr {
    conn_error(Error::Io(io::Error::new(io::ErrorKind::WouldBlock, refusal)))
}

/// Whether a unique index refused the statement.
pub fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

const OUTCOME_UNKNOWN: &str = "the connection was lost while committing: whether it was committed isn't known";

/// Whether a transaction failed in such a way that nobody knows whether it was committed.
pub fn is_outcome_unknown(error: &DbErr) -> bool {
    matches!(error, DbErr::Exec(RuntimeErr::Internal(text)) if text.starts_with(OUTCOME_UNKNOWN))
}

/// A transaction that can't be committed any more, because of the failure that its closure passed over.
pub(crate) fn given_up(why: &str) -> DbErr {
    DbErr::Exec(RuntimeErr::Internal(format!("nothing was committed, for a statement had failed before: {why}")))
}

pub(crate) fn outcome_unknown(error: &Error) -> DbErr {
    DbErr::Exec(RuntimeErr::Internal(format!("{OUTCOME_UNKNOWN}: {error}")))
}

/// Whether the transaction may succeed if it is simply done again: serialization failure, deadlock, or a busy SQLite.
pub(crate) fn is_retryable(error: &Error) -> bool {
    let Error::Database(database) = error else { return false };
    if let Some(code) = sqlite_code(database.as_ref()) {
        return matches!(code, 5 | 6);
    }
    matches!(database.code().unwrap_or_default().as_ref(), "40001" | "40P01")
}

/// Whether the connection is of no use any more.
pub(crate) fn is_broken(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        // The server ended it: terminated, shutting down, crash of another backend, database dropped, idle for too
        // long, with a transaction or without.
        Error::Database(database) if sqlite_code(database.as_ref()).is_none() => {
            let code = database.code().unwrap_or_default();
            code.starts_with("57P") || code == "25P03" || code.starts_with("08")
        }
        _ => false,
    }
}

/// Whether the server itself said that it ended the session.
pub(crate) fn is_ended_by_server(error: &Error) -> bool {
    matches!(error, Error::Database(_)) && is_broken(error)
}

/// Whether the database gives up the transaction in which this happens. PostgreSQL does at every failure; SQLite undoes
/// the statement alone, but may undo all of it when it is out of memory (7), interrupted (9), fails to read or write (10)
/// or finds the disk full (13); see <https://www.sqlite.org/lang_transaction.html>.
pub(crate) fn gives_up(error: &Error) -> bool {
    match error {
        Error::Database(database) => sqlite_code(database.as_ref()).is_none_or(|code| matches!(code, 7 | 9 | 10 | 13)),
        other => is_broken(other),
    }
}

/// A server that is gone in silence: it didn't do `what` within `bound`.
pub(crate) fn silent(what: &str, bound: Duration) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("the database didn't {what} within {bound:?}")))
}

/// The connection was closed before the statement.
pub(crate) fn closed() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::NotConnected, "the connection is closed"))
}

pub(crate) fn conn_error(error: Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}

/// SQLite's result code. Extended ones have the primary one in their lowest byte; see
/// <https://www.sqlite.org/rescode.html>.
fn sqlite_code(error: &dyn sqlx::error::DatabaseError) -> Option<u32> {
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    Some(error.code().unwrap_or_default().parse::<u32>().unwrap_or_default() & 0xff)
}

fn sqlx_error(error: &DbErr) -> Option<&Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}
