use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::book::{Entry, Mark, Trouble};

/// How long the other end may read nothing of what is written to it. A network that is gone for longer is gone; who reads
/// slowly, but reads, makes progress.
const NO_PROGRESS: Duration = Duration::from_secs(15);

/// A connection, in its listener's book for as long as it lives. It ends, as if its client had closed it, if it doesn't open
/// in time or is parted with; and writing fails if it makes no progress.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    entry: Entry,
    opening: Option<Opening>,
    /// Set while a write waits: by then it must have made progress.
    progress_by: Option<Pin<Box<Sleep>>>,
}

/// A connection that hasn't opened yet.
#[derive(Debug)]
struct Opening {
    bytes_left: usize,
    by: Pin<Box<Sleep>>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, entry: Entry) -> Self {
        Self { stream, entry, opening: None, progress_by: None }
    }

    /// The same, which opens when this many bytes have come, and must within `time`.
    #[cfg(feature = "grpc")]
    pub(super) fn opens_by(mut self, bytes: usize, time: Duration) -> Self {
        self.opening = Some(Opening { bytes_left: bytes, by: Box::pin(sleep(time)) });
        self
    }

    /// What is known of it, for whoever notices that it has opened.
    pub(crate) fn mark(&self) -> Arc<Mark> {
        self.entry.mark.clone()
    }

    #[cfg(feature = "grpc")]
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Notes that `count` bytes have come.
    fn read(&mut self, count: usize) {
        self.entry.mark.hear();
        if let Some(opening) = &mut self.opening {
            opening.bytes_left = opening.bytes_left.saturating_sub(count);
            if opening.bytes_left == 0 {
                self.opening = None;
                self.entry.mark.open();
            }
        }
    }

    /// Lets a write wait no longer than it may without progress.
    fn progress(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.progress_by = None;
            return written;
        }
        let by = self.progress_by.get_or_insert_with(|| Box::pin(sleep(NO_PROGRESS)));
        ready!(by.as_mut().poll(context));
        self.progress_by = None;
        self.entry.trouble(Trouble::Stalled);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end reads nothing")))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = to.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(context, to);
        match result {
            Poll::Ready(Ok(())) => {
                let count = to.filled().len() - before;
                if count > 0 {
                    this.read(count);
                }
                result
            }
            Poll::Ready(Err(_)) => result,
            Poll::Pending => {
                if this.entry.mark.is_closed(context) {
                    return Poll::Ready(Ok(()));
                }
                let Some(opening) = &mut this.opening else { return Poll::Pending };
                ready!(opening.by.as_mut().poll(context));
                this.entry.trouble(Trouble::Unopened);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.progress(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.progress(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
