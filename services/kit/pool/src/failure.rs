//! What a database's failure means.

use std::io;
use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, SqlErr};
use sqlx::Error;

use crate::ConfigError;
use crate::address::AddressError;
use crate::gate::Refusal;
use crate::useless::Useless;

/// Why a pool can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The tuning makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is wrong. It isn't repeated, for it may bear a password.
    #[error("pool '{pool}': {why}")]
    Address {
        /// The pool.
        pool: String,
        /// What is wrong, and what to do about it.
        why: String,
    },
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

    pub(crate) fn address(pool: &str, error: &AddressError) -> Self {
        Self::Address { pool: pool.to_owned(), why: error.to_string() }
    }
}

/// What a database's failure is to those whose work it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No connection was free in time: too much at once.
    Busy,
    /// The database isn't there: it doesn't answer, ended the connection, takes no other, or takes no writes.
    Unreachable,
    /// The database ended the statement, for it took too long.
    Timeout,
    /// Others were faster, however often it was tried.
    Conflict,
    /// The disk is full.
    NoRoom,
    /// It may have been done all the same: see [`is_outcome_unknown`]. Every other kind means that it wasn't.
    OutcomeUnknown,
    /// All else, which is ours to look into: a wrong statement, an old schema, a damaged file.
    Other,
}

/// The kind of a failure, by which its caller decides what to do.
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
    let useless = Useless::of(error).is_some();
    let Error::Database(database) = error else {
        return if useless { Kind::Unreachable } else { Kind::Other };
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
        _ if useless => Kind::Unreachable,
        _ => Kind::Other,
    }
}

/// A failure in words for the log, with what can be done about it if that is known.
pub fn in_words(error: &DbErr) -> String {
    describe(error).map_or_else(|| error.to_string(), |words| format!("{words} ({error})"))
}

/// A failure that the user of a program can do something about, in words for them.
pub(crate) fn describe(error: &DbErr) -> Option<&'static str> {
    if refusal(error).is_some() || is_outcome_unknown(error) {
        return None;
    }
    let Error::Database(database) = sqlx_error(error)? else {
        return match sqlx_error(error)? {
            // A certificate that isn't accepted comes as what can't be read.
            Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Some(no_tls(error)),
            Error::Io(error) if error.kind() == io::ErrorKind::NotFound => Some(NO_FILE),
            error if is_no_server(error) => Some(NO_SERVER),
            // The last is sqlx's pool's, which migrates.
            Error::Io(_) | Error::PoolTimedOut => {
                Some("the database can't be reached; is it running, and is its address right?")
            }
            Error::Tls(_) => Some(NO_TLS),
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
        "25006" => Some(READ_ONLY),
        "26000" | "42P05" => Some(SHARED_SESSIONS),
        "08P01" if message.contains("startup parameter") => Some(STARTUP_PARAMETERS),
        "08P01" if message.contains("pooling mode") => Some(SHARED_SESSIONS),
        "57014" => Some("the database ended a statement that took too long"),
        "42501" => Some("the database role lacks a permission"),
        "53100" => Some("the database server's disk is full; nothing that was confirmed is lost"),
        // Undefined schema, table, column, function.
        "3F000" | "42P01" | "42703" | "42883" => Some(SCHEMA_MISSING),
        _ => None,
    }
}

const NO_TLS: &str = "no encrypted connection to the database can be made: its server must offer TLS, with a certificate for the \
                      host in its address, from somebody whom the file trusts that sslrootcert names there";
const NO_FILE: &str = "a file for the database isn't there: its socket, its password's, or one that its address names by sslrootcert, \
                       sslcert or sslkey";
const OLD_CERTIFICATE: &str = "no encrypted connection to the database can be made: its server's certificate, or that of the authority, is \
                               of X.509 version 1, which isn't supported; have one of version 3 made, with the host's name in it as \
                               subjectAltName";
const NO_SERVER: &str = "no server of the database's address can be reached and is as its target_session_attrs says";
const READ_ONLY: &str = "the database takes no writes: its server is a standby, or was told to only read; where there are several, \
                         the address names all of them, with target_session_attrs=read-write";
/// Also what a pool says that finds it out when it is opened.
pub(crate) const SHARED_SESSIONS: &str = "a pooler gives each transaction another session of the database, so that prepared statements \
                                          and settings of a session are lost: set its pool_mode to session, or let the \
                                          address name the database's own server";
const STARTUP_PARAMETERS: &str = "a pooler refuses what is said when a session begins: it needs pool_mode = session and \
                                  ignore_startup_parameters = extra_float_digits,options";
pub(crate) const SCHEMA_MISSING: &str = "the schema is missing or old; run the service's migrate command";

/// Why the pool gave no connection, if that is what failed.
pub fn refusal(error: &DbErr) -> Option<Refusal> {
    within::<Refusal>(error).copied()
}

fn no_tls(error: &io::Error) -> &'static str {
    // rustls has no type for it that is its own to name.
    if error.to_string().contains("UnsupportedCertVersion") { OLD_CERTIFICATE } else { NO_TLS }
}

/// SeaORM's and sqlx's errors have no variant for what is ours; it rides on an I/O error.
fn within<E: std::error::Error + 'static>(error: &DbErr) -> Option<&E> {
    riding(sqlx_error(error)?)
}

fn riding<E: std::error::Error + 'static>(error: &Error) -> Option<&E> {
    let Error::Io(error) = error else { return None };
    error.get_ref()?.downcast_ref()
}

/// No server of an address will do, for these reasons.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoServer(String);

pub(crate) fn no_server(why: String) -> Error {
    Error::Io(io::Error::other(NoServer(why)))
}

pub(crate) fn is_no_server(error: &Error) -> bool {
    riding::<NoServer>(error).is_some()
}

pub(crate) fn refused(refusal: Refusal) -> DbErr {
    conn_error(Error::Io(io::Error::new(io::ErrorKind::WouldBlock, refusal)))
}

/// Whether a unique index refused the statement.
pub fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Whether it is about what one row has in it: a value that can't be read, or that a rule of the table refuses. Classes 22 and 23
/// of PostgreSQL are "data exception" and "integrity constraint violation"; SQLite's codes 19 and 20 the same.
pub(crate) fn is_of_one_row(error: &DbErr) -> bool {
    if matches!(error, DbErr::Type(_) | DbErr::Json(_)) {
        return true;
    }
    match sqlx_error(error) {
        Some(Error::ColumnDecode { .. } | Error::Decode(_)) => true,
        Some(Error::Database(database)) => match sqlite_code(database.as_ref()) {
            Some(code) => matches!(code, 19 | 20),
            None => database.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23")),
        },
        _ => false,
    }
}

/// Nobody knows whether it was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("whether it was {what} isn't known: {why}")]
struct OutcomeUnknown {
    what: &'static str,
    why: String,
}

/// Whether a transaction, or a statement by itself that writes, may have been done although it failed: its answer didn't come,
/// or the server doesn't know. All other failures mean that nothing of it was done.
pub fn is_outcome_unknown(error: &DbErr) -> bool {
    within::<OutcomeUnknown>(error).is_some()
}

/// A transaction that can't be committed any more, because of the failure that its closure passed over.
pub(crate) fn given_up(why: &str) -> DbErr {
    DbErr::Exec(RuntimeErr::Internal(format!("nothing was committed, for a statement had failed before: {why}")))
}

/// `what` wasn't answered, or the server doesn't know.
pub(crate) fn outcome_unknown(what: &'static str, error: &Error) -> DbErr {
    let unknown = OutcomeUnknown { what, why: error.to_string() };
    DbErr::Exec(RuntimeErr::SqlxError(Error::Io(io::Error::other(unknown)).into()))
}

/// Whether the server says that it doesn't know: "statement completion unknown", "transaction resolution unknown".
pub(crate) fn is_ambiguous(error: &Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("40003" | "08007"))
}

/// Whether the server lacks what was asked for, or doesn't give it to our role: undefined function, table or setting, feature not
/// supported, insufficient privilege.
pub(crate) fn is_missing_feature_sqlx(error: &Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("42883" | "42P01" | "42704" | "0A000" | "42501"))
}

/// The same of SeaORM's error.
pub(crate) fn is_missing_feature(error: &DbErr) -> bool {
    sqlx_error(error).is_some_and(is_missing_feature_sqlx)
}

/// Whether there is no schema to create something in.
pub(crate) fn has_no_schema(error: &DbErr) -> bool {
    sqlx_error(error).and_then(sqlstate).as_deref() == Some("3F000")
}

/// Whether our role lacks the right to what it asked for.
pub(crate) fn is_forbidden(error: &DbErr) -> bool {
    sqlx_error(error).and_then(sqlstate).as_deref() == Some("42501")
}

/// PostgreSQL's code of an error.
pub(crate) fn sqlstate(error: &Error) -> Option<String> {
    let database = error.as_database_error().filter(|database| sqlite_code(*database).is_none())?;
    Some(database.code()?.into_owned())
}

/// Whether the transaction may succeed if it is simply done again: serialization failure, deadlock, or a busy SQLite.
pub(crate) fn is_retryable(error: &Error) -> bool {
    let Error::Database(database) = error else { return false };
    if let Some(code) = sqlite_code(database.as_ref()) {
        return matches!(code, 5 | 6);
    }
    matches!(database.code().unwrap_or_default().as_ref(), "40001" | "40P01")
}

/// Whether the database gives up the transaction in which this happens. PostgreSQL does at every failure; SQLite undoes
/// the statement alone, but may undo all of it when it is out of memory (7), interrupted (9), fails to read or write (10)
/// or finds the disk full (13); see <https://www.sqlite.org/lang_transaction.html>.
pub(crate) fn gives_up(error: &Error) -> bool {
    match error {
        Error::Database(database) => sqlite_code(database.as_ref()).is_none_or(|code| matches!(code, 7 | 9 | 10 | 13)),
        other => Useless::of(other).is_some(),
    }
}

/// A server that is gone in silence: it didn't do `what` within `bound`.
pub(crate) fn silent(what: &str, bound: Duration) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("the database didn't {what} within {bound:?}")))
}

/// Whether a server that can't be reached for this reason may be there soon: it starts, or isn't the one that is wanted yet.
/// What somebody must set right first isn't waited for: an encryption, a file, a login, a database.
pub(crate) fn passes(error: &Error) -> bool {
    match error {
        Error::Io(error) => !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound),
        Error::Database(_) => matches!(sqlstate(error).as_deref(), Some("57P03" | "53300")),
        _ => false,
    }
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
    match error.code().unwrap_or_default().parse::<u32>().unwrap_or_default() {
        // SQLITE_IOERR_SHMSIZE: there is no room for the index of its log, which takes a full disk.
        4874 => Some(13),
        code => Some(code & 0xff),
    }
}

fn sqlx_error(error: &DbErr) -> Option<&Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}
