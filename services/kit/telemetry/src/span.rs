//! The spans of calls, requests and messages.
//!
//! Each call, request and message has a span, also at the peak, so they are made by OpenTelemetry's own interface, which
//! decides whether a span is recorded before it does anything else. A span that isn't recorded costs little more than its
//! ids, which are passed on so that callees decide alike. Spans of rarer things are made with `tracing`, with the target
//! [`TRACED`](crate::TRACED). Both kinds nest in each other.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context as TaskContext, Poll};

use opentelemetry::trace::{Span as _, SpanKind, SpanRef, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, ContextGuard};
use opentelemetry_sdk::trace::SdkTracer;

/// Unset where no traces are made.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Makes spans with `tracer` from now on. A second call changes nothing.
pub(crate) fn start(tracer: SdkTracer) {
    // Err: tests start several services in one process.
    let _ = TRACER.set(tracer);
}

/// Whether traces are made at all.
pub(crate) fn are_made() -> bool {
    TRACER.get().is_some()
}

/// A span, or none where no traces are made. It ends when this value is dropped.
#[derive(Debug, Default)]
pub struct Span(Option<Context>);

impl Span {
    /// No span. What runs in it belongs to the span around it.
    pub const fn none() -> Self {
        Self(None)
    }

    /// The current span, for work that outlives it.
    pub fn around() -> Around {
        Around(Context::map_current(|current| current.has_active_span().then(|| current.clone())))
    }

    /// A span in `parent`'s trace, or the first of a new one. The sampler says whether it is recorded.
    pub fn within(parent: &Context, kind: SpanKind, name: impl Into<Cow<'static, str>>) -> Self {
        let Some(tracer) = TRACER.get() else { return Self::none() };
        let span = tracer.build_with_context(tracer.span_builder(name).with_kind(kind), parent);
        Self(Some(if span.is_recording() {
            parent.with_span(span)
        } else {
            parent.with_remote_span_context(span.span_context().clone())
        }))
    }

    /// A span within the current one. It is none if the current one isn't recorded; callees are then passed the ids of that.
    pub fn here(kind: SpanKind, name: impl Into<Cow<'static, str>>) -> Self {
        Context::map_current(|current| {
            let around = current.span();
            let around = around.span_context();
            if around.is_valid() && !around.is_sampled() { Self::none() } else { Self::within(current, kind, name) }
        })
    }

    /// The span as something to set attributes of; `None` if it isn't recorded.
    pub fn recorded(&self) -> Option<SpanRef<'_>> {
        let span = self.0.as_ref()?.span();
        span.span_context().is_sampled().then_some(span)
    }

    /// The context with this span in it; the current one if there is no span.
    pub fn context(&self) -> Context {
        self.0.clone().unwrap_or_else(Context::current)
    }

    /// Runs `work` in it.
    pub fn run<F: Future>(&self, work: F) -> Run<F> {
        Run { context: self.0.clone(), work }
    }

    /// Makes it the current span until the guard is dropped. There must be no `await` in between.
    pub fn enter(&self) -> Option<ContextGuard> {
        self.0.clone().map(Context::attach)
    }
}

impl Drop for Span {
    /// Ends the span, even if work that was begun for it still refers to it.
    fn drop(&mut self) {
        if let Some(span) = self.recorded() {
            span.end();
        }
    }
}

/// A reference to a span, or to none. It doesn't end the span.
#[derive(Clone, Debug)]
pub struct Around(Option<Context>);

impl Around {
    /// Links the current span to this one: the work of the current span is done for this one too.
    pub fn link(&self) {
        let Some(there) = &self.0 else { return };
        let there = there.span().span_context().clone();
        Context::map_current(|current| {
            let here = current.span();
            if here.span_context().is_sampled() {
                here.add_link(there, Vec::new());
            }
        });
    }

    /// Runs `work` in that span.
    pub fn run<F: Future>(&self, work: F) -> Run<F> {
        Run { context: self.0.clone(), work }
    }
}

pin_project_lite::pin_project! {
    /// Work that runs in a span.
    #[derive(Debug)]
    pub struct Run<F> {
        context: Option<Context>,
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for Run<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _in = this.context.clone().map(Context::attach);
        this.work.poll(task)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState, TracerProvider as _};
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
    use tracing::subscriber::with_default;
    use tracing_subscriber::EnvFilter;

    use super::*;
    use crate::propagation::{inject, traceparent};
    use crate::{TRACED, logs, propagation};

    /// What a caller sent whose trace is sampled, or isn't.
    fn from_caller(flags: TraceFlags) -> Context {
        let (trace, span) = (TraceId::from(7), SpanId::from(8));
        Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, true, TraceState::NONE))
    }

    /// One test: there is one tracer in a process.
    #[tokio::test]
    async fn what_is_recorded_is_decided_first_and_nests_with_tracings_spans() {
        assert!(Span::within(&from_caller(TraceFlags::SAMPLED), SpanKind::Server, "before").recorded().is_none());

        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        start(provider.tracer("test"));

        let unsampled = Span::within(&from_caller(TraceFlags::default()), SpanKind::Server, "unsampled");
        assert!(unsampled.recorded().is_none());
        let passed_on = unsampled.run(async {
            let inner = Span::here(SpanKind::Client, "inner");
            assert!(inner.recorded().is_none());
            let mut headers = http::HeaderMap::new();
            propagation::start();
            inject(&inner, &mut headers);
            (headers["traceparent"].to_str().unwrap().to_owned(), traceparent())
        });
        let (sent, stored) = passed_on.await;
        assert_eq!(Some(&sent), stored.as_ref());
        assert!(sent.starts_with("00-00000000000000000000000000000007-") && sent.ends_with("-00"), "{sent}");
        let headers = http::HeaderMap::from_iter([("traceparent".parse().unwrap(), sent.parse().unwrap())]);
        let received = propagation::extract(&headers);
        assert_eq!(received.span().span_context().trace_id(), TraceId::from(7));
        drop(unsampled);

        let nowhere = crate::lines::Lines::to(std::io::sink()).unwrap();
        let subscriber = logs::subscriber(EnvFilter::new("off"), Some(provider.tracer("bridge")), nowhere);
        with_default(subscriber, || {
            let outer = Span::within(&from_caller(TraceFlags::SAMPLED), SpanKind::Server, "outer");
            let _in_outer = outer.enter();
            tracing::warn!(size = 42, "too long");
            let middle = tracing::info_span!(target: TRACED, "middle").entered();
            tracing::warn!("too wide");
            drop(Span::here(SpanKind::Client, "inner"));
            drop(middle);
            let goes_on = Span::around();
            let other = Span::within(&Context::new(), SpanKind::Server, "other");
            {
                let _in_other = other.enter();
                goes_on.link();
            }
            drop(outer);
            drop(goes_on);
        });

        let spans = exporter.get_finished_spans().unwrap();
        let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        assert_eq!(spans.len(), 4, "{spans:?}");
        let (outer, middle, inner) = (named("outer"), named("middle"), named("inner"));
        assert_eq!(outer.parent_span_id, SpanId::from(8));
        assert_eq!(middle.parent_span_id, outer.span_context.span_id());
        assert_eq!(inner.parent_span_id, middle.span_context.span_id());
        let said = |span: &opentelemetry_sdk::trace::SpanData| {
            span.events.iter().map(|event| event.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!((said(outer), said(middle)), (vec!["too long".to_owned()], vec!["too wide".to_owned()]));
        assert_eq!(outer.events[0].attributes[0].value.as_str(), "42");
        let other = named("other");
        assert_ne!(other.span_context.trace_id(), outer.span_context.trace_id());
        let linked: Vec<_> = other.links.iter().map(|link| &link.span_context).collect();
        assert_eq!(linked, [&outer.span_context]);
    }
}
