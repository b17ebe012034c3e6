//! Who is connected to a listener.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// The same trouble is said no more often than this; a metric counts each time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What went wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// All places were taken, and who came had to wait.
    Full,
    /// Its peer had its share of places already.
    Refused,
    /// The system couldn't accept it.
    Failed,
    /// It didn't open in time.
    Unopened,
    /// Its other end read nothing of what was written to it.
    Stalled,
}

impl Trouble {
    pub(super) const ALL: [Self; 5] = [Self::Full, Self::Refused, Self::Failed, Self::Unopened, Self::Stalled];

    /// As metrics call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unopened => "unopened",
            Self::Stalled => "stalled",
        }
    }

    /// As the log says it, if it says it at all: the last two are their clients' own affair.
    const fn said(self) -> Option<&'static str> {
        match self {
            Self::Full => Some("all places for connections are taken; who comes now waits"),
            Self::Refused => Some("connections beyond what one address may have are closed"),
            Self::Failed => Some("a connection can't be accepted"),
            Self::Unopened | Self::Stalled => None,
        }
    }
}

/// The connections of one listener, and what went wrong with some.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) name: &'static str,
    pub(super) limit: usize,
    share: AtomicUsize,
    entries: Mutex<Entries>,
    troubles: [AtomicU64; Trouble::ALL.len()],
    said: Mutex<[Option<Instant>; Trouble::ALL.len()]>,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    open: HashMap<u64, Arc<Mark>>,
    of_peers: HashMap<IpAddr, usize>,
}

impl Book {
    /// For `limit` connections, of which one peer may have `share`.
    pub(super) fn new(name: &'static str, limit: usize, share: usize) -> Self {
        Self {
            name,
            limit,
            share: AtomicUsize::new(share),
            entries: Mutex::default(),
            troubles: Default::default(),
            said: Mutex::default(),
        }
    }

    /// Lets one peer have `share` connections from now on.
    pub(super) fn share(&self, share: usize) {
        self.share.store(share, Ordering::Relaxed);
    }

    /// Enters a connection from `address`, which has `place`; `None` if its peer has its share already.
    pub(super) fn enter(book: &Arc<Self>, address: IpAddr, place: OwnedSemaphorePermit) -> Option<Entry> {
        let (peer, share) = (peer(address), book.share.load(Ordering::Relaxed));
        let mut entries = book.entries();
        let count = entries.of_peers.entry(peer).or_default();
        if *count >= share {
            return None;
        }
        *count += 1;
        let number = entries.next;
        entries.next += 1;
        let mark = Arc::new(Mark::default());
        entries.open.insert(number, mark.clone());
        drop(entries);
        Some(Entry { book: book.clone(), number, peer, mark, _place: place })
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.entries().open.len()
    }

    /// How often each trouble came.
    pub(super) fn troubles(&self) -> impl Iterator<Item = (Trouble, u64)> {
        Trouble::ALL.into_iter().map(|trouble| (trouble, self.troubles[trouble as usize].load(Ordering::Relaxed)))
    }

    /// Counts a trouble, and says it in the log now and then.
    pub(super) fn trouble(&self, trouble: Trouble, about: Option<&str>) {
        self.troubles[trouble as usize].fetch_add(1, Ordering::Relaxed);
        let Some(said) = trouble.said() else { return };
        let (now, mut last) = (Instant::now(), self.said.lock().unwrap_or_else(PoisonError::into_inner));
        let last = &mut last[trouble as usize];
        if last.is_none_or(|last| now.duration_since(last) >= SAY_AGAIN) {
            *last = Some(now);
            tracing::warn!(listener = self.name, limit = self.limit, about, "{said}");
        }
    }

    /// From now on it is noticed anew who says something.
    pub(super) fn expect_word(&self) {
        self.entries().open.values().for_each(|mark| mark.heard.store(false, Ordering::Relaxed));
    }

    /// Closes those connections that `which` is true of.
    pub(super) fn part_with(&self, which: impl Fn(&Mark) -> bool) {
        self.entries().open.values().filter(|mark| which(mark)).for_each(|mark| mark.close());
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose an address is: of version 6, one customer has a network of 64 bits.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

/// A connection in the book, until it is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    book: Arc<Book>,
    number: u64,
    peer: IpAddr,
    pub(super) mark: Arc<Mark>,
    _place: OwnedSemaphorePermit,
}

impl Entry {
    /// Counts what went wrong with it.
    pub(super) fn trouble(&self, trouble: Trouble) {
        self.book.trouble(trouble, None);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut entries = self.book.entries();
        entries.open.remove(&self.number);
        if let Some(count) = entries.of_peers.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                entries.of_peers.remove(&self.peer);
            }
        }
    }
}

/// What is known of a connection, between whoever reads it and whoever ends it.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    opened: AtomicBool,
    heard: AtomicBool,
    closed: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl Mark {
    /// It has opened: its client speaks our protocol.
    pub(crate) fn open(&self) {
        self.opened.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }

    /// Its client has said something.
    pub(super) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether it is to be closed; who reads is woken when that changes.
    pub(super) fn is_closed(&self, reader: &Context<'_>) -> bool {
        {
            let mut waker = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            if !waker.as_ref().is_some_and(|known| known.will_wake(reader.waker())) {
                *waker = Some(reader.waker().clone());
            }
        }
        self.closed.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(waker) = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_of_version_6_is_a_network_and_a_mapped_address_is_what_it_maps() {
        let of = |text: &str| peer(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!((of("::ffff:192.0.2.1"), of("192.0.2.1")), ("192.0.2.1".to_owned(), "192.0.2.1".to_owned()));
    }
}
