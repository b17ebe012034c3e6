//! What speaks OTLP. Where to, with which headers, compression and time-outs: `OTEL_EXPORTER_OTLP_*`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry_otlp::{MetricExporter, Protocol as Wire, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use tokio::runtime::Handle;

use crate::settings::Protocol;

pub(crate) fn spans(protocol: Protocol) -> anyhow::Result<SpanExporter> {
    Ok(match protocol {
        Protocol::Grpc => SpanExporter::builder().with_tonic().build()?,
        Protocol::HttpProtobuf => SpanExporter::builder().with_http().with_protocol(Wire::HttpBinary).build()?,
    })
}

/// Sends metrics. The SDK asks for that on a thread of its own, which knows no runtime to connect on.
pub(crate) struct Metrics {
    exporter: MetricExporter,
    runtime: Handle,
}

pub(crate) fn metrics(protocol: Protocol, runtime: &Handle) -> anyhow::Result<Metrics> {
    let exporter = match protocol {
        Protocol::Grpc => MetricExporter::builder().with_tonic().build()?,
        Protocol::HttpProtobuf => MetricExporter::builder().with_http().with_protocol(Wire::HttpBinary).build()?,
    };
    Ok(Metrics { exporter, runtime: runtime.clone() })
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

/// Work that finds `runtime` wherever it is polled.
struct On<'a, F> {
    runtime: &'a Handle,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for On<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _on = self.runtime.enter();
        self.work.as_mut().poll(cx)
    }
}
