//! Who may have how many connections, so that never more than the budget are open.

mod account;
mod book;
mod budget;
mod charge;
mod inputs;
mod names;
mod share;
mod split;
mod view;

#[cfg(test)]
mod simulation;

pub use account::RELEASE_AFTER;
pub use book::Ledger;
pub use budget::Budget;
pub use charge::SETTLING;
pub use inputs::{Hello, Look, ObservedPod, Phase, PodSet, Report, ScalerSpec, Sessions};
pub use names::{BootId, Bounds, Grant, GrantId, Holder, PodName, PodUid, ScalerId};
pub use split::{Claim, split};
pub use view::{Entry, ScalerView, Standing, View};

/// A part of the safety argument that is left out, to see that the simulation finds it missing.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    GrowsBeforeAcknowledged,
    ForgetsInFlight,
    ForgetsTerminating,
    ForgetsPartitioned,
    ForgetsSurge,
    RefundsOnDelete,
    /// Not the ledger's: a pod takes grants of former leaders.
    TakesOldLeaders,
}

#[cfg(test)]
impl Mutant {
    fn of_charge(self) -> Option<charge::Flaw> {
        match self {
            Self::GrowsBeforeAcknowledged => Some(charge::Flaw::GrowsBeforeAcknowledged),
            Self::ForgetsInFlight => Some(charge::Flaw::ForgetsInFlight),
            _ => None,
        }
    }
}
