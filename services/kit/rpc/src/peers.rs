//! The instances of a service, and which of them a call goes to.
//!
//! Of two instances taken at random the one with fewer calls in flight gets the call ("the power of two choices",
//! Mitzenmacher 2001). tonic's own balancer does that too, but to it an instance that refuses connections looks idle,
//! and so the best; here such a one is ejected, as Envoy calls it: no call goes to it while there is another. Whether it is back
//! is found out by a question of our own, as no caller should have to wait for an instance that is probably still dead.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, TE};
use http_body_util::Full;
use rand::RngExt as _;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;

/// After how long an instance that failed is asked whether it is back: doubled with each failure in a row, and each question
/// without an answer.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long it may take to answer: a second to connect, and one for the rest.
const ANSWER_BOUND: Duration = Duration::from_secs(2);
/// What it is asked. Whatever it answers, it is there; whether it is to be called is DNS' to say.
const QUESTION: &str = "/grpc.health.v1.Health/Check";
/// An empty message: not compressed, and of no bytes.
const NOTHING: [u8; 5] = [0; 5];

/// One instance of a service.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its address; empty in this process.
    name: String,
    channel: Channel,
    in_flight: AtomicUsize,
    /// Failures in a row.
    failures: AtomicU32,
    ejected: AtomicBool,
}

impl Peer {
    pub(crate) fn new(name: String, channel: Channel) -> Arc<Self> {
        Arc::new(Self {
            name,
            channel,
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejected: AtomicBool::new(false),
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
            self.ejected.store(false, Ordering::Relaxed);
        }
    }

    /// It can't be reached. To be called within a tokio runtime.
    pub(crate) fn failed(self: &Arc<Self>) {
        // Calls that fail together are one failure.
        if !self.ejected.swap(true, Ordering::Relaxed) {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(10);
            let pause = (FIRST_PAUSE * 2_u32.pow(failures)).min(LONGEST_PAUSE);
            tokio::spawn(take_back(Arc::downgrade(self), pause));
        }
    }

    fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Relaxed)
    }

    async fn is_there(&self) -> bool {
        let request = Request::post(QUESTION)
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Body::new(Full::new(Bytes::from_static(&NOTHING))));
        let Ok(request) = request else { return false };
        matches!(tokio::time::timeout(ANSWER_BOUND, self.channel().oneshot(request)).await, Ok(Ok(_)))
    }
}

/// Asks an ejected instance until it answers, or nobody knows it any more.
async fn take_back(peer: Weak<Peer>, mut pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(peer) = peer.upgrade().filter(|peer| peer.is_ejected()) else { return };
        if peer.is_there().await {
            peer.ejected.store(false, Ordering::Relaxed);
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
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

/// How each instance is connected to: a dead one is found out within 2 + 2 s.
pub(crate) fn endpoint(uri: String) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(uri)?
        .connect_timeout(Duration::from_secs(1))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true))
}
