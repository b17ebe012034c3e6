//! A process's log, traces and metrics.
//!
//! [`Telemetry::start`] reads OpenTelemetry's standard variables (`OTEL_*`) and refuses those that make no sense, by name.
//! [`metrics::text`] has all metrics in Prometheus' format; traces and metrics are sent by OTLP where an endpoint is given.
//! Nothing in the process waits for a collector: spans that it doesn't take in time are dropped and counted, in
//! `selvage.telemetry.spans`.
//!
//! # The way of a trace
//!
//! A trace begins with the request of a browser, and follows each call from caller to callee in the header `traceparent`.
//! The clients of `selvage-rpc` add that header and the servers of `selvage-boot` read it, both through [`calls`], which also
//! measures the call. Work that outlives its request stays in the request's span ([`span::Span::around`]). An outbox stores
//! the trace with each message, and processing the message continues it ([`messages`]), so that what follows from a request
//! is in the request's trace. Work for many traces at once, such as fetching a batch, has links to them instead.
//!
//! One click may make seventy spans, so a span is decided on before anything else is done for it ([`span`]): in a trace that
//! isn't recorded, a call costs its ids and a statement one look. Spans of rare things are made with `tracing` and the target
//! [`TRACED`]. Both kinds nest, since each makes itself the current context. A warning in the log becomes an event of the
//! span that is current. A span that ends is encoded into a bounded queue, which a thread of its own empties.

mod batch;
pub mod calls;
mod events;
mod fields;
mod lines;
mod logs;
pub mod messages;
pub mod metrics;
pub mod observed;
mod otlp;
mod process;
pub mod propagation;
mod repeats;
mod resource;
mod settings;
pub mod span;
mod unsupported;

use std::collections::HashMap;
use std::ffi::OsString;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::batch::{Export, Stop};
pub use crate::lines::{flush as flush_log, last_words, log_panics};
use crate::otlp::send::Collector;
use crate::settings::{Settings, Traces};

/// The target of those spans of `tracing` that are sent as traces. Spans with other targets are for debugging, and aren't sent.
pub const TRACED: &str = "selvage_traced";

/// The log, traces and metrics of this process, until [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct Telemetry {
    meters: Option<SdkMeterProvider>,
    exporting: Option<(Stop, JoinHandle<()>)>,
}

impl Telemetry {
    /// Starts the log of the process `service`, and the traces and metrics that the environment asks for. `RUST_LOG` says
    /// what is logged; where it is unset, `default_log` does, in the same form.
    ///
    /// A second call in a process leaves the first one's log as it is: tests start several services in one process.
    ///
    /// # Errors
    /// If a variable has a value that makes no sense or isn't supported, or if a file that it names can't be read. The error
    /// names the variable and what it may be; the process should end with it, since nothing was started.
    pub fn start(service: &'static str, default_log: &str) -> anyhow::Result<Self> {
        let variables = variables()?;
        let filter = logs::filter(variables.get(logs::FILTER).map(String::as_str), default_log)?;
        let settings = Settings::read(|name| variables.get(name).cloned())?;
        let resource = resource::of(service, &settings.resource);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let otlp_metrics = settings.metrics.as_ref().is_some_and(|wanted| wanted.otlp.is_some());
        let (mut meters, mut tracer, mut exporting) = (None, None, None);
        {
            // Connections to a collector are made and driven on this runtime, apart from the process's own work.
            let _on = runtime.enter();
            if let Some(wanted) = settings.metrics {
                let provider = metrics::provider(resource.clone(), wanted, runtime.handle())?;
                opentelemetry::global::set_meter_provider(provider.clone());
                process::observe();
                lines::observe();
                meters = Some(provider);
            }
            if let Some(traces) = settings.traces {
                let (provider, export) = spans(traces, resource)?;
                tracer = Some(provider.tracer("selvage"));
                opentelemetry::global::set_tracer_provider(provider);
                exporting = export;
            }
        }
        if settings.propagate {
            propagation::start();
        }
        let sends = tracer.is_some() || otlp_metrics;
        logs::start(filter, tracer.clone())?;
        if let Some(tracer) = tracer {
            span::start(tracer);
        }
        let exporting = sends.then(|| {
            let (stop, stopped) = batch::stop();
            let work = batch::run(exporting, stopped);
            let thread = std::thread::Builder::new().name("telemetry".to_owned());
            thread.spawn(move || runtime.block_on(work)).map(|thread| (stop, thread))
        });
        Ok(Self { meters, exporting: exporting.transpose()? })
    }

    /// Sends the metrics and then the spans that are left, for at most half of `bound` each, and ends.
    pub fn shutdown(self, bound: Duration) {
        if let Some(meters) = self.meters {
            // Err: the collector didn't take them in time, and there is nobody left to tell.
            let _ = meters.shutdown_with_timeout(bound / 2);
        }
        if let Some((stop, thread)) = self.exporting {
            stop.within(bound / 2);
            let _ = thread.join();
        }
    }
}

/// What makes the spans of `resource`, and what sends them: `None` if the library does.
fn spans(traces: Traces, resource: Resource) -> anyhow::Result<(SdkTracerProvider, Option<Export<Collector>>)> {
    let provider = SdkTracerProvider::builder().with_resource(resource.clone());
    #[cfg(feature = "library-exporter")]
    if otlp::library::is_wanted() {
        let processor = otlp::library::processor(&traces.otlp)?;
        return Ok((provider.with_span_processor(processor).build(), None));
    }
    let collector = Collector::new(traces.otlp).context("traces can't be sent")?;
    let (processor, export) = batch::pair(traces.batch, &resource, collector);
    Ok((provider.with_span_processor(processor).build(), Some(export)))
}

/// The variables of the environment that are about telemetry.
fn variables() -> anyhow::Result<HashMap<String, String>> {
    let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours = all.filter(|(name, _)| name.starts_with("OTEL_") || name == logs::FILTER);
    let in_words = |(name, value): (String, OsString)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => bail!("{name} isn't UTF-8"),
    };
    ours.map(in_words).collect()
}
