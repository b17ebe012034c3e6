//! The log: lines for people on a terminal, JSON everywhere else. It goes to standard error, so that a command's output
//! stays its own, by way of [`lines`](crate::lines), so that nobody waits for who reads it. What repeats is sampled:
//! [`repeats`](crate::repeats).
//!
//! A line in JSON has the ids of the trace and the span in which it was logged. The spans' own fields are not in the log:
//! they are in the trace.

use std::fmt;
use std::io::{IsTerminal as _, stderr};

use anyhow::{Context as _, ensure};
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
use crate::lines::Lines;
use crate::repeats::Few;
use crate::{TRACED, events};

/// The variable that says what is logged.
pub(crate) const FILTER: &str = "RUST_LOG";

/// What is logged: as `said` says, or `default` where it says nothing.
///
/// # Errors
/// If it makes no sense. A word alone that is no level is refused too: the library takes it for a module, and is silent about
/// all others, so that a mistyped level would silence the log.
pub(crate) fn filter(said: Option<&str>, default: &str) -> anyhow::Result<EnvFilter> {
    let Some(said) = said.map(str::trim).filter(|said| !said.is_empty()) else { return Ok(EnvFilter::new(default)) };
    let wanted = || {
        format!(
            "{FILTER} is '{said}': it must be a level (off, error, warn, info, debug or trace), module=level, or several of \
             them with commas between, as in info,selvage_pool=debug"
        )
    };
    let is_alone = |part: &&str| !part.contains(['=', '[', ']', '{', '}']);
    let alone = said.split(',').map(str::trim).filter(is_alone);
    for part in alone {
        ensure!(part.parse::<LevelFilter>().is_ok(), "{}; '{part}' is none", wanted());
    }
    EnvFilter::builder().parse(said).with_context(wanted)
}

/// Starts the log of what `chosen` lets through, and with `tracer` the traces. A second call does nothing.
///
/// # Errors
/// If there can be no thread that writes it.
pub(crate) fn start(chosen: EnvFilter, tracer: Option<SdkTracer>) -> anyhow::Result<()> {
    let lines = Lines::of_process().context("no thread can be started to write the log")?;
    // Err: a subscriber was set before, and stays.
    let _ = subscriber(chosen, tracer, lines.clone()).try_init();
    Ok(())
}

pub(crate) fn subscriber(
    chosen: EnvFilter,
    tracer: Option<SdkTracer>,
    written: Lines,
) -> impl Subscriber + Send + Sync {
    // Each filter names the most detailed level that it lets through. If one doesn't, every trace point of every library
    // asks all filters, each time.
    let no_spans = filter_fn(|metadata| !metadata.is_span()).with_max_level_hint(LevelFilter::TRACE);
    let chosen_lines = chosen.and(no_spans);
    let repeats = written.repeats();
    let lines = tracing_subscriber::fmt::layer().with_writer(written);
    let lines = if stderr().is_terminal() {
        let format = tracing_subscriber::fmt::format().with_target(false).compact();
        lines.event_format(Few(format, repeats)).with_filter(chosen_lines).boxed()
    } else {
        lines.event_format(Few(Json, repeats)).with_filter(chosen_lines).boxed()
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

    fn nowhere() -> Lines {
        Lines::to(std::io::sink()).unwrap()
    }

    /// Whether anybody listens to a span that is meant for traces, to another one of ours, and to one of a library.
    fn enabled(tracer: Option<SdkTracer>) -> [bool; 3] {
        with_default(subscriber(EnvFilter::new("info"), tracer, nowhere()), || {
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
            let log = subscriber(EnvFilter::new(chosen), tracer, nowhere());
            assert_eq!(log.max_level_hint(), Some(wanted), "{chosen}");
        }
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_and_an_empty_one_is_none() {
        let said = |said: Option<&str>| filter(said, "info,sqlx=warn").map(|filter| filter.to_string());
        for unset in [None, Some(""), Some("  ")] {
            assert_eq!(said(unset).unwrap(), EnvFilter::new("info,sqlx=warn").to_string(), "{unset:?}");
        }
        for sound in [
            "debug",
            "WARN",
            "off",
            "info,selvage_pool=debug",
            "selvage_pool::gate=trace",
            "[request{id=1}]=debug,info",
        ] {
            assert!(said(Some(sound)).is_ok(), "{sound}");
        }
        for wrong in ["inof", "info,selvage_pool", "selvage_pool=inof", "info,=,", "info;debug", "[{=debug"] {
            let error = format!("{:#}", said(Some(wrong)).unwrap_err());
            assert!(error.contains("RUST_LOG") && error.contains("module=level"), "{error}");
        }
    }
}
