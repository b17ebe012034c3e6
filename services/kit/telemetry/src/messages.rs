//! Spans around messages that waited in a database, each a part of the trace in which it was written down.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, SpanRef, Status};
use selvage_conventions::{error, messaging};

use crate::propagation::{continued, from_traceparent};
use crate::span::Span;

/// A message is done.
pub fn process(topic: &str, id: i64, attempts: i32, traceparent: Option<&str>) -> Span {
    let span = Span::within(&continued(traceparent), SpanKind::Consumer, "process");
    if let Some(recorded) = span.recorded() {
        recorded.update_name(format!("process {topic}"));
        describe(&recorded, "process");
        recorded.set_attribute(KeyValue::new(messaging::DESTINATION_NAME, topic.to_owned()));
        recorded.set_attribute(KeyValue::new(messaging::MESSAGE_ID, id.to_string()));
        recorded.set_attribute(KeyValue::new(messaging::ATTEMPTS, i64::from(attempts)));
    }
    span
}

/// What came of a batch is stored: in the first message's trace, with links to the others'.
pub fn settle<'a>(mut traceparents: impl Iterator<Item = Option<&'a str>>) -> Span {
    let first = traceparents.next().flatten();
    let span = Span::within(&continued(first), SpanKind::Consumer, "settle outbox");
    if let Some(recorded) = span.recorded() {
        describe(&recorded, "settle");
        link(&recorded, traceparents.filter(|other| *other != first));
    }
    span
}

/// A batch is fetched, which belongs to all of its messages' traces and so to none: [`received`] links it to them.
pub fn receive() -> Span {
    let span = Span::here(SpanKind::Consumer, "receive outbox");
    if let Some(recorded) = span.recorded() {
        describe(&recorded, "receive");
    }
    span
}

/// The batch that was fetched in `span` has these messages.
pub fn received<'a>(span: &Span, traceparents: impl Iterator<Item = Option<&'a str>>) {
    if let Some(recorded) = span.recorded() {
        let count = link(&recorded, traceparents);
        recorded.set_attribute(KeyValue::new(messaging::BATCH_COUNT, count));
    }
}

/// A message wasn't done, for the reason that `error.type` names.
pub fn failed(span: &Span, reason: &'static str) {
    if let Some(recorded) = span.recorded() {
        recorded.set_attribute(KeyValue::new(error::TYPE, reason));
        recorded.set_status(Status::error(""));
    }
}

fn describe(span: &SpanRef<'_>, operation: &'static str) {
    span.set_attribute(KeyValue::new(messaging::SYSTEM, messaging::OUTBOX));
    span.set_attribute(KeyValue::new(messaging::OPERATION_NAME, operation));
    span.set_attribute(KeyValue::new(messaging::OPERATION_TYPE, operation));
}

/// Links `span` to each context, once for those that follow each other; returns how many messages there were.
fn link<'a>(span: &SpanRef<'_>, traceparents: impl Iterator<Item = Option<&'a str>>) -> i64 {
    let (mut count, mut last) = (0, None);
    for traceparent in traceparents {
        count += 1;
        if traceparent != last
            && let Some(context) = traceparent.and_then(from_traceparent)
        {
            span.add_link(context, Vec::new());
        }
        last = traceparent;
    }
    count
}
