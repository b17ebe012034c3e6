//! Each request, with its span and its duration.

use std::sync::{Arc, LazyLock};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method};
use opentelemetry::metrics::Histogram;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use selvage_conventions::{SECONDS, error, http as names};
use selvage_telemetry::propagation;
use selvage_telemetry::span::Span;
use tokio::time::Instant;

use crate::settings::Settings;

/// Names the page's trace to a browser's developer tools, and so to whoever looks into a slow page.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Methods with a name of their own in metrics. Any other is counted as `_OTHER`, since clients can invent methods.
const METHODS: [(Method, &str); 3] = [(Method::GET, "GET"), (Method::HEAD, "HEAD"), (Method::POST, "POST")];

/// Measures a request, and begins a trace with it, whatever trace its sender names: strangers don't decide what is recorded.
/// The trace that they named is linked. Where the sender is a proxy of our own, its trace is continued.
pub(crate) async fn observe(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = METHODS.iter().find(|(method, _)| method == request.method()).map_or("_OTHER", |(_, name)| name);
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let sent = propagation::extract(request.headers());
    let span = if settings.trusted_proxy {
        Span::within(&sent, SpanKind::Server, method)
    } else {
        let span = Span::within(&Context::new(), SpanKind::Server, method);
        let sent = sent.span().span_context().clone();
        if let Some(recorded) = span.recorded()
            && sent.is_valid()
        {
            recorded.add_link(sent, Vec::new());
        }
        span
    };
    describe(&span, method, route.as_deref(), &request);
    let scheme = if settings.secure_cookies { "https" } else { "http" };
    let mut response = span.run(next.run(request)).await;
    let status = response.status();
    if let Some(recorded) = span.recorded() {
        recorded.set_attributes([
            KeyValue::new(names::RESPONSE_STATUS_CODE, i64::from(status.as_u16())),
            KeyValue::new(names::URL_SCHEME, scheme),
        ]);
        if status.is_server_error() {
            recorded.set_attribute(KeyValue::new(error::TYPE, status.as_str().to_owned()));
            recorded.set_status(Status::error(""));
        }
        let header = propagation::sampled_traceparent(&span).map(|text| format!("traceparent;desc=\"{text}\""));
        if let Some(header) = header.and_then(|header| HeaderValue::try_from(header).ok()) {
            response.headers_mut().append(SERVER_TIMING, header);
        }
    }
    let mut attributes = vec![
        KeyValue::new(names::REQUEST_METHOD, method),
        KeyValue::new(names::RESPONSE_STATUS_CODE, i64::from(status.as_u16())),
        KeyValue::new(names::URL_SCHEME, scheme),
    ];
    attributes.extend(route.map(|route| KeyValue::new(names::ROUTE, route)));
    if status.is_server_error() {
        attributes.push(KeyValue::new(error::TYPE, status.as_str().to_owned()));
    }
    DURATION.record(begun.elapsed().as_secs_f64(), &attributes);
    response
}

static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    opentelemetry::global::meter("selvage.web")
        .f64_histogram(names::SERVER_REQUEST_DURATION)
        .with_unit("s")
        .with_description("Duration of HTTP server requests.")
        .with_boundaries(SECONDS.to_vec())
        .build()
});

fn describe(span: &Span, method: &'static str, route: Option<&str>, request: &Request) {
    let Some(recorded) = span.recorded() else { return };
    recorded.set_attributes([
        KeyValue::new(names::REQUEST_METHOD, method),
        // A path may bear an order's number; never what somebody searched for.
        KeyValue::new(names::URL_PATH, request.uri().path().to_owned()),
    ]);
    if let Some(route) = route {
        recorded.update_name(format!("{method} {route}"));
        recorded.set_attribute(KeyValue::new(names::ROUTE, route.to_owned()));
    }
}
