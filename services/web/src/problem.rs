//! Why a page couldn't be made.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tonic::{Code, Status};

use crate::view::missing::Missing;

/// Why there is no page. Handlers return it; [`render`](crate::pages::problem::render) makes the page that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// There is no such page, or not for this visitor.
    NotFound,
    /// A request that no page of ours makes.
    BadRequest,
    /// A form that wasn't sent from one of our pages, as far as we can tell.
    Forged,
    /// A form larger than any of ours.
    TooLarge,
    /// More requests at once than the shop can serve; this one may be tried again after this time.
    Busy(Duration),
    /// A service can't be reached or doesn't answer in time.
    Unavailable,
    /// A failure of the shop itself, which was logged where it happened.
    Internal,
}

/// After how long a busy shop is tried again, unless a service said otherwise.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl Problem {
    /// More requests at once than the shop can serve.
    pub(crate) fn busy() -> Self {
        Self::Busy(RETRY_AFTER)
    }

    /// A failure of the shop itself, logged here.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a page failed");
        Self::Internal
    }

    /// The status that its page is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Forged => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy(_) | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// After which time it is worth trying again; `None` if it never is.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy(wait) => Some(*wait),
            Self::Unavailable => Some(RETRY_AFTER),
            _ => None,
        }
    }

    /// The heading and the sentence of its page.
    pub(crate) fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => (
                "There is nothing on this hanger",
                "The page has moved, or it was never here. The shop itself is open.",
            ),
            Self::BadRequest => ("We can't read that", "The request isn't one that this shop understands."),
            Self::Forged => (
                "This form has gone stale",
                "We couldn't tell that it came from a page of ours, so we did nothing. Go back, load the page again, and \
                 send it once more. If it keeps happening, allow cookies for this shop.",
            ),
            Self::TooLarge => ("That is more than fits", "The form was larger than anything this shop takes."),
            Self::Busy(_) => (
                "A moment, please: the shop is full",
                "More people are here than we can serve at once. Your bag is kept. Load the page again in a few seconds.",
            ),
            Self::Unavailable => (
                "A part of the shop isn't answering",
                "We're on it. Your bag and your orders are kept. Load the page again in a few seconds.",
            ),
            Self::Internal => (
                "We dropped a stitch",
                "Something went wrong on our side; it has been noted. Nothing was charged by this page.",
            ),
        }
    }
}

/// What a service's failure means for the page that needs its answer. Pages that expect a certain refusal look at the status
/// before.
impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::NotFound => Self::NotFound,
            Code::InvalidArgument | Code::OutOfRange => Self::BadRequest,
            Code::ResourceExhausted => Self::Busy(selvage_status::retry_after(&status).unwrap_or(RETRY_AFTER)),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => {
                tracing::warn!(code = ?status.code(), message = status.message(), "a service can't answer");
                Self::Unavailable
            }
            _ => Self::internal(format_args!("{:?}: {}", status.code(), status.message())),
        }
    }
}

/// An answer that lacks what every answer has is a failure of the shop itself, whichever service gave it.
impl From<Missing> for Problem {
    fn from(missing: Missing) -> Self {
        Self::internal(missing)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
