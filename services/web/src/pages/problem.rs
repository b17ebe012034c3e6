//! Pages for when something went wrong: what happened, and what to do, in the shop's own style.

use askama::Template;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::frame::{Frame, Frames, page};
use crate::problem::Problem;
use crate::session::Visitor;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    heading: &'static str,
    sentence: &'static str,
    status: u16,
}

/// Answers every failure with a page that says what happened, without a call to any service.
pub(crate) async fn render(State(frames): State<Frames>, visitor: Visitor, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let problem = match response.extensions().get::<Problem>() {
        Some(problem) => problem.clone(),
        None => match response.status() {
            StatusCode::NOT_FOUND => Problem::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
            status if status.is_client_error() => Problem::BadRequest,
            status if status.is_server_error() => Problem::Internal,
            _ => return response,
        },
    };
    let status = if response.extensions().get::<Problem>().is_some() { problem.status() } else { response.status() };
    let (heading, sentence) = problem.words();
    let frame = frames.without_calls(visitor.subject(), heading);
    let mut shown = page(&ProblemPage { frame, heading, sentence, status: status.as_u16() }).into_response();
    *shown.status_mut() = status;
    // Of the failure's own headers those stay that say more than its body: the allowed methods, and cookies.
    for (name, value) in response.headers() {
        if name == header::ALLOW || name == header::SET_COOKIE {
            shown.headers_mut().append(name, value.clone());
        }
    }
    if let Some(wait) = problem.retry_after() {
        // Whole seconds, rounded up: at least one.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        shown.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.clamp(1, 60)));
    }
    shown.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    shown
}
