//! Warnings and errors of the log, as events of the span in which they are logged.

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context as Spans;

use crate::fields::Fields;

/// Adds each event to the current span, whether that was made with `tracing` or with OpenTelemetry's own interface.
pub(crate) struct Events;

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _spans: Spans<'_, S>) {
        let current = Context::current();
        let span = current.span();
        if span.is_recording() {
            let mut fields = Map::new();
            event.record(&mut Fields(&mut fields));
            let name = fields.remove("message").map(text).unwrap_or_default();
            span.add_event(name, fields.into_iter().map(|(name, value)| attribute(name, value)).collect());
        }
    }
}

fn attribute(name: String, value: Value) -> KeyValue {
    match value {
        Value::Bool(truth) => KeyValue::new(name, truth),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => KeyValue::new(name, number),
            (None, Some(number)) => KeyValue::new(name, number),
            (None, None) => KeyValue::new(name, number.to_string()),
        },
        other => KeyValue::new(name, text(other)),
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
