use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{ERROR_DOMAIN, ErrorCode};

/// A result with Selvage's error.
pub type Result<T> = std::result::Result<T, Error>;

type Source = Box<dyn StdError + Send + Sync>;

/// What is sent of wrong fields and conditions at the most, in bytes, with those of the message. A status travels in headers,
/// of which clients take 16 KiB as a rule; base64 makes 8 KiB of this. A hundred lines of an order fit, at 50 bytes each.
const MAX_DETAIL_BYTES: usize = 6 * 1024;
/// The longest name or text among them: those of ours have under 200 bytes, what a caller wrote may be as long as a request.
const MAX_TEXT_BYTES: usize = 512;

/// A failure of an rpc: what the caller may know, and what only the log may.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: ErrorCode,
    message: String,
    reason: Option<&'static str>,
    metadata: HashMap<String, String>,
    fields: Vec<(String, String)>,
    preconditions: Vec<(String, String)>,
    retry_after: Option<Duration>,
    source: Option<Source>,
}

impl Error {
    /// A failure of the kind `code`. The message is for the caller: it says what is wrong and what to do about it, and
    /// nothing of our insides.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            reason: None,
            metadata: HashMap::new(),
            fields: Vec::new(),
            preconditions: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// A field of the request is wrong.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, "the request has a wrong field").field(field, description)
    }

    /// There is no such thing, or the caller may not know of it.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {what}"))
    }

    /// Not possible in the present state; `reason` is a constant that programs can tell apart.
    pub fn precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::FailedPrecondition, message).reason(reason)
    }

    /// Our fault; the source goes to the log, the caller learns only that it was.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::new(ErrorCode::Internal, "something went wrong on our side").source(source)
    }

    /// A part that is needed can't be reached.
    pub fn unavailable(what: impl fmt::Display, source: impl Into<Source>) -> Self {
        Self::new(ErrorCode::Unavailable, format!("{what} can't be reached now; try again")).source(source)
    }

    /// Adds a wrong field (`google.rpc.BadRequest`).
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.fields.push((field.into(), description.into()));
        self
    }

    /// Adds a condition that doesn't hold (`google.rpc.PreconditionFailure`), under this error's reason.
    #[must_use]
    pub fn violated(mut self, subject: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.preconditions.push((subject.into(), description.into()));
        self
    }

    /// Sets the constant that programs tell failures apart by (`google.rpc.ErrorInfo`).
    #[must_use]
    pub fn reason(mut self, reason: &'static str) -> Self {
        self.0.reason = Some(reason);
        self
    }

    /// Adds a fact that goes with the reason.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// Says when to try again (`google.rpc.RetryInfo`).
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds what only the log may see.
    #[must_use]
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind of failure.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The constant that programs tell failures apart by.
    pub fn reason_code(&self) -> Option<&'static str> {
        self.0.reason
    }

    /// The details, and how many wrong fields and conditions they have no room for.
    fn details(&self) -> (ErrorDetails, usize) {
        let (mut details, mut room) = (ErrorDetails::new(), MAX_DETAIL_BYTES);
        let (fields, conditions) = (fitting(&self.0.fields, &mut room), fitting(&self.0.preconditions, &mut room));
        for (field, description) in &fields {
            details.add_bad_request_violation(*field, *description);
        }
        let kind = self.0.reason.unwrap_or_default();
        for (subject, description) in &conditions {
            details.add_precondition_failure_violation(kind, *subject, *description);
        }
        let left_out = self.0.fields.len() + self.0.preconditions.len() - fields.len() - conditions.len();
        if let Some(reason) = self.0.reason {
            details.set_error_info(reason, ERROR_DOMAIN, self.0.metadata.clone());
        }
        if let Some(delay) = self.0.retry_after {
            details.set_retry_info(Some(delay));
        }
        (details, left_out)
    }

    fn log(&self) {
        let source = self.0.source.as_deref().map(|source| Chain(source).to_string());
        if self.0.code.is_ours() {
            tracing::error!(code = ?self.0.code, error = source, "rpc failed");
        } else if let Some(source) = source {
            tracing::warn!(code = ?self.0.code, error = source, "rpc failed");
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.code, self.0.message)?;
        for (name, description) in self.0.fields.iter().chain(&self.0.preconditions) {
            write!(f, "; {name}: {description}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.log();
        let (details, left_out) = error.details();
        let mut message = cut(&error.0.message).to_owned();
        if left_out > 0 {
            message.push_str(&format!("; {left_out} more than are named here"));
        }
        Status::with_error_details(error.0.code.grpc(), message, details)
    }
}

/// Of names and texts the first that fit into `room`, which is then less, each cut to a length.
fn fitting<'a>(pairs: &'a [(String, String)], room: &mut usize) -> Vec<(&'a str, &'a str)> {
    let cut = pairs.iter().map(|(name, text)| (cut(name), cut(text)));
    let fits = cut.map_while(|(name, text)| {
        *room = room.checked_sub(name.len() + text.len())?;
        Some((name, text))
    });
    fits.collect()
}

/// The beginning of a text that is too long.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// What a callee answered, as its caller's failure: transient ones stay what they are, anything else is our own fault.
/// Where a callee's refusal is meant for the end user, the service says so itself.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let code = ErrorCode::from_grpc(status.code());
        if !code.is_transient() {
            return Self::internal(status);
        }
        let delay = crate::retry_after(&status);
        let error = Self::new(code, "a part of the shop is busy or can't be reached now; try again");
        match delay {
            Some(delay) => error.retry_after(delay),
            None => error,
        }
        .source(status)
    }
}

/// An error with all its causes in one line.
struct Chain<'a>(&'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if text != last {
                write!(f, ": {text}")?;
            }
            last = text;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn a_wrong_field_is_named() {
        let status = Status::from(Error::invalid("lines[2].quantity", "must be 1 to 99, is 0"));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(crate::field_violations(&status), [("lines[2].quantity".into(), "must be 1 to 99, is 0".into())]);
    }

    #[test]
    fn however_much_is_wrong_what_is_sent_fits_into_headers() {
        let wrong = |number: usize, text: &str| {
            (0..number)
                .fold(Error::invalid("first", "x"), |error, index| error.field(format!("lines[{index}].sku"), text))
        };
        for (error, at_least) in [(wrong(1_000, "must be given"), 100), (wrong(40, &"ü".repeat(60_000)), 5)] {
            let status = Status::from(error);
            let named = crate::field_violations(&status);
            assert!(named.len() >= at_least && named[0].0 == "first", "{}", named.len());
            assert!(status.details().len() < 12_000, "{}", status.details().len());
            assert!(status.message().contains("more than are named here"), "{}", status.message());
        }
        let few = Status::from(wrong(100, "must be 1 to 99"));
        assert_eq!((crate::field_violations(&few).len(), few.message()), (101, "the request has a wrong field"));
        let of_lines = (0..500).fold(Error::precondition("OUT_OF_STOCK", "too little stock"), |error, index| {
            error.violated(format!("SKU-{index}"), "x".repeat(100))
        });
        let status = Status::from(of_lines);
        assert!(status.details().len() < 12_000 && crate::precondition_subjects(&status).len() > 20);
        assert!(Status::from(Error::not_found("x".repeat(100_000))).message().len() < 1_000);
    }

    #[test]
    fn what_only_the_log_may_see_is_not_sent() {
        let status = Status::from(Error::internal("password=hunter2 at 10.0.0.3"));
        assert_eq!(status.code(), Code::Internal);
        assert!(!format!("{status:?}").contains("hunter2"));
    }

    #[test]
    fn reason_subjects_and_delay_travel() {
        let error = Error::precondition("OUT_OF_STOCK", "too little stock").violated("HOX-INK-M", "1 is left");
        let status = Status::from(error.retry_after(Duration::from_millis(250)));
        assert_eq!(crate::reason(&status).as_deref(), Some("OUT_OF_STOCK"));
        assert_eq!(crate::precondition_subjects(&status), [("HOX-INK-M".to_owned(), "1 is left".to_owned())]);
        assert_eq!(crate::retry_after(&status), Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_callees_refusal_of_our_request_is_our_fault_but_its_overload_is_not() {
        assert_eq!(Error::from(Status::invalid_argument("x")).code(), ErrorCode::Internal);
        assert_eq!(Error::from(Status::unavailable("x")).code(), ErrorCode::Unavailable);
        assert_eq!(Error::from(Status::resource_exhausted("x")).code(), ErrorCode::ResourceExhausted);
    }
}
