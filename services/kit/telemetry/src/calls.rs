//! Remote calls, served and made: a span and a duration for each.

use std::collections::HashSet;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::metrics::Histogram;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use selvage_conventions::{SECONDS, error, rpc};
use tokio::time::Instant;

use crate::propagation;
use crate::span::Span;

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
/// The codes that a server answers with when it is itself at fault, and not the caller.
const SERVER_FAULTS: [&str; 6] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
const UNIMPLEMENTED: &str = "UNIMPLEMENTED";
/// Health checks come every few seconds and cause nothing, so they are in no trace.
const HEALTH: &str = "grpc.health.v1.Health/";
/// How many methods that are called metrics tell apart: more than all services together have.
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

/// Notes in the current span that its call was retried `times` times so far.
pub fn retried(times: u32) {
    Context::map_current(|current| {
        current.span().set_attribute(KeyValue::new(rpc::RETRIES, i64::from(times)));
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

/// A call under way. It ends with [`Call::end`]. If it is dropped before that, it counts as cancelled.
#[derive(Debug)]
pub struct Call {
    side: Side,
    span: Span,
    /// `package.Service/Method`, or [`rpc::OTHER`].
    method: &'static str,
    begun: Instant,
    ended: bool,
}

impl Call {
    /// A call that came in with `headers`, to `method`: "package.Service/Method", as the descriptors of the services call it.
    /// `None` is any other, which its caller may have made up.
    pub fn served(method: Option<&'static str>, headers: &HeaderMap) -> Self {
        let method = method.unwrap_or(rpc::OTHER);
        let span = if method.starts_with(HEALTH) {
            Span::none()
        } else {
            Span::within(&propagation::extract(headers), SpanKind::Server, method)
        };
        Self::begun(Side::Server, span, method)
    }

    /// A call that is made to `path`: "/package.Service/Method", as one of our own clients says it.
    pub fn made(path: &str) -> Self {
        let method = learned(path.trim_start_matches('/'));
        Self::begun(Side::Client, Span::here(SpanKind::Client, method), method)
    }

    fn begun(side: Side, span: Span, method: &'static str) -> Self {
        if let Some(recorded) = span.recorded() {
            recorded.set_attributes([KeyValue::new(rpc::SYSTEM_NAME, rpc::GRPC), KeyValue::new(rpc::METHOD, method)]);
        }
        Self { side, span, method, begun: Instant::now(), ended: false }
    }

    /// The span that its work belongs to.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Ends it with the status of that name: one of gRPC's, such as "OK".
    pub fn end(&mut self, code: &'static str) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let failed = match self.side {
            Side::Server => SERVER_FAULTS.contains(&code),
            Side::Client => code != "OK",
        };
        if let Some(recorded) = self.span.recorded() {
            recorded.set_attribute(KeyValue::new(rpc::RESPONSE_STATUS_CODE, code));
            if failed {
                recorded.set_attribute(KeyValue::new(error::TYPE, code));
                recorded.set_status(Status::error(""));
            }
        }
        // That of a service which isn't served here.
        let method = if code == UNIMPLEMENTED { rpc::OTHER } else { self.method };
        record(self.side, method, code, failed, self.begun.elapsed());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { "INTERNAL" } else { "CANCELLED" });
    }
}

fn record(side: Side, method: &'static str, code: &'static str, failed: bool, took: Duration) {
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
    let attributes = [
        KeyValue::new(rpc::SYSTEM_NAME, rpc::GRPC),
        KeyValue::new(rpc::METHOD, method),
        KeyValue::new(rpc::RESPONSE_STATUS_CODE, code),
        KeyValue::new(error::TYPE, code),
    ];
    let attributes = if failed { &attributes[..] } else { &attributes[..3] };
    DURATIONS[side as usize].record(took.as_secs_f64(), attributes);
}

/// The names of the methods that were called, which live as long as the process: recording a call allocates nothing.
static CALLED: LazyLock<RwLock<HashSet<&'static str>>> = LazyLock::new(RwLock::default);

/// The name of a method that is called, remembered. Our own clients call a few; the bound holds even if that were wrong.
fn learned(method: &str) -> &'static str {
    if let Some(known) = CALLED.read().unwrap_or_else(PoisonError::into_inner).get(method) {
        return known;
    }
    let mut called = CALLED.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = called.get(method) {
        return known;
    }
    if called.len() >= MAX_METHODS {
        return rpc::OTHER;
    }
    let new: &'static str = Box::leak(method.to_owned().into_boxed_str());
    called.insert(new);
    new
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
    fn names_of_called_methods_are_learned_and_bounded() {
        for number in 0..2 * MAX_METHODS {
            learned(&format!("made.up/Method{number}"));
        }
        assert!(std::ptr::eq(learned("made.up/Method0"), learned("made.up/Method0")), "nothing is allocated again");
        assert_eq!((learned("made.up/Method0"), learned("made.up/One.too.many")), ("made.up/Method0", rpc::OTHER));
    }
}
