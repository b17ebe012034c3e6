//! Spans around messages that waited in a database, each a part of the trace in which it was written down.

use opentelemetry::trace::Status;
use selvage_conventions::{error, messaging};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::TRACED;
use crate::propagation::{continue_from, from_traceparent};

/// A message is done.
pub fn process(topic: &str, id: i64, attempts: i32, traceparent: Option<&str>) -> Span {
    let span = tracing::info_span!(target: TRACED, "message", otel.name = format_args!("process {topic}"), otel.kind = "consumer");
    describe(&span, "process");
    if !span.is_disabled() {
        continue_from(&span, traceparent);
        span.set_attribute(messaging::DESTINATION_NAME, topic.to_owned());
        span.set_attribute(messaging::MESSAGE_ID, id.to_string());
        span.set_attribute(messaging::ATTEMPTS, i64::from(attempts));
    }
    span
}

/// What came of a batch is stored: in the first message's trace, with links to the others'.
pub fn settle<'a>(mut traceparents: impl Iterator<Item = Option<&'a str>>) -> Span {
    let span = tracing::info_span!(target: TRACED, "message", otel.name = "settle outbox", otel.kind = "consumer");
    describe(&span, "settle");
    if !span.is_disabled() {
        let first = traceparents.next().flatten();
        continue_from(&span, first);
        link(&span, traceparents.filter(|other| *other != first));
    }
    span
}

/// A batch is fetched, which belongs to all of its messages' traces and so to none: [`received`] links it to them.
pub fn receive() -> Span {
    let span = tracing::info_span!(target: TRACED, "message", otel.name = "receive outbox", otel.kind = "consumer");
    describe(&span, "receive");
    span
}

/// The batch that was fetched in `span` has these messages.
pub fn received<'a>(span: &Span, traceparents: impl Iterator<Item = Option<&'a str>>) {
    if !span.is_disabled() {
        span.set_attribute(messaging::BATCH_COUNT, link(span, traceparents));
    }
}

/// A message wasn't done, for the reason that `error.type` names.
pub fn failed(span: &Span, reason: &'static str) {
    if !span.is_disabled() {
        span.set_attribute(error::TYPE, reason);
        span.set_status(Status::error(""));
    }
}

fn describe(span: &Span, operation: &'static str) {
    if !span.is_disabled() {
        span.set_attribute(messaging::SYSTEM, messaging::OUTBOX);
        span.set_attribute(messaging::OPERATION_NAME, operation);
        span.set_attribute(messaging::OPERATION_TYPE, operation);
    }
}

/// Links `span` to each context, once for those that follow each other; returns how many messages there were.
fn link<'a>(span: &Span, traceparents: impl Iterator<Item = Option<&'a str>>) -> i64 {
    let (mut count, mut last) = (0, None);
    for traceparent in traceparents {
        count += 1;
        if traceparent != last
            && let Some(context) = traceparent.and_then(from_traceparent)
        {
            span.add_link(context);
        }
        last = traceparent;
    }
    count
}
