//! The log: lines for people on a terminal, JSON everywhere else. It goes to standard error, so that a command's output
//! stays its own.
//!
//! A line in JSON has the ids of the trace and the span in which it was logged. The spans' own fields are not in the log:
//! they are in the trace.

use std::fmt;
use std::io::{IsTerminal as _, stderr};

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::trace::SdkTracer;
use serde_json::{Map, Value};
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

use crate::fields::Fields;
use crate::{TRACED, events};

/// Starts the log, and with `tracer` the traces. A second call does nothing.
pub(crate) fn start(default_filter: &str, tracer: Option<SdkTracer>) {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    // Err: a subscriber was set before, and stays.
    let _ = subscriber(chosen, tracer).try_init();
}

pub(crate) fn subscriber(chosen: EnvFilter, tracer: Option<SdkTracer>) -> impl Subscriber + Send + Sync {
    // Each filter names the most detailed level that it lets through. If one doesn't, every trace point of every library
    // asks all filters, each time.
    let no_spans = filter_fn(|metadata| !metadata.is_span()).with_max_level_hint(LevelFilter::TRACE);
    let chosen_lines = chosen.and(no_spans);
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let lines = if stderr().is_terminal() {
        lines.with_target(false).compact().with_filter(chosen_lines).boxed()
    } else {
        lines.event_format(Json).with_filter(chosen_lines).boxed()
    };
    // Layers in a list, and not an `Option` of a layer: that asks for all events and spans even if it is `None`, and each
    // span of each library, such as h2's for each frame, would cost time though nobody sees it.
    let mut layers = vec![lines];
    if let Some(tracer) = tracer {
        let warnings = filter_fn(|metadata| metadata.is_event() && *metadata.level() <= LevelFilter::WARN)
            .with_max_level_hint(LevelFilter::WARN);
        layers.extend([traces(tracer), events::Events.with_filter(warnings).boxed()]);
    }
    tracing_subscriber::registry().with(layers)
}

fn traces(tracer: SdkTracer) -> Box<dyn Layer<Registry> + Send + Sync> {
    let traced =
        filter_fn(|metadata| metadata.is_span() && metadata.target() == TRACED).with_max_level_hint(LevelFilter::INFO);
    OpenTelemetryLayer::new(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false)
        .with_filter(traced)
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

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::subscriber::with_default;

    use super::*;

    /// Whether anybody listens to a span that is meant for traces, to another one of ours, and to one of a library.
    fn enabled(tracer: Option<SdkTracer>) -> [bool; 3] {
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
        assert_eq!(enabled(None), [false; 3]);
        let provider = SdkTracerProvider::builder().build();
        assert_eq!(enabled(Some(provider.tracer("test"))), [true, false, false]);
        assert_eq!(enabled(None), [false; 3]);
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
