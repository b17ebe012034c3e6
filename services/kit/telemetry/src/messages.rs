//! Spans for the messages of an outbox. Each is part of the trace in which the message was written.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, SpanRef, Status};
use selvage_conventions::{error, messaging};

use crate::propagation::{continued, from_traceparent};
use crate::span::Span;

/// The span of doing one message of this topic and id, which was attempted `attempts` times before.
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

/// The span of storing the outcomes of a batch: in the first message's trace, with links to the others'.
pub fn settle<'a>(mut traceparents: impl Iterator<Item = Option<&'a str>>) -> Span {
    let first = traceparents.next().flatten();
    let span = Span::within(&continued(first), SpanKind::Consumer, "settle outbox");
    if let Some(recorded) = span.recorded() {
        describe(&recorded, "settle");
        link(&recorded, traceparents.filter(|other| *other != first));
    }
    span
}

/// The span of fetching a batch. It belongs to the traces of all its messages, so it is in none of them, and [`received`] links
/// it to them.
pub fn receive() -> Span {
    let span = Span::here(SpanKind::Consumer, "receive outbox");
    if let Some(recorded) = span.recorded() {
        describe(&recorded, "receive");
    }
    span
}

/// Links `span`, in which a batch was fetched, to the traces of its messages.
pub fn received<'a>(span: &Span, traceparents: impl Iterator<Item = Option<&'a str>>) {
    if let Some(recorded) = span.recorded() {
        let count = link(&recorded, traceparents);
        recorded.set_attribute(KeyValue::new(messaging::BATCH_COUNT, count));
    }
}

/// Marks `span` as failed; `reason` is a short constant for `error.type`.
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
