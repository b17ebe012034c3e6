//! `/metrics`, for a Prometheus that comes by: on a listener of its own, so that who may fetch metrics is decided apart from
//! who may call the service.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use selvage_telemetry::metrics;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::Life;

/// Connections at once: two Prometheus servers, and somebody who looks.
const MAX_CONNECTIONS: usize = 8;
/// The time for a request's headers to come.
const HEADERS_BOUND: Duration = Duration::from_secs(5);
/// A connection's whole time: Prometheus keeps one for many fetches, and makes another when it is gone.
const CONNECTION_BOUND: Duration = Duration::from_secs(600);
/// After a failure to accept the next attempt waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves metrics to `listener` until the end of `life`.
pub(crate) fn serve(listener: TcpListener, life: &Life) {
    life.spawn("metrics", accept(listener, life.clone()));
}

async fn accept(listener: TcpListener, life: Life) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_BOUND);
    while !life.is_stopping() {
        let accepted = tokio::select! {
            accepted = async { (places.clone().acquire_owned().await, listener.accept().await) } => accepted,
            () = life.stopping() => return,
        };
        let (place, Ok((stream, _))) = accepted else {
            life.sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = builder.serve_connection(TokioIo::new(stream), service_fn(async |request| answer(&request)));
        tokio::spawn(async move {
            // Whoever breaks off may.
            let _ = timeout(CONNECTION_BOUND, connection).await;
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        *response.body_mut() = Full::from("Metrics are at /metrics.\n");
    } else if *request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
        *response.body_mut() = Full::from(metrics::text());
    }
    Ok(response)
}
