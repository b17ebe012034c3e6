//! The HTTP/1.1 server of pages and of metrics: bounded connections, bounded heads and waiting for them, an orderly end.

mod host;
mod lines;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::time::timeout;

use self::host::OneHost;
use self::lines::Checked;
use crate::connections::Listener;
use crate::{Life, ending};

/// Bytes of a request's head, and of what is kept of its body or of an answer at a time: a browser's cookies and a long search
/// have some 10 KiB. hyper would keep 400 KiB for each connection that sends as much.
const BUFFER: usize = 32 * 1024;

/// What a server's clients may take, beside connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
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
pub async fn serve<S, B>(listener: Listener, bounds: Bounds, service: impl Fn(SocketAddr) -> S, life: &Life)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<Box<dyn Error + Send + Sync>> + Send>,
    S: Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.headers).max_buf_size(BUFFER);
    let graceful = GracefulShutdown::new();
    listener.part_with_the_unopened(life);
    loop {
        let (connection, peer) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = life.stopping() => break,
        };
        let (mark, service) = (connection.mark(), service(peer));
        let connection = Checked::new(connection);
        let is_last = connection.is_last();
        let service = service_fn(move |request| {
            mark.open();
            let (answered, is_last) = (service.call(request), is_last.clone());
            async move {
                let mut answer = answered.await?;
                if is_last.get() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, S::Error>(answer)
            }
        });
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(connection), OneHost(service)));
        tokio::spawn(async move {
            // Clients break off all the time; that is theirs to do.
            match bounds.connection {
                Some(bound) => drop(timeout(bound, connection).await),
                None => drop(connection.await),
            }
        });
    }
    drop(listener);
    if timeout(ending::CALLS, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests didn't end in time and were cut off");
    }
}
