//! Reading the details of a status that a callee sent.

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;

/// The constant that tells this failure from others with the same code.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// When the callee wants to be asked again.
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// The fields that the callee found wrong, each with what is wrong with it.
pub fn field_violations(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

/// The subjects whose condition doesn't hold (SKUs without stock, for example), each with why.
pub fn precondition_subjects(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_precondition_failure().map(|details| details.violations).unwrap_or_default();
    violations.into_iter().map(|violation| (violation.subject, violation.description)).collect()
}
