//! The HTTP server: bounded connections, bounded waiting for headers, an orderly end.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use selvage_boot::{Life, ending};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::App;
use crate::peer::Peer;

/// Connections at once: browsers keep up to six open while somebody looks around, idle ones take about 10 KB each. Those
/// beyond wait in the system's backlog.
const MAX_CONNECTIONS: usize = 2_048;
/// The time for a request's headers to come, and for an idle connection to make the next one.
const HEADERS_BOUND: Duration = Duration::from_secs(15);
/// After a failure to accept (files used up, mostly) the next attempt waits for some to be free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` until the end of `life`, then lets what is in flight finish, at most
/// [`ending::CALLS`]: the longest page, placing an order, takes less in all but the worst case, and the same form sent again
/// then finds its order.
///
/// # Errors
/// None at present: a connection that can't be accepted is logged, and the next one is waited for.
pub async fn serve(listener: TcpListener, app: App, life: &Life) -> anyhow::Result<()> {
    let router = app.router();
    // HTTP/1.1 alone: browsers speak HTTP/2 only over TLS, which ends before us. Telling the two apart by the first bytes
    // would wait for these without a bound.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_BOUND);
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));

    loop {
        let place = tokio::select! {
            place = connections.clone().acquire_owned() => place?,
            () = life.stopping() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be accepted");
                    life.sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = life.stopping() => break,
        };
        // Pages are written at once; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let service = router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // Browsers break off all the time; that is theirs to do.
            let _ = connection.await;
            drop(place);
        });
    }

    drop(listener);
    if tokio::time::timeout(ending::CALLS, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests didn't end in time");
    }
    Ok(())
}
