//! How many requests are worked on at once, and how long.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use selvage_context::deadline;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::problem::Problem;

/// Requests that pages are made for at once. A page takes about 20 ms and 150 KB, so 256 are 12,800 pages a second out of
/// 38 MB. A request beyond that is refused at once, which costs next to nothing.
const MAX_IN_FLIGHT: usize = 256;

/// Forms whose bodies are received at once: 256 of at most 64 KiB are 16 MiB. They are counted apart from pages, so that
/// clients who send slowly keep others from sending forms, and nobody from looking at pages.
const MAX_INCOMING: usize = 256;

/// The largest body of a form. The largest form, checkout's when refilled, has under 8 KiB.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// The time that the calls for a page have. A person waits about 5 s for one.
const PAGE_BOUND: Duration = Duration::from_secs(5);
/// The same for placing an order, which takes checkout 20 s at the worst: waiting for the answer is better than asking again.
const ORDER_BOUND: Duration = Duration::from_secs(25);
/// The time after that for the page to be made of what the calls answered, or of their failure.
const MARGIN: Duration = Duration::from_millis(500);

/// Counts the requests that pages are made for, and the forms that are being received.
pub(crate) struct Admission {
    in_flight: Semaphore,
    incoming: Semaphore,
}

impl Default for Admission {
    fn default() -> Self {
        Self { in_flight: Semaphore::new(MAX_IN_FLIGHT), incoming: Semaphore::new(MAX_INCOMING) }
    }
}

/// Lets a request in, with the deadline that its calls will have.
pub(crate) async fn admit(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Response {
    let request = match received(&admission, request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let Ok(_permit) = admission.in_flight.try_acquire() else {
        return Problem::busy().into_response();
    };
    let placing = request.method() == Method::POST && request.uri().path() == "/checkout";
    let ends = Instant::now() + if placing { ORDER_BOUND } else { PAGE_BOUND };
    match timeout_at(ends + MARGIN, deadline::scope(ends, next.run(request))).await {
        Ok(response) => response,
        Err(_) => Problem::Unavailable.into_response(),
    }
}

/// The request with all of its body, so that nobody who has yet to send it counts as in flight.
async fn received(admission: &Admission, request: Request) -> Result<Request, Problem> {
    if request.method() != Method::POST {
        return Ok(request);
    }
    let Ok(_permit) = admission.incoming.try_acquire() else { return Err(Problem::busy()) };
    let (parts, body) = request.into_parts();
    match timeout(PAGE_BOUND, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(error)) if is_too_large(&error) => Err(Problem::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Problem::BadRequest),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
}
