//! What is asked of the operator, for one database.

use std::time::Duration;

use super::rules;

/// One database and everything that is scaled on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// K: backends that the database can keep busy at once, about two for each of its cores. `None` if nobody said.
    pub concurrency: Option<u32>,
    /// The scalers, each name once.
    pub scalers: Vec<ScalerSpec>,
}

/// What is asked for one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalerSpec {
    /// Its name, unique among the scalers of the database.
    pub name: String,
    /// Replicas at the least; one or more.
    pub min_replicas: u32,
    /// Replicas at the most; not below the least.
    pub max_replicas: u32,
    /// Pods that a roll-out starts beyond them.
    pub surge: u32,
    /// Connections that a pod has without asking; one or more.
    pub floor: u32,
    /// Connections of a pod at the most; not below the floor.
    pub ceiling: u32,
    /// Share of its connections that should be in use, above 0 and at most 1.
    pub target: f64,
    /// How often its pods are heard.
    pub report_every: Duration,
    /// Its pods' pools are their own: their limits can't be changed, and replicas alone are decided on. Floor and ceiling are
    /// the size that the pools are said to have.
    pub is_fixed: bool,
    /// Whether what is decided is also done.
    pub mode: Mode,
    /// Nothing is to be changed for now.
    pub is_paused: bool,
    /// How fast it may change.
    pub behaviour: Behaviour,
}

/// Whether what is decided is also done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is only said.
    Observe,
    /// It is done.
    #[default]
    Enforce,
}

/// How fast replicas may change. The defaults are those of [`rules`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// Without pressure for this long, it may shrink.
    pub calm_for: Duration,
    /// It grows to at most this multiple in a period …
    pub up_factor: f64,
    /// … or by so many pods, if that is more.
    pub up_pods: u32,
    /// The period of growth.
    pub up_every: Duration,
    /// It shrinks by at most this share in a period, but by one at least.
    pub down_share: f64,
    /// The period of shrinking.
    pub down_every: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            calm_for: rules::CALM_FOR,
            up_factor: rules::UP_FACTOR,
            up_pods: rules::UP_PODS,
            up_every: rules::UP_EVERY,
            down_share: rules::DOWN_SHARE,
            down_every: rules::DOWN_EVERY,
        }
    }
}

impl ScalerSpec {
    /// A scaler with the defaults of [`rules`], in force.
    pub fn new(name: &str, replicas: (u32, u32), connections: (u32, u32)) -> Self {
        Self {
            name: name.to_owned(),
            min_replicas: replicas.0,
            max_replicas: replicas.1,
            surge: 1,
            floor: connections.0,
            ceiling: connections.1,
            target: rules::TARGET,
            report_every: rules::REPORT_EVERY,
            is_fixed: false,
            mode: Mode::Enforce,
            is_paused: false,
            behaviour: Behaviour::default(),
        }
    }

    /// A pod's last report may be this old.
    pub(super) fn heard_within(&self) -> Duration {
        self.report_every * rules::MISSING_REPORTS
    }

    /// Connections that are wanted where `demand` of them are in use.
    pub(super) fn for_demand(&self, demand: f64) -> f64 {
        demand / self.target
    }

    /// Connections that a pod may have.
    pub(super) fn within(&self, connections: u32) -> u32 {
        connections.clamp(self.floor, self.ceiling.max(self.floor))
    }

    /// Connections of a pod that nobody presses, where each of all pods may have `share` of what the database can keep busy.
    pub(super) fn quiet(&self, share: Option<u32>) -> u32 {
        self.within(share.unwrap_or_else(|| ceil(f64::from(self.ceiling) * rules::QUIET_SHARE)))
    }

    /// Floors that are set aside for so many replicas: a roll-out's surge and a terminating generation included.
    pub(super) fn set_aside(&self, replicas: u32) -> u64 {
        (2 * u64::from(replicas) + u64::from(self.surge)) * u64::from(self.floor)
    }
}

/// The whole number above, within what a `u32` holds.
pub(super) fn ceil(number: f64) -> u32 {
    // A conversion from f64 saturates, and a hair above a whole number is an error of rounding.
    (number - 1e-9).ceil() as u32
}
