use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};

/// Connections that wait to be accepted: each client has one.
const MAX_WAITING: usize = 64;
/// Bytes that one side may be ahead of the other, as a socket's buffer allows.
const BUFFER_BYTES: usize = 64 * 1024;

/// Connects to a server in this process through memory: real HTTP/2 frames, no socket, nothing that others could reach.
#[derive(Clone, Debug)]
pub struct InProcess(mpsc::Sender<DuplexStream>);

impl InProcess {
    /// Where clients connect, and the connections that come of it, for a server to accept.
    pub fn pair() -> (Self, Incoming) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        (Self(sender), Incoming(receiver))
    }

    pub(crate) fn channel(&self, endpoint: &Endpoint) -> Channel {
        let connections = self.0.clone();
        endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
            let connections = connections.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(BUFFER_BYTES);
                connections.send(theirs).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                Ok::<_, io::Error>(TokioIo::new(ours))
            }
        }))
    }
}

/// The connections that come in.
#[derive(Debug)]
pub struct Incoming(mpsc::Receiver<DuplexStream>);

impl Stream for Incoming {
    type Item = io::Result<DuplexStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}
