//! Sends metrics to a collector.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry_otlp::{
    Compression, MetricExporter, Protocol as Wire, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use tokio::runtime::Handle;
use tonic::metadata::MetadataMap;

use super::send;
use super::settings::{Otlp, Protocol};

/// Sends metrics. The SDK calls it on a thread of its own, which has no runtime to connect on.
pub(crate) struct Metrics {
    exporter: MetricExporter,
    runtime: Handle,
}

impl Metrics {
    /// # Errors
    /// If a file for TLS can't be read, with the variable that names it.
    pub(crate) fn new(otlp: Otlp, runtime: &Handle) -> anyhow::Result<Self> {
        let exporter = match otlp.protocol {
            Protocol::Grpc => {
                let mut exporter = MetricExporter::builder().with_tonic();
                if otlp.endpoint.scheme() == Some(&http::uri::Scheme::HTTPS) {
                    exporter = exporter.with_tls_config(send::tls(&otlp.tls)?);
                }
                if otlp.gzip {
                    exporter = exporter.with_compression(Compression::Gzip);
                }
                let exporter = exporter.with_metadata(MetadataMap::from_headers(otlp.headers));
                exporter.with_endpoint(otlp.endpoint.to_string()).with_timeout(otlp.timeout).build()?
            }
            Protocol::HttpProtobuf => {
                let headers = otlp.headers.iter();
                let headers =
                    headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
                let exporter = MetricExporter::builder().with_http().with_protocol(Wire::HttpBinary);
                let exporter = exporter.with_headers(headers.collect()).with_endpoint(otlp.endpoint.to_string());
                exporter.with_timeout(otlp.timeout).build()?
            }
        };
        Ok(Self { exporter, runtime: runtime.clone() })
    }
}

impl PushMetricExporter for Metrics {
    fn export(&self, metrics: &ResourceMetrics) -> impl Future<Output = OTelSdkResult> + Send {
        On { runtime: &self.runtime, work: Box::pin(self.exporter.export(metrics)) }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// Work that runs within `runtime`, on whichever thread it is polled.
pub(super) struct On<'a, F> {
    pub(super) runtime: &'a Handle,
    pub(super) work: Pin<Box<F>>,
}

impl<F: Future> Future for On<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _on = self.runtime.enter();
        self.work.as_mut().poll(cx)
    }
}
