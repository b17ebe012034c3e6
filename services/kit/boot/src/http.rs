//! The HTTP/1.1 server of pages and of metrics: bounded connections, bounded waiting for headers, an orderly end.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::host::OneHost;
use crate::{Life, ending};

/// After a failure to accept (files used up, mostly) the next attempt waits for some to be free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a server's clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once; those beyond wait in the system's backlog.
    pub connections: usize,
    /// The time for a request's headers to come, and for an idle connection to make the next one.
    pub headers: Duration,
    /// A connection's whole time; `None` where answers may take as long as they do.
    pub connection: Option<Duration>,
}

/// Serves each connection of `listener` by what `service` makes for its peer, until the end of `life`; then lets what is in
/// flight finish, at most [`ending::CALLS`].
///
/// HTTP/1.1 alone: browsers speak HTTP/2 only over TLS, which ends before us. Telling the two apart by the first bytes would
/// wait for these without a bound.
pub async fn serve<S, B>(listener: TcpListener, bounds: Bounds, service: impl Fn(SocketAddr) -> S, life: &Life)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<Box<dyn Error + Send + Sync>> + Send>,
    S: Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.headers);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(bounds.connections));
    loop {
        let accepted = tokio::select! {
            accepted = async { (places.clone().acquire_owned().await, listener.accept().await) } => accepted,
            () = life.stopping() => break,
        };
        let (place, (stream, peer)) = match accepted {
            (place, Ok(accepted)) => (place, accepted),
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection can't be accepted");
                life.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are written at once; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), OneHost(service(peer))));
        tokio::spawn(async move {
            // Clients break off all the time; that is theirs to do.
            match bounds.connection {
                Some(bound) => drop(timeout(bound, connection).await),
                None => drop(connection.await),
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(ending::CALLS, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests didn't end in time and were cut off");
    }
}
