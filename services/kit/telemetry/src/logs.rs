//! The log: lines for people on a terminal, JSON everywhere else. It goes to standard error, so that a command's output
//! stays its own.
//!
//! A line in JSON bears the ids of the trace and the span in which it was said. Spans' own fields are not in the log: they
//! are in the trace.

use std::fmt;
use std::io::{IsTerminal as _, stderr};

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::trace::SdkTracer;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::{TRACED, events};

/// Starts the log, and with `tracer` the traces. A second call does nothing.
pub(crate) fn start(default_filter: &str, tracer: Option<SdkTracer>) {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    // Err means that somebody set a subscriber before, which is what "does nothing" promises.
    let _ = subscriber(chosen, tracer).try_init();
}

pub(crate) fn subscriber(chosen: EnvFilter, tracer: Option<SdkTracer>) -> impl Subscriber + Send + Sync {
    // Each filter says from which level on it is silent: if one doesn't, every trace point of every library asks.
    let no_spans = filter_fn(|metadata| !metadata.is_span()).with_max_level_hint(LevelFilter::TRACE);
    let spoken = chosen.and(no_spans);
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let lines = if stderr().is_terminal() {
        lines.with_target(false).compact().with_filter(spoken).boxed()
    } else {
        lines.event_format(Json).with_filter(spoken).boxed()
    };
    // Not a layer that may be none: such a layer wants to see everything, and so without traces every span of every library,
    // h2's for each frame, would be kept account of.
    let mut layers = vec![lines];
    if let Some(tracer) = tracer {
        let grave = filter_fn(|metadata| metadata.is_event() && *metadata.level() <= LevelFilter::WARN)
            .with_max_level_hint(LevelFilter::WARN);
        layers.extend([traces(tracer), events::Events.with_filter(grave).boxed()]);
    }
    tracing_subscriber::registry().with(layers)
}

fn traces(tracer: SdkTracer) -> Box<dyn Layer<Registry> + Send + Sync> {
    let meant =
        filter_fn(|metadata| metadata.is_span() && metadata.target() == TRACED).with_max_level_hint(LevelFilter::INFO);
    OpenTelemetryLayer::new(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false)
        .with_filter(meant)
        .boxed()
}

/// A line of JSON for each event.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::with_capacity(32);
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), time.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        event.record(&mut Fields(&mut line));
        line.insert("target".to_owned(), event.metadata().target().into());
        opentelemetry::Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            if span.is_valid() {
                line.insert("trace_id".to_owned(), span.trace_id().to_string().into());
                line.insert("span_id".to_owned(), span.span_id().to_string().into());
            }
        });
        writeln!(to, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::subscriber::with_default;

    use super::*;

    /// Whether a span that is meant for traces, one of ours and one of a library's are kept account of.
    fn kept(tracer: Option<SdkTracer>) -> [bool; 3] {
        with_default(subscriber(EnvFilter::new("info"), tracer), || {
            [
                tracing::info_span!(target: TRACED, "rpc"),
                tracing::info_span!("transaction"),
                tracing::trace_span!(target: "h2::codec", "poll"),
            ]
            .map(|span| !span.is_disabled())
        })
    }

    #[test]
    fn spans_that_go_nowhere_cost_nothing() {
        assert_eq!(kept(None), [false; 3]);
        let provider = SdkTracerProvider::builder().build();
        assert_eq!(kept(Some(provider.tracer("test"))), [true, false, false]);
        assert_eq!(kept(None), [false; 3]);
    }

    #[test]
    fn trace_points_of_libraries_are_not_asked() {
        let provider = SdkTracerProvider::builder().build();
        for (tracer, chosen, wanted) in [
            (None, "warn", LevelFilter::WARN),
            (Some(provider.tracer("test")), "warn", LevelFilter::INFO),
            (Some(provider.tracer("test")), "debug", LevelFilter::DEBUG),
        ] {
            assert_eq!(subscriber(EnvFilter::new(chosen), tracer).max_level_hint(), Some(wanted), "{chosen}");
        }
    }
}
