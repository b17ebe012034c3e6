//! Passes trace contexts on: as W3C Trace Context in headers, and as text in a message that waits in a database.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;

use crate::span::{self, Span};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Whether contexts are taken from callers and given to callees.
static ENABLED: AtomicBool = AtomicBool::new(false);

pub(crate) fn start() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// The context that a caller sent. It is empty if the caller sent none, or where no traces are made.
pub fn extract(headers: &HeaderMap) -> Context {
    if !span::are_made() || !ENABLED.load(Ordering::Relaxed) || !headers.contains_key(TRACEPARENT) {
        return Context::new();
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers))
}

/// Adds the context of `span` to the headers of a call. If it is no span, the current context is added, if there is one.
pub fn inject(span: &Span, headers: &mut HeaderMap) {
    if !ENABLED.load(Ordering::Relaxed) {
        return;
    }
    let context = span.context();
    let context = context.span();
    let context = context.span_context();
    let Some(mut value) = to_text(context).and_then(|text| HeaderValue::try_from(text).ok()) else { return };
    // Marked as sensitive, so that HPACK doesn't put it into the connection's table: no two calls have the same value.
    value.set_sensitive(true);
    headers.insert(TRACEPARENT, value);
    if let Ok(state) = HeaderValue::try_from(context.trace_state().header())
        && !state.is_empty()
    {
        headers.insert(TRACESTATE, state);
    }
}

/// The current context as a `traceparent`, to be stored with a message that is processed later.
pub fn traceparent() -> Option<String> {
    Context::map_current(|context| context.has_active_span().then(|| to_text(context.span().span_context())))?
}

/// The context of `span` as a `traceparent`, if the span is recorded.
pub fn sampled_traceparent(span: &Span) -> Option<String> {
    to_text(span.recorded()?.span_context())
}

fn to_text(context: &SpanContext) -> Option<String> {
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    context.is_valid().then(|| format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id()))
}

/// Reads what [`traceparent`] wrote; `None` if it is no context.
pub(crate) fn from_traceparent(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lengths = (version.len(), trace.len(), span.len(), flags.len());
    if version != "00" || lengths != (2, 32, 16, 2) || parts.next().is_some() {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

/// The context in which the trace of `traceparent` continues; an empty one if there is none.
pub(crate) fn continued(traceparent: Option<&str>) -> Context {
    let parent = traceparent.and_then(from_traceparent);
    parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_was_written_down_is_read_again() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = from_traceparent(text).unwrap();
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(to_text(&context).as_deref(), Some(text));
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        ] {
            assert!(from_traceparent(wrong).is_none(), "{wrong}");
        }
    }
}
