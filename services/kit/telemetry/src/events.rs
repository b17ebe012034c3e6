//! What is said at a level that somebody should look at, as an event of the span in which it is said.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context as Spans;

/// Puts them there, whether the span was made with `tracing` or not.
pub(crate) struct Events;

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _spans: Spans<'_, S>) {
        let current = Context::current();
        let span = current.span();
        if span.is_recording() {
            let mut said = Said::default();
            event.record(&mut said);
            span.add_event(said.message, said.attributes);
        }
    }
}

#[derive(Default)]
struct Said {
    message: String,
    attributes: Vec<KeyValue>,
}

impl Said {
    fn put(&mut self, field: &Field, value: impl Into<opentelemetry::Value>) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.message = text } else { self.put(field, text) }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" { value.clone_into(&mut self.message) } else { self.put(field, value.to_owned()) }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}
