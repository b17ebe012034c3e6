//! Traces and metrics are sent in OTLP, OpenTelemetry's protocol.
//!
//! Metrics are sent once a minute, by the library. An order makes some seventy spans, so they are sent by code of our own:
//! a span is encoded in the moment when it ends, while it is in the processor's cache, and only its bytes wait to be sent.
//! The library's exporter instead keeps each span as a tree of some thirty allocations, copies it twice, and frees it on
//! another thread than the one that allocated it, which costs several times what making the span costs.
//!
//! This code stays for as long as that difference does. `cargo bench --workspace --bench overhead` measures both in one run,
//! prints the verdict, and fails when the library has become as good; the feature `library-exporter` is for that benchmark.

pub(crate) mod encode;
#[cfg(feature = "library-exporter")]
pub(crate) mod library;
pub(crate) mod metrics;
pub(crate) mod send;
pub(crate) mod settings;
