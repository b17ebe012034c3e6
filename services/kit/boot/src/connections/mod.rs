//! The connections of a listener: how many there are at once, of whom, and when one is closed that nothing comes of.
//!
//! A connection costs a file, some memory, and what its requests hold. So a listener has as many places as it is given. Those
//! who come beyond them wait in the system's backlog, and one address has no more than its share of the places. A connection
//! is closed that doesn't open in time (HTTP/2's preface, or HTTP/1's first head), or whose other end reads nothing of what
//! is written to it. Once the end has begun, those are closed that wait for nothing, so that they hold up nobody.
//!
//! A peer is an address of version 4, or the network of 64 bits of version 6 which one customer has. Behind a proxy that is
//! the proxy: it knows who its clients are, and must bound them itself ([`Listener::behind_a_proxy`]).

mod book;
mod connection;
mod files;
#[cfg(feature = "grpc")]
mod incoming;
mod metrics;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::book::{Book, Trouble};
pub use self::connection::Connection;
pub(crate) use self::files::Files;
#[cfg(feature = "grpc")]
pub use self::incoming::incoming;
use crate::Life;

/// After a failure to accept (files used up, mostly) the next attempt waits for some to be free again: without a pause the
/// attempts alone would keep a core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that hasn't opened may still do so once the end has begun: what was sent before is on its way.
const OPEN_AT_THE_END: Duration = Duration::from_millis(500);
/// How long who speaks HTTP/2 may take to answer the farewell, to which each end of a live connection answers at once.
const ANSWER_THE_FAREWELL: Duration = Duration::from_secs(2);
/// One address has half of the places, so that none takes them all. Less would be too little for the proxy of a cluster, from
/// whose one address everybody comes, and who isn't said to be one…
const SHARE: usize = 2;
/// … and this many at least: a browser opens six.
const LEAST_SHARE: usize = 8;

/// How many connections a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// All at once; those beyond wait in the system's backlog.
    pub at_once: usize,
    /// Of one peer; those beyond are closed. `None`: half of all.
    pub of_one_peer: Option<usize>,
}

/// A listener whose connections are counted.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    bounds: Bounds,
    places: Arc<Semaphore>,
    book: Arc<Book>,
}

impl Listener {
    /// Connections of `socket` within `bounds`; `name` is what metrics and the log call it.
    pub fn new(socket: TcpListener, name: &'static str, bounds: Bounds) -> Self {
        let share = (bounds.at_once / SHARE).max(LEAST_SHARE);
        let book = Arc::new(Book::new(name, bounds.at_once, bounds.of_one_peer.unwrap_or(share)));
        metrics::add(&book);
        Self { socket, bounds, places: Arc::new(Semaphore::new(bounds.at_once)), book }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system doesn't say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The same where all connections come from a proxy: one address then has no share of its own, unless somebody said which.
    #[must_use]
    pub fn behind_a_proxy(self) -> Self {
        if self.bounds.of_one_peer.is_none() {
            self.book.share(self.bounds.at_once);
        }
        self
    }

    /// The next connection that has a place, and where it comes from.
    pub async fn accept(&self) -> (Connection, SocketAddr) {
        loop {
            let place = self.place().await;
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    if let Some(entry) = Book::enter(&self.book, peer.ip(), place) {
                        // Answers are written at once; waiting to fill a packet would only delay them.
                        let _ = stream.set_nodelay(true);
                        return (Connection::new(stream, entry), peer);
                    }
                    self.book.trouble(Trouble::Refused, Some(&peer.ip().to_string()));
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    self.book.trouble(Trouble::Failed, Some(&error.to_string()));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return place;
        }
        self.book.trouble(Trouble::Full, None);
        let place = self.places.clone().acquire_owned().await;
        place.unwrap_or_else(|_| unreachable!("nobody closes the places"))
    }

    /// Parts with connections once the end of `life` has begun: with those that haven't opened, and, where they `answer` the
    /// farewell as HTTP/2 does, with those that don't.
    fn part_at_the_end(&self, life: &Life, answer: bool) {
        let (book, stopping) = (self.book.clone(), life.stopping());
        tokio::spawn(async move {
            stopping.await;
            book.expect_word();
            tokio::time::sleep(OPEN_AT_THE_END).await;
            book.part_with(|mark| !mark.has_opened());
            if answer {
                tokio::time::sleep(ANSWER_THE_FAREWELL - OPEN_AT_THE_END).await;
                book.part_with(|mark| !mark.was_heard());
            }
        });
    }

    /// The same for who speaks HTTP/1, whose clients are silent while they wait for an answer.
    pub(crate) fn part_with_the_unopened(&self, life: &Life) {
        self.part_at_the_end(life, false);
    }
}

/// Whether a failure to accept is that of the one client, who has gone again.
fn is_of_one_client(error: &io::Error) -> bool {
    [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted].contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn listener(at_once: usize, of_one_peer: Option<usize>) -> (Listener, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (Listener::new(socket, "test", Bounds { at_once, of_one_peer }), address)
    }

    #[tokio::test]
    async fn who_comes_beyond_the_places_waits_until_one_is_free() {
        let (listener, address) = listener(2, Some(9)).await;
        let _clients = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let (first, _) = listener.accept().await;
        let (_second, _) = listener.accept().await;
        let mut third = TcpStream::connect(address).await.unwrap();
        third.write_all(b"hello").await.unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(waited.is_err(), "there are two places");
        drop(first);
        let (mut third, _) = listener.accept().await;
        let mut said = [0; 5];
        third.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello");
    }

    #[tokio::test]
    async fn one_peer_has_its_share_and_gets_it_back() {
        let (listener, address) = listener(100, Some(2)).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let (first, _) = listener.accept().await;
        let (_second, _) = listener.accept().await;
        let waited = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(waited.is_err(), "the third is closed");
        assert_eq!(clients[2].read(&mut [0]).await.unwrap_or(0), 0);
        drop(first);
        let _fourth = TcpStream::connect(address).await.unwrap();
        listener.accept().await;
    }

    #[tokio::test]
    async fn behind_a_proxy_there_is_one_peer_and_it_may_have_all_places() {
        let (listener, address) = listener(20, None).await;
        let listener = listener.behind_a_proxy();
        let (mut clients, mut accepted) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            clients.push(TcpStream::connect(address).await.unwrap());
            accepted.push(listener.accept().await);
        }
        assert_eq!(accepted.len(), 20);
    }
}
