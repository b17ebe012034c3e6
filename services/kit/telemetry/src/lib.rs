//! What a process says of itself: its log, its traces and its metrics.
//!
//! [`Telemetry::start`] reads OpenTelemetry's standard variables (`OTEL_*`) and says which of them makes no sense. Metrics
//! are there for whoever asks ([`metrics::text`]); traces and metrics are sent by OTLP where an endpoint is given. A
//! collector that is away, slow or silent costs nothing but the spans that it doesn't get, and those are counted.

mod batch;
pub mod calls;
mod events;
mod logs;
pub mod messages;
pub mod metrics;
pub mod observed;
mod otlp;
mod process;
pub mod propagation;
mod settings;
pub mod span;

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::batch::Stop;
use crate::otlp::send::Collector;
use crate::settings::Settings;

/// The target of `tracing`'s spans that are meant for traces. Others are the business of those who debug, and go nowhere.
pub const TRACED: &str = "selvage_traced";

/// What is said, until it is shut down.
#[derive(Debug)]
pub struct Telemetry {
    meters: Option<SdkMeterProvider>,
    exporting: Option<(Stop, JoinHandle<()>)>,
}

impl Telemetry {
    /// Starts the log, and what the environment says of traces and metrics, for the process `service`. `RUST_LOG` chooses
    /// what is logged and wins over `default_log`, which has the same form.
    ///
    /// A second call in a process leaves the first one's log as it is: tests start several services in one process.
    ///
    /// # Errors
    /// If a variable has a value that makes no sense or that isn't supported, named with what would do; nothing is
    /// started then.
    pub fn start(service: &'static str, default_log: &str) -> anyhow::Result<Self> {
        let settings = Settings::read(|name| std::env::var(name).ok())?;
        let resource = resource(service);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let otlp_metrics = settings.metrics.as_ref().is_some_and(|wanted| wanted.otlp.is_some());
        let (mut meters, mut tracer, mut exporting) = (None, None, None);
        {
            // What connects to a collector does so on this runtime, apart from the process's own work.
            let _on = runtime.enter();
            if let Some(wanted) = settings.metrics {
                let provider = metrics::provider(resource.clone(), wanted, runtime.handle())?;
                opentelemetry::global::set_meter_provider(provider.clone());
                process::observe();
                meters = Some(provider);
            }
            if let Some(traces) = settings.traces {
                let collector = Collector::new(traces.otlp).context("traces can't be sent")?;
                let (processor, export) = batch::pair(traces.batch, &resource, collector);
                let provider = SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource);
                let provider = provider.build();
                tracer = Some(provider.tracer("selvage"));
                opentelemetry::global::set_tracer_provider(provider);
                exporting = Some(export);
            }
        }
        if settings.propagate {
            propagation::start();
        }
        logs::start(default_log, tracer.clone());
        if let Some(tracer) = tracer {
            span::start(tracer);
        }
        let sends = exporting.is_some() || otlp_metrics;
        let exporting = sends.then(|| {
            let (stop, stopped) = batch::stop();
            let work = batch::run(exporting, stopped);
            let thread = std::thread::Builder::new().name("telemetry".to_owned());
            thread.spawn(move || runtime.block_on(work)).map(|thread| (stop, thread))
        });
        Ok(Self { meters, exporting: exporting.transpose()? })
    }

    /// Sends what is left, metrics and then traces, each for at most half of `bound`, and ends.
    pub fn shutdown(self, bound: Duration) {
        if let Some(meters) = self.meters {
            // Whoever can't be told now isn't told.
            let _ = meters.shutdown_with_timeout(bound / 2);
        }
        if let Some((stop, thread)) = self.exporting {
            stop.within(bound / 2);
            let _ = thread.join();
        }
    }
}

/// Who speaks: the variables `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win.
fn resource(service: &'static str) -> Resource {
    let named = Resource::builder().build();
    let default = Resource::builder_empty()
        .with_service_name(service)
        .with_attribute(opentelemetry::KeyValue::new("service.namespace", "selvage"))
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let unknown = |value: &opentelemetry::Value| value.as_str().starts_with("unknown_service");
    let said = named.iter().filter(|(key, value)| !(key.as_str() == "service.name" && unknown(value)));
    let said = said.map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_attributes(default.iter().map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone())))
        .with_attributes(said)
        .build()
}
