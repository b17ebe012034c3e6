//! Trace contexts on their way: W3C Trace Context in headers, and as text where a message waits in a database.

use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, global};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The context that a caller sent, or an empty one.
pub fn extract(headers: &HeaderMap) -> Context {
    global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers))
    })
}

/// Puts `span`'s context into the headers for a callee; a span that isn't traced has none.
pub fn inject(span: &Span, headers: &mut HeaderMap) {
    if !span.is_disabled() {
        let context = span.context();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut HeaderInjector(headers));
        });
    }
}

/// The `traceparent` of what runs now, to be stored with what is to be done later.
pub fn traceparent() -> Option<String> {
    Context::map_current(|context| context.has_active_span().then(|| to_text(context.span().span_context())))?
}

/// The `traceparent` of `span`, if it will be seen by somebody.
pub fn sampled_traceparent(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    if context.is_sampled() { to_text(&context) } else { None }
}

fn to_text(context: &SpanContext) -> Option<String> {
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    context.is_valid().then(|| format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id()))
}

/// The context that [`traceparent`] wrote down; `None` if it isn't one.
pub fn from_traceparent(text: &str) -> Option<SpanContext> {
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

/// Makes `span` a part of the trace that `traceparent` is of.
pub fn continue_from(span: &Span, traceparent: Option<&str>) {
    if !span.is_disabled()
        && let Some(parent) = traceparent.and_then(from_traceparent)
    {
        // Err: the span has begun already, which a new one hasn't.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
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
