//! The library's own exporter of spans. Nothing that is shipped has it: it is what `--bench overhead` sets ours beside, to
//! say whether `encode` and `send` are still worth their lines.

use std::pin::Pin;

use anyhow::ensure;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanExporter as _};
use tokio::runtime::Handle;

use super::metrics::On;
use super::settings::{Otlp, Protocol};

/// Whether this process is to send its spans by the library.
pub(crate) fn is_wanted() -> bool {
    std::env::var("SELVAGE_SPAN_EXPORTER").is_ok_and(|value| value == "library")
}

/// A processor and an exporter as the library has them, with the same collector and the same variables for batches. To be
/// called within the runtime on which the collector is connected to.
///
/// # Errors
/// If anything but gRPC without TLS is asked for, which is all that the measurement speaks.
pub(crate) fn processor(otlp: &Otlp) -> anyhow::Result<BatchSpanProcessor> {
    ensure!(otlp.protocol == Protocol::Grpc, "the library's exporter is there to be measured, by gRPC alone");
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(otlp.endpoint.to_string());
    let exporter = exporter.with_timeout(otlp.timeout).build()?;
    Ok(BatchSpanProcessor::builder(Exporter { exporter, runtime: Handle::current() }).build())
}

/// The SDK exports on a thread of its own, which knows no runtime to connect on.
#[derive(Debug)]
struct Exporter {
    exporter: SpanExporter,
    runtime: Handle,
}

impl opentelemetry_sdk::trace::SpanExporter for Exporter {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        On { runtime: &self.runtime, work: Box::pin(self.exporter.export(batch)) as Pin<Box<_>> }
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.exporter.set_resource(resource);
    }
}
