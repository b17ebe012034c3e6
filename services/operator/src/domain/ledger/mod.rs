//! Who may have how many connections of one database server, so that never more than its budget are open.
//!
//! The [`Ledger`] is told what was observed (pods, their reports, the server's sessions), and says what is to be
//! granted. It knows no clock and sends nothing. `book` keeps what is known, `account` what is held against one pod,
//! `charge` what one run of it may have, `share` divides, `split` is the arithmetic of a fair share, `view` says all of
//! it in words.
//!
//! # What pods do
//!
//! A *holder* is one run of one pod. Whatever else goes wrong, it keeps to this:
//! 1. It opens nothing before its first grant. If it has never been granted anything and has had no leader for 10 s, it
//!    opens its *floor* by itself.
//! 2. It opens no more than its newest grant says. After a smaller one it closes what it has too many as soon as its
//!    callers give that back. It keeps its last grant for as long as it lives, broker or not.
//! 3. A leader begins each stream with a welcome that names its epoch, the number of the Lease's transitions. A holder
//!    takes no grant that is older than the newest that it has, and none of an older epoch than any that it knows. Each
//!    report says which epoch that is.
//!
//! # Why never more than the budget are open
//!
//! **A holder has no more than its charge.** The charge is the greatest of: the grants of this leader that the holder
//! may still take, what it reported as limit and as open, what the server showed of it, and its floor. It may take a
//! grant until it has reported a newer one (3). What it has can only exceed all grants that it may take while it comes
//! down from an earlier one, and then it only falls (2), so that its last report bounds it. A report that comes late
//! says more than there is, or is recognised by its grant. The charge falls a second after the report that lets it
//! fall, for the server ends a session a little after the client.
//!
//! **Nothing is granted that doesn't fit.** A larger grant is given only while all charges, what is *set aside*, and
//! the difference are within the budget. So a smaller grant comes first, is taken, its surplus is closed, all of it is
//! reported, a second passes, and only then somebody else has more. Nobody counts on what was merely sent.
//!
//! **Pods that come find their floors.** Each scaler has so many *places*: its most replicas, its surge, and once more
//! its most replicas, for pods that terminate don't count towards the surge (kubernetes #95498). For each place that
//! nobody has taken a floor is set aside, the highest that a pod of the scaler has; for one that is taken by a pod with
//! a lower floor, the difference. A pod that appears takes a place, whether or not anybody has seen it, and so does the
//! next run of a pod whose former run has left sessions. So the floors that pods open by themselves while no leader
//! lives are within the budget already, and a roll-out goes on though all else is granted: its pods are granted their
//! floors at once. More replicas or a higher floor count once there is room for them ([`ScalerView::provided`]): nobody
//! may scale to them before.
//!
//! **Nothing is refunded because something isn't seen.** A pod that is missing from the *whole* set of pods, or a run
//! whose pod another run speaks for, stays charged until the server has shown none of its sessions for 30 s, beginning
//! a second after; at once, if the API server said before that its containers had ended. Within 30 s each message and
//! each attempt to connect has succeeded or failed. A pod without a stream keeps its grant (2), so it keeps its charge
//! for as long as it exists.
//!
//! **A new leader assumes the most.** Each pod that existed when it began, and each run that it hears of such a pod, is
//! charged its ceiling, until the run reports in the new epoch: from then on it refuses what former leaders gave (3),
//! and a look at the server has shown what runs before it left. A run of which the server shows sessions, and nobody
//! the pod, is charged the highest ceiling; one that says hello and whose pod isn't listed, its own, until it reports.
//! Nobody is granted more before all pods have been listed and all sessions looked at, both begun after the leader did.
//! What a pod has it is granted again, for that adds nothing. A former leader that wakes up grants nothing, for its
//! Lease has lapsed by its own clock; what it sent before was for pods that the new one charges. A pod that comes later
//! has never known a former leader.
//!
//! **Pods whose pools are their own** ([`ScalerSpec::is_fixed`]) take no grants, so none of this binds them. They may open
//! their ceiling at any time, from their first moment to their last. So their floor is their ceiling: each of their scaler's
//! places is worth it, taken or not. What is charged and set aside for them together is then never less than places times
//! ceiling, whatever is heard of them, seen or lost; a container that is started again while the server still ends what the
//! former left, takes another place, as everywhere. A charge is more than the ceiling while the pod says that its pools'
//! maximum is, or the server shows more sessions of it. It begins with the pod's first list, or is set aside before, and ends as
//! that of any pod: when the pod is missing from the whole set, and the server has shown none of its sessions for 30 s after
//! that, or at once if its containers had ended. Its sessions name no run. They are known by the address that the pod had, or by
//! `application_name` if that is the pod's name; those that can't be told from others' are charged twice, as the pod's and as
//! others', which wastes and exceeds nothing.
//!
//! # Where that ends
//!
//! What stops the rest is the role's `CONNECTION LIMIT`:
//! - *More pods than places, while no leader lives*, for example after `kubectl scale` by hand: each of them opens its
//!   floor after 10 s. With a leader, they wait until the others have come down.
//! - *More pods than places of a scaler whose pools are their own*: nobody can keep them waiting. The same if `maxReplicas` is
//!   lowered while pods start that no list has shown yet.
//! - *A pod whose pool is larger than its scaler's ceiling*, until it has said so or the server has shown it.
//! - *Somebody else at the address of a pod whose pool is its own*, for instance a sidecar, or another process of the node with
//!   `hostNetwork`: its sessions count as the pod's, up to what is charged to that.
//! - *A process whose pod's object is gone* (deletion by force, a lost node), that had no session for 30 s while it had
//!   no stream, or in the first look of a new leader, and connects again.
//! - *A scaler whose floor or ceiling is lowered while pods of the former template exist and the leader changes*,
//!   unless the template says them ([`ObservedPod::bounds`]).
//! - *A pod whose floor is above its scaler's*: what it says of itself is believed up to the scaler's bounds, or one pod could have
//!   everything set aside for it. Each that begins alone then opens more than was set aside ([`Excess`]).
//! - *A budget that becomes smaller*: it is exceeded until pods have come down, which begins at once; nothing is
//!   granted meanwhile but floors.
//! - *Within one pod*, a connection that is replaced may overlap with the former for some milliseconds: the budget's
//!   reserve is for that.
//!
//! # Why nothing is lost
//!
//! A charge ends with a report, a look, or its pod. Each grant is sent until it is confirmed. So when nothing goes
//! wrong any more, all charges become what was granted, and what is granted all that there is or is wanted. A pod that
//! was there before the leader and never starts keeps its ceiling's charge until it is deleted: nobody can tell that it
//! never ran.
//!
//! `simulation` tries all of this against models of pods, server, watch, Lease and network, and finds each part that is
//! left out.

mod account;
mod book;
mod budget;
mod charge;
mod inputs;
mod names;
mod own;
mod share;
mod split;
mod view;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use account::RELEASE_AFTER;
pub use book::Ledger;
pub use budget::Budget;
pub use charge::SETTLING;
pub use inputs::{Hello, Look, ObservedPod, Phase, PodSet, Report, ScalerSpec, Sessions, Unnamed};
pub use names::{Address, BootId, Bounds, Grant, GrantId, Holder, PodName, PodUid, ScalerId};
pub use split::{Claim, split};
pub use view::{Entry, Excess, ScalerView, Standing, View};

/// A part of the safety argument that is left out, to see that the simulation finds it missing.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    GrowsBeforeAcknowledged,
    ForgetsInFlight,
    ForgetsTerminating,
    ForgetsPartitioned,
    ForgetsSurge,
    ForgetsFormerRuns,
    RefundsOnDelete,
    /// A pod whose pool is its own is charged what it has open, and not what it may open.
    TrustsOwnPools,
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
