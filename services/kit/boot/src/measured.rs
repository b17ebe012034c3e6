//! `/metrics`, for a Prometheus that comes by, and `/livez` and `/readyz`, for whoever starts and ends processes: on a
//! listener of their own, so that who may fetch them is decided apart from who may call the service.

use std::convert::Infallible;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use selvage_telemetry::metrics;

use crate::connections::Listener;
use crate::http::{self as server, Bounds};
use crate::{Life, Phase};

/// Two Prometheus servers, two kubelets' probes, and somebody who looks, twice over.
pub(crate) const CONNECTIONS: usize = 16;
const BOUNDS: Bounds = Bounds {
    headers: Duration::from_secs(5),
    // Prometheus keeps a connection for many fetches, and makes another when it is gone.
    connection: Some(Duration::from_secs(600)),
};

/// Answers on `listener` until the end of `life`.
pub(crate) fn serve(listener: Listener, life: &Life) {
    let serving = life.clone();
    life.spawn("metrics", async move {
        let service = |_| {
            let phase = serving.phase();
            service_fn(move |request| {
                let answer = answer(&request, &phase.borrow());
                async { Ok::<_, Infallible>(answer) }
            })
        };
        server::serve(listener, BOUNDS, service, &serving).await;
    });
}

fn answer<B>(request: &Request<B>, phase: &Phase) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let path = request.uri().path();
    if !["/metrics", "/livez", "/readyz"].contains(&path) {
        *response.status_mut() = StatusCode::NOT_FOUND;
        *response.body_mut() =
            Full::from("Metrics are at /metrics; whether this process lives and is ready, at /livez and /readyz.\n");
    } else if *request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    } else if path == "/metrics" {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
        *response.body_mut() = Full::from(metrics::text());
    } else if path == "/livez" {
        *response.body_mut() = Full::from("ok\n");
    } else {
        let (status, text) = readiness(phase);
        *response.status_mut() = status;
        *response.body_mut() = Full::from(text);
    }
    response
}

/// What a probe over HTTP is told: 200 if the process should be sent work, and 503 with the reason if it shouldn't.
pub fn readiness(phase: &Phase) -> (StatusCode, String) {
    match phase {
        Phase::Ready => (StatusCode::OK, "ok\n".to_owned()),
        Phase::Starting(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        Phase::Leaving => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the process is about to end\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_before_it_is_ready_and_while_it_leaves() {
        let asked = |path: &str, phase: &Phase| answer(&Request::get(path).body(()).unwrap(), phase).status().as_u16();
        for (phase, ready) in [(Phase::Starting("the tide".into()), 503), (Phase::Ready, 200), (Phase::Leaving, 503)] {
            let statuses = ["/livez", "/readyz", "/metrics", "/"].map(|path| asked(path, &phase));
            assert_eq!(statuses, [200, ready, 200, 404], "{phase:?}");
        }
        assert!(readiness(&Phase::Starting("the tide".into())).1.contains("the tide"));
        let post = Request::post("/readyz").body(()).unwrap();
        assert_eq!(answer(&post, &Phase::Ready).status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
