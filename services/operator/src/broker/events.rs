//! What happens at the broker, for whoever decides, and what is answered.

use std::time::Duration;

use tokio::sync::watch;

use super::Identity;

/// What can hold connections: one run of one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The pod's UID, by its token.
    pub pod_uid: String,
    /// The run: eight hexadecimal digits, with which the names of its sessions begin.
    pub boot_id: String,
}

/// Something that happened to a holder's stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whose.
    pub holder: Holder,
    /// Which of its streams: a later one has a higher number. What is said of an earlier stream than the newest that is known
    /// doesn't count any more.
    pub stream: u64,
    /// What.
    pub what: Happening,
}

/// What happens to a stream: it is attached, reports, may say hello again, and is detached at last.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A stream, of the pod that its token names. What is put into the outbox is sent.
    Attached {
        /// The epoch in which it was opened: it ends when that does.
        epoch: u64,
        /// The pod.
        identity: Identity,
        /// Who it says it is.
        hello: Hello,
        /// Where answers to it go.
        outbox: Outbox,
    },
    /// Its pools are others now.
    Changed(Hello),
    /// How it is.
    Reported(Box<Report>),
    /// The stream is over, and with it what can be sent. What the process holds it holds still.
    Detached,
}

/// Who a process is, as far as its token doesn't say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The ConnectionBudget: its namespace, and its name.
    pub budget: (String, String),
    /// The pools on that budget's server.
    pub pools: Vec<PoolBounds>,
}

impl Hello {
    /// What the process opens without a grant: the floors of its pools.
    pub fn floor(&self) -> u32 {
        self.pools.iter().map(|pool| pool.floor).sum()
    }

    /// What it can make use of: the ceilings of its pools.
    pub fn ceiling(&self) -> u32 {
        self.pools.iter().map(|pool| pool.ceiling).sum()
    }
}

/// A pool, as it is configured; connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolBounds {
    /// Its name.
    pub name: String,
    /// What it opens without a grant.
    pub floor: u32,
    /// What it can make use of.
    pub ceiling: u32,
}

/// A grant's epoch and sequence.
pub type GrantNumber = (u64, u64);

/// How a process is. What is counted counts from the process's start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The newest grant that allows all that may be open until a newer one arrives: it is acknowledged by this.
    pub complied: Option<GrantNumber>,
    /// The newest grant that has arrived.
    pub known: Option<GrantNumber>,
    /// The highest epoch of which the process has heard: no grant of an earlier one will have an effect any more. If it is higher
    /// than the stream's, another replica leads, or did.
    pub epoch: u64,
    /// The most connections that may be open until another grant arrives: what the process is charged with.
    pub limit: u32,
    /// Connections that are open.
    pub open: u32,
    /// Its pools.
    pub pools: Vec<PoolReport>,
    /// For how long its CPU limit kept it from computing, where that is known.
    pub cpu_throttled: Option<Duration>,
    /// The share of its CPU limit that it uses, where that is known: 1 is all of it.
    pub cpu_share: Option<f64>,
}

/// How a pool is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolReport {
    /// Its name.
    pub name: String,
    /// Connections that it may open now.
    pub limit: u32,
    /// Connections that are open.
    pub open: u32,
    /// Those that are in use.
    pub in_use: u32,
    /// Callers who wait for one.
    pub waiting: u32,
    /// Callers who got none.
    pub refused: Vec<RefusedCount>,
    /// Uses by operation.
    pub uses: Vec<UseCount>,
    /// The operation that uses a connection for longest now, and for how long.
    pub longest_held: Option<(String, Duration)>,
    /// No connection could be made when it was last tried.
    pub unreachable: bool,
}

/// Callers who got no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCount {
    /// Of this class.
    pub class: String,
    /// For this reason.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// The uses of a pool's connections by one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseCount {
    /// Its name.
    pub operation: String,
    /// How often.
    pub count: u64,
    /// For how long in all.
    pub time: Duration,
}

/// What a holder is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// So many connections, of all its pools together.
    Grant {
        /// Which grant: the leader's epoch, and its sequence among that leader's.
        id: GrantNumber,
        /// Connections at the most.
        connections: u32,
    },
    /// Nothing new yet, for this reason, which a person may read where the process says why it isn't ready.
    Pending(String),
}

/// Where what a stream is told is put. It keeps the newest alone: one that reads slowly finds no queue.
#[derive(Clone, Debug)]
pub struct Outbox(watch::Sender<Offer>);

impl Outbox {
    /// With what is told until something else is put in.
    pub(super) fn new(first: Offer) -> (Self, watch::Receiver<Offer>) {
        let (sender, receiver) = watch::channel(first);
        (Self(sender), receiver)
    }

    /// Puts an offer in, in place of one that wasn't sent yet; `false` if the stream is over. The same one again is sent again.
    pub fn put(&self, offer: Offer) -> bool {
        self.0.send(offer).is_ok()
    }
}
