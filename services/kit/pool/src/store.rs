//! What every store over a pool needs: one error, a way to roll back for a reason of its own, and values in columns of JSON.

use std::error::Error;
use std::fmt;

use sea_orm::{DbErr, JsonValue};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a store couldn't do what it was asked for.
///
/// What the store's own rules refuse (too little stock, another version) is no error: it is in what the method returns, for
/// the caller to tell apart.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be had in time, or the database failed. [`kind`](crate::kind) says whether to ask again, and how.
    #[error("{}", crate::in_words(.0))]
    Database(#[from] DbErr),
    /// A stored value isn't what it should be: it is damaged, or a newer release wrote it. Asking again doesn't help. Who reads
    /// many rows leaves this one out, names it in the log and goes on.
    #[error("{what} can't be read: {why}")]
    Damaged {
        /// Which value of which row, for example `order 7: its state`.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl StoreError {
    /// [`StoreError::Damaged`].
    pub fn damaged(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Damaged { what: what.to_string(), why: why.to_string() }
    }

    /// Whether it is about what one row has in it: it is damaged, or a rule of its table refuses what becomes of it. Whoever
    /// works on many rows then does the others.
    pub fn is_of_one_row(&self) -> bool {
        match self {
            Self::Database(error) => crate::failure::is_of_one_row(error),
            Self::Damaged { .. } => true,
        }
    }

    /// The database's failure, if it is one.
    pub fn database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::Damaged { .. } => None,
        }
    }
}

/// What ends a transaction's closure so that nothing of it is kept.
#[derive(Debug)]
pub enum Rollback<R> {
    /// The store's own rules refuse it.
    Refused(R),
    /// It failed.
    Failed(StoreError),
}

impl<R> Rollback<R> {
    /// What became of the transaction: it is done, or was refused.
    ///
    /// # Errors
    /// [`StoreError`] if it failed.
    pub fn outcome<T>(result: Result<T, Self>) -> Result<Result<T, R>, StoreError> {
        match result {
            Ok(done) => Ok(Ok(done)),
            Err(Self::Refused(refused)) => Ok(Err(refused)),
            Err(Self::Failed(error)) => Err(error),
        }
    }
}

impl<R> From<StoreError> for Rollback<R> {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl<R> From<DbErr> for Rollback<R> {
    fn from(error: DbErr) -> Self {
        Self::Failed(error.into())
    }
}

/// A value for a column of JSON.
///
/// # Errors
/// [`StoreError::Damaged`] if it is none that JSON can hold, as a map whose keys aren't text.
pub fn to_json(what: &str, value: &impl Serialize) -> Result<JsonValue, StoreError> {
    serde_json::to_value(value).map_err(damaged(what))
}

/// The value that a column of JSON holds. `what` says which column of which row it is, in case it can't be read.
///
/// # Errors
/// [`StoreError::Damaged`] if it is another kind of value.
pub fn from_json<T: DeserializeOwned>(what: impl fmt::Display, value: JsonValue) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(damaged(what))
}

fn damaged<E: Error>(what: impl fmt::Display) -> impl FnOnce(E) -> StoreError {
    move |why| StoreError::damaged(what, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_failure() {
        assert_eq!(Rollback::<u8>::outcome(Ok("done")).unwrap(), Ok("done"));
        assert_eq!(Rollback::outcome(Err::<u8, _>(Rollback::Refused("too little"))).unwrap(), Err("too little"));
        let failed = Err::<u8, Rollback<u8>>(DbErr::RecordNotInserted.into());
        assert!(Rollback::outcome(failed).unwrap_err().database().is_some());
    }

    #[test]
    fn a_damaged_value_is_named() {
        let lines: Vec<u8> = from_json("order 7: its lines", to_json("lines", &[1, 2]).unwrap()).unwrap();
        assert_eq!(lines, [1, 2]);
        let error = from_json::<u8>("order 7: its lines", JsonValue::Null).unwrap_err();
        assert!(error.database().is_none());
        assert!(error.to_string().starts_with("order 7: its lines can't be read"), "{error}");
    }
}
