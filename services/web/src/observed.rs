//! Each request, with its span and its duration.

use std::sync::{Arc, LazyLock};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use opentelemetry::trace::{Status, TraceContextExt as _};
use selvage_conventions::{SECONDS, error, http as names};
use selvage_telemetry::{TRACED, propagation};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::app::Inner;

/// Tells a browser's developer tools, and whoever looks into a slow page, which trace it is.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Methods that are told apart; strangers may make up others.
const METHODS: [(Method, &str); 3] = [(Method::GET, "GET"), (Method::HEAD, "HEAD"), (Method::POST, "POST")];

/// A trace begins with each request, whatever its sender says of one that it is part of: strangers don't decide what is
/// recorded. What they said is linked. Where the sender is a proxy of our own, its trace is continued.
pub(crate) async fn observe(State(app): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = METHODS.iter().find(|(method, _)| method == request.method()).map_or("_OTHER", |(_, name)| name);
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let span = span(method, route.as_deref());
    if !span.is_disabled() {
        describe(&span, method, route.as_deref(), &request, app.settings.trusted_proxy);
    }
    let scheme = if app.settings.secure_cookies { "https" } else { "http" };
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    if !span.is_disabled() {
        span.set_attribute(names::RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
        span.set_attribute(names::URL_SCHEME, scheme);
        if status.is_server_error() {
            span.set_attribute(error::TYPE, status.as_str().to_owned());
            span.set_status(Status::error(""));
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

fn span(method: &str, route: Option<&str>) -> Span {
    let name = format_args!("{method} {}", route.unwrap_or_default());
    match route {
        Some(_) => tracing::info_span!(target: TRACED, "http", otel.name = name, otel.kind = "server"),
        None => tracing::info_span!(target: TRACED, "http", otel.name = method, otel.kind = "server"),
    }
}

fn describe(span: &Span, method: &'static str, route: Option<&str>, request: &Request, trusted: bool) {
    let sent = propagation::extract(request.headers());
    if trusted {
        // Err: the span has begun already, which a new one hasn't.
        let _ = span.set_parent(sent);
    } else {
        span.add_link(sent.span().span_context().clone());
    }
    span.set_attribute(names::REQUEST_METHOD, method);
    // A path may bear an order's number; never what somebody searched for.
    span.set_attribute(names::URL_PATH, request.uri().path().to_owned());
    if let Some(route) = route {
        span.set_attribute(names::ROUTE, route.to_owned());
    }
}
