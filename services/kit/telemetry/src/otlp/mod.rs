//! OTLP, in which traces and metrics are sent.
//!
//! Metrics are sent once a minute, by the library. Spans are many: they are written in OTLP's form where they end, while
//! they are in the processor's cache, and what waits and is sent is that text. (The library's exporter keeps each span as
//! a tree of some thirty allocations, copies it twice, and has it freed by another thread than allocated it, which together
//! cost several times what making the span did.)

pub(crate) mod encode;
pub(crate) mod metrics;
pub(crate) mod send;
pub(crate) mod settings;
