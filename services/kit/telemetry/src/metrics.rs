//! Metrics. Prometheus fetches them, and OTLP sends them, from the same instruments.

use std::sync::OnceLock;

use anyhow::Context as _;
use opentelemetry::Key;
use opentelemetry_prometheus::ResourceSelector;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prometheus::{Registry, TextEncoder};
use tokio::runtime::Handle;

use crate::otlp;
use crate::settings::Metrics;

pub use prometheus::proto;

/// The content type of [`text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

static REGISTRY: OnceLock<Registry> = OnceLock::new();

pub(crate) fn provider(resource: Resource, wanted: Metrics, runtime: &Handle) -> anyhow::Result<SdkMeterProvider> {
    let registry = REGISTRY.get_or_init(Registry::new);
    let prometheus = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        // The names of metrics begin with their scope.
        .scope_info_enabled(false)
        // Every series names its service, whatever Prometheus' configuration calls the job.
        .with_resource_selector(ResourceSelector::KeyAllowList([Key::from_static_str("service.name")].into()))
        .build();
    let mut provider = SdkMeterProvider::builder().with_resource(resource);
    // Err: an earlier start in this process registered its exporter, which stays.
    if let Ok(prometheus) = prometheus {
        provider = provider.with_reader(prometheus);
    }
    if let Some(otlp) = wanted.otlp {
        let exporter = otlp::metrics::Metrics::new(otlp, runtime).context("metrics can't be sent")?;
        provider = provider.with_reader(PeriodicReader::builder(exporter).build());
    }
    Ok(provider.build())
}

/// All metrics of this process as they are now. There are none before [`Telemetry::start`](crate::Telemetry::start).
pub fn families() -> Vec<proto::MetricFamily> {
    REGISTRY.get().map(Registry::gather).unwrap_or_default()
}

/// The same in Prometheus' text format.
pub fn text() -> String {
    let mut text = String::new();
    // Err: a family without a name or without samples, of which the registry has none.
    let _ = TextEncoder::new().encode_utf8(&families(), &mut text);
    text
}

/// Adds the metrics of the runtime on which the process works.
pub fn observe_runtime(runtime: &Handle) {
    let meter = opentelemetry::global::meter("selvage.runtime");
    type Number = fn(&Handle) -> usize;
    let numbers: [(&'static str, &'static str, &'static str, Number); 3] = [
        ("selvage.runtime.workers", "{thread}", "Threads that run tasks.", |runtime| runtime.metrics().num_workers()),
        ("selvage.runtime.tasks", "{task}", "Tasks that have begun and not ended.", |runtime| {
            runtime.metrics().num_alive_tasks()
        }),
        ("selvage.runtime.queue", "{task}", "Tasks that wait in the queue of all threads.", |runtime| {
            runtime.metrics().global_queue_depth()
        }),
    ];
    for (name, unit, description, number) in numbers {
        let runtime = runtime.clone();
        meter
            .u64_observable_gauge(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |instrument| instrument.observe(number(&runtime) as u64, &[]))
            .build();
    }
}
