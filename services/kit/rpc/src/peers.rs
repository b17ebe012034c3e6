//! The instances of a service, and which of them a call goes to.
//!
//! Of two instances taken at random the one with fewer calls in flight gets the call ("the power of two choices",
//! Mitzenmacher 2001). tonic's own balancer does that too, but to it an instance that refuses connections looks idle,
//! and so the best; here such a one is ejected for a while: no call goes to it while there is another.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

/// How long an instance that failed is ejected, as Envoy calls it: doubled with each failure in a row.
const FIRST_EJECTION: Duration = Duration::from_millis(100);
const LONGEST_EJECTION: Duration = Duration::from_secs(5);

/// Moments are kept as milliseconds since this one.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One instance of a service.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its address; empty in this process.
    name: String,
    channel: Channel,
    in_flight: AtomicUsize,
    /// Failures in a row.
    failures: AtomicU32,
    ejected_until: AtomicU64,
}

impl Peer {
    pub(crate) fn new(name: String, channel: Channel) -> Arc<Self> {
        Arc::new(Self {
            name,
            channel,
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Counts a call until the guard is dropped.
    pub(crate) fn begin_call(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// It answered, whatever the answer.
    pub(crate) fn answered(&self) {
        if self.failures.swap(0, Ordering::Relaxed) > 0 {
            self.ejected_until.store(0, Ordering::Relaxed);
        }
    }

    /// It can't be reached.
    pub(crate) fn failed(&self) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(10);
        let ejection = (FIRST_EJECTION * 2_u32.pow(failures)).min(LONGEST_EJECTION);
        self.ejected_until.store(now() + millis(ejection), Ordering::Relaxed);
    }

    fn is_ejected(&self) -> bool {
        self.ejected_until.load(Ordering::Relaxed) > now()
    }
}

fn now() -> u64 {
    millis(START.elapsed())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

/// A call in flight.
pub(crate) struct InFlight(Arc<Peer>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The instances at one moment.
pub(crate) type Peers = Arc<[Arc<Peer>]>;

/// The instance for a call; not `tried`, where there is another. `None` if there is none at all.
pub(crate) fn choose(peers: &[Arc<Peer>], tried: Option<&Arc<Peer>>) -> Option<Arc<Peer>> {
    let fresh = |peer: &&Arc<Peer>| tried.is_none_or(|tried| !Arc::ptr_eq(tried, peer));
    let healthy: Vec<_> = peers.iter().filter(fresh).filter(|peer| !peer.is_ejected()).collect();
    if !healthy.is_empty() {
        return Some(less_busy(&healthy));
    }
    // All are in doubt: better one of them than none.
    let fresh: Vec<_> = peers.iter().filter(fresh).collect();
    if fresh.is_empty() { peers.first().cloned() } else { Some(less_busy(&fresh)) }
}

fn less_busy(peers: &[&Arc<Peer>]) -> Arc<Peer> {
    let mut random = rand::rng();
    let mut one = || peers[random.random_range(0..peers.len())];
    let (first, second) = (one(), one());
    let load = |peer: &Arc<Peer>| peer.in_flight.load(Ordering::Relaxed);
    if load(second) < load(first) { second.clone() } else { first.clone() }
}

/// How each instance is connected to: a dead one is found out within 2 + 2 s. For who keeps a stream of its own, which a
/// [`Channel`](crate::Channel) of calls doesn't.
///
/// # Errors
/// If `uri` isn't like http://host:port.
pub fn endpoint(uri: String) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(uri)?
        .connect_timeout(Duration::from_secs(1))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true))
}
