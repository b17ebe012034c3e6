//! What a database's failure means.

use sea_orm::{DbErr, RuntimeErr, SqlErr};
use sqlx::Error;

use crate::ConfigError;

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
    pub(crate) fn connect(pool: &str, error: DbErr) -> Self {
        let why = describe(&error).map_or_else(|| error.to_string(), |words| format!("{words} ({error})"));
        Self::Connect { pool: pool.to_owned(), why }
    }
}

/// A failure that the user of a program can do something about, in words for them.
pub fn describe(error: &DbErr) -> Option<&'static str> {
    let Error::Database(database) = sqlx_error(error)? else {
        return match sqlx_error(error)? {
            Error::Io(_) | Error::Tls(_) => {
                Some("the database can't be reached; is it running, and is its address right?")
            }
            _ => None,
        };
    };
    let (code, message) = (database.code().unwrap_or_default(), database.message());
    if is_sqlite(database.as_ref()) {
        // Extended result codes have the primary one in their lowest byte; see <https://www.sqlite.org/rescode.html>.
        return match code.parse::<u32>().unwrap_or_default() & 0xff {
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
        "42501" => Some("the database role lacks a permission"),
        "53100" => Some("the database server's disk is full; nothing that was confirmed is lost"),
        // Undefined schema, table, column, function.
        "3F000" | "42P01" | "42703" | "42883" => Some(SCHEMA_MISSING),
        _ => None,
    }
}

const SCHEMA_MISSING: &str = "the schema is missing or old; run the service's migrate command";

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
    let code = database.code().unwrap_or_default();
    if is_sqlite(database.as_ref()) {
        return matches!(code.parse::<u32>().unwrap_or_default() & 0xff, 5 | 6);
    }
    matches!(code.as_ref(), "40001" | "40P01")
}

/// Whether the connection is of no use any more.
pub(crate) fn is_broken(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        // The server ended it: terminated, shutting down, idle in a transaction for too long, crash of another backend.
        Error::Database(database) if !is_sqlite(database.as_ref()) => {
            let code = database.code().unwrap_or_default();
            matches!(code.as_ref(), "57P01" | "57P02" | "57P03" | "25P03" | "57P05") || code.starts_with("08")
        }
        _ => false,
    }
}

/// Whether the database gives up the transaction in which this happens. PostgreSQL does at every failure; SQLite undoes
/// the statement alone, but may undo all of it when it is out of memory (7), interrupted (9), fails to read or write (10)
/// or finds the disk full (13); see <https://www.sqlite.org/lang_transaction.html>.
pub(crate) fn gives_up(error: &Error) -> bool {
    match error {
        Error::Database(database) if is_sqlite(database.as_ref()) => {
            let code = database.code().unwrap_or_default();
            matches!(code.parse::<u32>().unwrap_or_default() & 0xff, 7 | 9 | 10 | 13)
        }
        Error::Database(_) => true,
        other => is_broken(other),
    }
}

fn is_sqlite(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some()
}

fn sqlx_error(error: &DbErr) -> Option<&Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}
