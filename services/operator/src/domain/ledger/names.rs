//! How the ledger names what it counts.

use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A scaler, as `namespace/name`.
    ScalerId
}
name! {
    /// The UID that the API server gave a pod. No other pod ever has it.
    PodUid
}
name! {
    /// A pod's name. Another pod may have had it before.
    PodName
}
name! {
    /// The address that connections come from, as the server and the API server write it.
    Address
}
name! {
    /// One run of a pod's process: eight hexadecimal digits that it chose when it began.
    BootId
}

/// What can hold connections: one run of one pod. A container that was restarted in place is another holder of the same
/// pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// Its pod.
    pub pod: PodUid,
    /// Its run.
    pub boot: BootId,
}

/// Tells a grant from those before it: by the epoch of the leader who gave it, then by its number among that leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId {
    /// The number of the Lease's transitions.
    pub epoch: u64,
    /// Grows with each grant of one leader, whoever it is for.
    pub sequence: u64,
}

/// So many connections a holder may have open, in all its pools at this database together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which one it is.
    pub id: GrantId,
    /// Connections at the most, from the holder's floor to its ceiling.
    pub connections: u32,
}

/// The least and the most connections that a holder may be granted: the sums of its pools'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What it opens by itself if it finds no broker.
    pub floor: u32,
    /// What it never opens more than. At least the floor.
    pub ceiling: u32,
}

impl Bounds {
    /// The larger of both, each.
    pub(super) fn or(self, other: Self) -> Self {
        Self { floor: self.floor.max(other.floor), ceiling: self.ceiling.max(other.ceiling) }
    }

    /// No more than `most`, each: what is set aside and charged for what a pod merely says of itself.
    pub(super) fn within(self, most: Self) -> Self {
        let ceiling = self.ceiling.min(most.ceiling);
        Self { floor: self.floor.min(most.floor).min(ceiling), ceiling }
    }

    /// No more than the ceiling of `most`: what one run is granted, which takes no fewer than its floor.
    pub(super) fn below_ceiling(self, most: Self) -> Self {
        Self { floor: self.floor.min(most.ceiling), ceiling: self.ceiling.min(most.ceiling) }
    }

    /// The nearest number within.
    pub(super) fn clamp(self, connections: u32) -> u32 {
        connections.min(self.ceiling).max(self.floor)
    }
}

/// The sum, or the greatest number there is: what somebody reports must not make a sum small.
pub(super) fn total(counts: impl IntoIterator<Item = u32>) -> u32 {
    counts.into_iter().fold(0, u32::saturating_add)
}
