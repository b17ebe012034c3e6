//! What the ledger is told.

use super::names::{Address, BootId, Bounds, GrantId, PodName, PodUid, ScalerId};
use crate::domain::moment::Moment;

/// How many pods of a scaler there can be, and what each of them may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalerSpec {
    /// Of a pod that doesn't say its own.
    pub bounds: Bounds,
    /// Pods at the most, apart from those that surge and those that terminate.
    pub max_replicas: u32,
    /// Pods that a roll-out adds to them.
    pub surge: u32,
    /// Their pools are their own: nobody grants them anything, and each may open its ceiling whenever it likes. Floor and
    /// ceiling are the same then.
    pub is_fixed: bool,
}

impl ScalerSpec {
    /// Pods that can exist at once while nothing but the operator and one roll-out changes their number: the most
    /// replicas, the surge, and a generation that terminates, for a Deployment doesn't count those (kubernetes #95498).
    pub fn places(&self) -> u32 {
        self.max_replicas.saturating_mul(2).saturating_add(self.surge)
    }
}

/// How far a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// On no node yet, so that nothing of it can run.
    Unbound,
    /// On a node: starting, ready or not.
    Bound,
    /// It is to end (`metadata.deletionTimestamp`), and may still work.
    Terminating,
    /// Its containers have ended for good, by the status of each of them. A pod that only counts as `Failed`, for its
    /// node is lost, may still run there: that one is still bound or terminating.
    Ended,
}

/// A pod as the API server shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPod {
    /// Its UID.
    pub uid: PodUid,
    /// Its name.
    pub name: PodName,
    /// Whose it is.
    pub scaler: ScalerId,
    /// How far it is.
    pub phase: Phase,
    /// What its template says of its pools, if it does. It matters where pods of two templates exist and the leader
    /// changes; without it, the scaler's bounds are taken for those of all its pods.
    pub bounds: Option<Bounds>,
    /// The address that it connects from, once it has one. It tells sessions of a pod whose pool is its own.
    pub address: Option<Address>,
}

/// All pods of all scalers of this database, at one version of the API server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSet {
    /// When the list that this set goes back to was asked for. It must be a consistent one (`resourceVersion` not set):
    /// one from a cache may lack pods that have existed for long. A watch may have changed the set since.
    pub listed_at: Moment,
    /// The pods.
    pub pods: Vec<ObservedPod>,
}

/// How a pod introduces itself, once a stream, before it reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its name.
    pub name: PodName,
    /// What its pools may have.
    pub bounds: Bounds,
}

/// What a pod says of its connections at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The newest epoch that it knows, from a leader's welcome or a grant. It refuses each grant of an older one from
    /// then on.
    pub epoch: u64,
    /// The newest grant that it has taken in all its pools: none of them may open more than its part of it from then
    /// on.
    pub newest: Option<GrantId>,
    /// Connections that it may have open before another grant comes, whatever set that; 0 before it may open any.
    pub limit: u32,
    /// Connections that it has, from before each is made until after the server was told to end it.
    pub open: u32,
}

/// Sessions of one run, as the server shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// The run, from `application_name`.
    pub boot: BootId,
    /// The pod, from `application_name`, which is cut at 63 bytes.
    pub pod: PodName,
    /// How many, in any state.
    pub count: u32,
}

/// Sessions that name no run of ours: of a pod whose pool is its own, or of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnamed {
    /// Where they come from, unless it is the server's own machine.
    pub address: Option<Address>,
    /// Their `application_name`. That of a pod may be the pod's name, where an address on the way is translated.
    pub application: String,
    /// How many, in any state.
    pub count: u32,
}

/// The server's sessions (`pg_stat_activity`), from one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// When the statement was sent: it shows no earlier state than this.
    pub started_at: Moment,
    /// Those of runs of ours.
    pub sessions: Vec<Sessions>,
    /// Those that name no run.
    pub unnamed: Vec<Unnamed>,
    /// Those that are certainly others'.
    pub others: u32,
}
