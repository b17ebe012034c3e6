//! What is to be done, and why.

use std::fmt;
use std::time::Duration;

use super::class::Class;

/// What is to be done for a scaler, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The scaler's name.
    pub scaler: String,
    /// What is the matter.
    pub class: Class,
    /// Replicas that the workload should be asked to have: from the least to the most that its spec allows. Where a workload
    /// is paused, or was set to no replicas at all, these are what it has.
    pub replicas: u32,
    /// Connections that each of its pods should have: from floor to ceiling. It is what the ledger is asked for.
    pub connections: u32,
    /// Connections that all its pods together may have, because the database is the bottleneck.
    pub cut: Option<u32>,
    /// Replicas before any constraint.
    pub raw_replicas: u32,
    /// Connections per pod before any constraint.
    pub raw_connections: u32,
    /// What kept the result from what was needed.
    pub constraints: Vec<Constraint>,
    /// Why, as a sentence with its numbers.
    pub why: String,
    /// What would change it, as a sentence.
    pub otherwise: String,
    /// Whether it is to be done, or only said.
    pub is_enforced: bool,
}

impl Decision {
    /// Why, and what would change it.
    pub fn reason(&self) -> String {
        format!("{} {}", self.why, self.otherwise)
    }
}

/// What kept a decision from what was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Its most replicas.
    MaxReplicas(u32),
    /// Its fewest replicas.
    MinReplicas(u32),
    /// So many replicas at the most, within this period.
    Growth(u32, Duration),
    /// So many replicas at the least, within this period.
    Shrinking(u32, Duration),
    /// The budget has floors for no more than so many replicas.
    Floors(u32),
    /// A pod's ceiling.
    Ceiling(u32),
    /// A pod's limit is raised to no more than this at once.
    Step(u32),
    /// The ledger has so many connections that it could give.
    Headroom(u32),
    /// So many connections of all pods, because the database is the bottleneck.
    Cut(u32),
    /// So many pods are silent: nothing shrinks.
    Silent(u32),
    /// It is paused.
    Paused,
    /// It only says what it would do.
    Observed,
    /// The workload was set to no replicas by hand.
    SwitchedOff,
    /// Pods whose pools are their own have more than their ceiling: the first number instead of the second.
    PoolsExceed(u32, u32),
}

impl Constraint {
    /// Its name in a status.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MaxReplicas(_) => "maxReplicas",
            Self::MinReplicas(_) => "minReplicas",
            Self::Growth(..) => "scaleUp",
            Self::Shrinking(..) => "scaleDown",
            Self::Floors(_) => "floors",
            Self::Ceiling(_) => "ceiling",
            Self::Step(_) => "step",
            Self::Headroom(_) => "headroom",
            Self::Cut(_) => "cut",
            Self::Silent(_) => "silent",
            Self::Paused => "paused",
            Self::Observed => "observed",
            Self::SwitchedOff => "switchedOff",
            Self::PoolsExceed(..) => "poolsExceed",
        }
    }

    /// The names of those that keep somebody from having what is needed.
    pub const LACKS: [&'static str; 6] = ["maxReplicas", "floors", "ceiling", "headroom", "cut", "poolsExceed"];

    /// Whether it keeps somebody from having what is needed.
    pub fn is_lack(&self) -> bool {
        Self::LACKS.contains(&self.name())
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxReplicas(most) => write!(f, "at most {most} replicas"),
            Self::MinReplicas(least) => write!(f, "at least {least} replicas"),
            Self::Growth(most, period) => write!(f, "at most {most} replicas within {} s", period.as_secs()),
            Self::Shrinking(least, period) => write!(f, "at least {least} replicas within {} s", period.as_secs()),
            Self::Floors(most) => write!(f, "the budget has floors for {most} replicas"),
            Self::Ceiling(most) => write!(f, "at most {most} connections a pod"),
            Self::Step(most) => write!(f, "at most {most} connections a pod in this step"),
            Self::Headroom(left) => write!(f, "{left} connections of the budget are left"),
            Self::Cut(most) => write!(f, "at most {most} connections in all while the database is the bottleneck"),
            Self::Silent(pods) => write!(f, "nothing shrinks while {pods} pods are silent"),
            Self::Paused => f.write_str("paused"),
            Self::Observed => f.write_str("only observed"),
            Self::SwitchedOff => f.write_str("set to no replicas by hand"),
            Self::PoolsExceed(has, said) => write!(
                f,
                "a pod's pools have up to {has} connections, and spec.pool says {said}: set floor and ceiling to {has}, or \
                 configure the pods with {said}; replicas don't grow before"
            ),
        }
    }
}
