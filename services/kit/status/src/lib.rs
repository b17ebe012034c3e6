//! The closed list of ways in which an rpc can fail, and the only mapping of them to [`tonic::Status`].
//!
//! An [`Error`] carries what a caller may know, in the standard `google.rpc` details, and apart from it a source that
//! only the log sees. It is logged once: here, when it becomes a status.

mod code;
#[cfg(feature = "database")]
mod database;
mod details;
mod error;
mod violations;

pub use code::ErrorCode;
pub use details::{field_violations, precondition_subjects, reason, retry_after};
pub use error::{Error, Result};
pub use violations::FieldViolations;

/// The `domain` of every `google.rpc.ErrorInfo` that Selvage sends.
pub const ERROR_DOMAIN: &str = "selvage.dev";
