use selvage_status::field_violations;
use tonic::{Code, Status};

/// Whether an answer to a request that may be nonsense is what a caller can work with: it is right, it names the fields that
/// are wrong and says what would be right, or it is one of `refusals`.
///
/// # Errors
/// The answer in words, if it is none of these.
pub fn answered_or_refused<T>(answer: Result<T, Status>, refusals: &[Code]) -> Result<(), String> {
    let Err(status) = answer else { return Ok(()) };
    let fields = field_violations(&status);
    let names_fields = !fields.is_empty() && fields.iter().all(|(field, why)| !field.is_empty() && !why.is_empty());
    match status.code() {
        Code::InvalidArgument if names_fields => Ok(()),
        code if code != Code::InvalidArgument && refusals.contains(&code) => Ok(()),
        _ => Err(format!("{status:?}")),
    }
}
