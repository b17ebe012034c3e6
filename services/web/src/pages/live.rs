//! Parts of a page that are sent again when they change, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;

/// How long a page's stream lasts. The browser connects again by itself then, perhaps to another instance.
pub(super) const STREAM_BOUND: Duration = Duration::from_secs(600);
/// How long a browser waits before it connects again.
const RECONNECT_AFTER: Duration = Duration::from_secs(3);
/// How often an empty line is sent while nothing changes: more often than proxies give up a silent connection, of which many
/// do after 30 s or 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The event `name`, with the part of the page as it is now.
pub(super) fn event(name: &str, part: &str) -> Event {
    Event::default().event(name).retry(RECONNECT_AFTER).data(part)
}

/// The answer that sends `events`.
pub(super) fn answer(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
