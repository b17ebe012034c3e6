//! Remote calls, served and made: a span and a duration for each.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use opentelemetry::trace::Status;
use selvage_conventions::{SECONDS, error, rpc};
use tokio::time::Instant;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{TRACED, propagation};

/// gRPC's status codes by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// What a server answers with when it is at fault; the others are the caller's doing, or its luck.
const SERVER_FAULTS: [&str; 6] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
const UNIMPLEMENTED: &str = "UNIMPLEMENTED";
/// Asked every few seconds by whoever looks after the process, and never the reason for anything: in no trace.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Methods that are told apart in metrics: more than there are in all services together.
const MAX_METHODS: usize = 256;

/// The name of the status that `headers` (or trailers) end a call with, if they do.
pub fn code(headers: &HeaderMap) -> Option<&'static str> {
    let number = headers.get("grpc-status")?.to_str().ok().and_then(|text| text.parse::<usize>().ok());
    Some(number.and_then(|number| CODES.get(number)).copied().unwrap_or("UNKNOWN"))
}

/// The name of a status.
pub fn name_of(code: i32) -> &'static str {
    usize::try_from(code).ok().and_then(|code| CODES.get(code)).copied().unwrap_or("UNKNOWN")
}

/// The call in whose span this runs was tried again, `times` times so far.
pub fn retried(times: u32) {
    Span::current().set_attribute(rpc::RETRIES, i64::from(times));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

/// A call under way. It ends with [`Call::end`], or when it is dropped: cancelled then.
#[derive(Debug)]
pub struct Call {
    side: Side,
    span: Span,
    /// `package.Service/Method`.
    method: String,
    begun: Instant,
    ended: bool,
}

impl Call {
    /// A call that came in with `headers`, to `path`: "/package.Service/Method".
    pub fn served(path: &str, headers: &HeaderMap) -> Self {
        let method = path.trim_start_matches('/');
        let span = if path.starts_with(HEALTH) {
            Span::none()
        } else {
            tracing::info_span!(target: TRACED, "rpc", otel.name = method, otel.kind = "server")
        };
        if !span.is_disabled() {
            // Err: the span has begun already, which a new one hasn't.
            let _ = span.set_parent(propagation::extract(headers));
        }
        Self::begun(Side::Server, span, method)
    }

    /// A call that is made to `path`.
    pub fn made(path: &str) -> Self {
        let method = path.trim_start_matches('/');
        let span = tracing::info_span!(target: TRACED, "rpc", otel.name = method, otel.kind = "client");
        Self::begun(Side::Client, span, method)
    }

    fn begun(side: Side, span: Span, method: &str) -> Self {
        if !span.is_disabled() {
            span.set_attribute(rpc::SYSTEM_NAME, rpc::GRPC);
            span.set_attribute(rpc::METHOD, method.to_owned());
        }
        Self { side, span, method: method.to_owned(), begun: Instant::now(), ended: false }
    }

    /// The span that its work belongs into.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// It has ended with the status of that name.
    pub fn end(&mut self, code: &'static str) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let failed = match self.side {
            Side::Server => SERVER_FAULTS.contains(&code),
            Side::Client => code != "OK",
        };
        if !self.span.is_disabled() {
            self.span.set_attribute(rpc::RESPONSE_STATUS_CODE, code);
            if failed {
                self.span.set_attribute(error::TYPE, code);
                self.span.set_status(Status::error(""));
            }
        }
        record(self.side, &self.method, code, failed, self.begun.elapsed());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { "INTERNAL" } else { "CANCELLED" });
    }
}

fn record(side: Side, method: &str, code: &'static str, failed: bool, took: Duration) {
    static DURATIONS: LazyLock<[Histogram<f64>; 2]> = LazyLock::new(|| {
        let meter = opentelemetry::global::meter("selvage.rpc");
        [
            (rpc::SERVER_CALL_DURATION, "Measures the duration of an incoming Remote Procedure Call (RPC)."),
            (rpc::CLIENT_CALL_DURATION, "Measures the duration of an outgoing Remote Procedure Call (RPC)."),
        ]
        .map(|(name, description)| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        })
    });
    let method = if code == UNIMPLEMENTED { rpc::OTHER } else { known(method) };
    let attributes = [
        KeyValue::new(rpc::SYSTEM_NAME, rpc::GRPC),
        KeyValue::new(rpc::METHOD, method),
        KeyValue::new(rpc::RESPONSE_STATUS_CODE, code),
        KeyValue::new(error::TYPE, code),
    ];
    let attributes = if failed { &attributes[..] } else { &attributes[..3] };
    DURATIONS[side as usize].record(took.as_secs_f64(), attributes);
}

/// The same name for as long as the process lives, so that recording it allocates nothing. Whoever asks for methods that
/// aren't there gets UNIMPLEMENTED and no name here; the bound is for what nobody has thought of.
fn known(method: &str) -> &'static str {
    static KNOWN: LazyLock<RwLock<HashMap<String, &'static str>>> = LazyLock::new(RwLock::default);
    if let Some(known) = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(method) {
        return known;
    }
    let mut all = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= MAX_METHODS {
        return rpc::OTHER;
    }
    all.entry(method.to_owned()).or_insert_with(|| Box::leak(method.to_owned().into_boxed_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_called_by_its_name() {
        let with = |status: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", http::HeaderValue::from_static(status));
            code(&headers)
        };
        assert_eq!((with("0"), with("8")), (Some("OK"), Some("RESOURCE_EXHAUSTED")));
        assert_eq!((with("99"), with("x"), code(&HeaderMap::new())), (Some("UNKNOWN"), Some("UNKNOWN"), None));
    }

    #[test]
    fn names_are_bounded() {
        for number in 0..2 * MAX_METHODS {
            known(&format!("made.up/Method{number}"));
        }
        assert_eq!(known("made.up/Method0"), "made.up/Method0");
        assert_eq!(known("made.up/One.too.many"), rpc::OTHER);
    }
}
