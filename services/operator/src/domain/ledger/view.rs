//! The ledger as others see it: status, metrics, decisions, people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::account::{Account, Presence, RELEASE_AFTER, Run};
use super::book::Ledger;
use super::names::{BootId, Bounds, Grant, GrantId, PodName, PodUid, ScalerId, total};
use crate::domain::moment::Moment;

/// Where a charge comes from, and what it waits for. As words by `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has what it wants.
    Satisfied,
    /// A smaller grant is on its way, or has been taken while more are still open.
    Shrinking {
        /// Connections that it is to come down to.
        to: u32,
    },
    /// A larger grant waits for connections that others still have.
    WaitsForOthers {
        /// Connections that it is to have.
        share: u32,
    },
    /// It wants more than its share of what is there.
    Limited {
        /// Connections that it wants.
        wanted: u32,
    },
    /// It has no grant yet, for even its floor doesn't fit.
    WaitsForFloor,
    /// Its pools take no fewer connections than its scaler allows a pod at the most: it is granted none.
    Beyond {
        /// What its pools' floors add up to.
        floor: u32,
        /// What it may be granted at the most.
        ceiling: u32,
    },
    /// A grant was sent, and it hasn't said yet that it has taken it.
    Unconfirmed,
    /// Its stream is there, and it hasn't reported in this epoch.
    Unreported,
    /// It never attached: it opens its floor by itself, unless it finds the broker.
    NeverAttached,
    /// It may have been granted something by a former leader, and hasn't reported to this one.
    Inherited,
    /// Its stream is gone: it keeps what it was granted.
    Detached {
        /// For how long.
        since: Duration,
    },
    /// It said hello, and the API server hasn't shown its pod yet.
    Unlisted,
    /// Its pool is its own, and nobody grants it anything.
    OwnPool {
        /// Its pools' maximum, as it said; 0 before it has said anything.
        most: u32,
        /// Sessions that the server showed last.
        sessions: u32,
    },
    /// Another run of its pod has taken its place, or its pod is gone.
    Over {
        /// Sessions that the server showed last.
        sessions: u32,
    },
    /// The server shows sessions of it, and nobody knows its pod.
    Stray {
        /// Sessions that the server showed last.
        sessions: u32,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let release = RELEASE_AFTER.as_secs();
        match self {
            Self::Satisfied => write!(f, "has what it wants"),
            Self::Shrinking { to } => write!(f, "is to come down to {to}, and stays charged until it has"),
            Self::WaitsForOthers { share } => {
                write!(f, "is to have {share}, once others have given back what they have")
            }
            Self::Limited { wanted } => write!(f, "wants {wanted}, and has its share of what there is"),
            Self::WaitsForFloor => write!(f, "waits for its first grant: its floor doesn't fit into the budget yet"),
            Self::Beyond { floor, ceiling } => write!(
                f,
                "is granted nothing: the floors of its pools add up to {floor}, and the PoolScaler's pool.ceiling is {ceiling}; \
                 raise that, or lower the floors"
            ),
            Self::Unconfirmed => write!(f, "hasn't said yet that it has taken its newest grant"),
            Self::Unreported => write!(f, "is attached, and hasn't reported to this leader yet"),
            Self::NeverAttached => write!(f, "never attached: its floor is kept for it"),
            Self::Inherited => {
                write!(f, "was there before this leader, and is charged at its ceiling until it reports")
            }
            Self::Detached { since } => {
                write!(f, "is without a stream for {} s: it keeps its last grant, and stays charged", since.as_secs())
            }
            Self::Unlisted => write!(f, "is attached, and the API server hasn't shown its pod yet"),
            Self::OwnPool { most: 0, sessions } => {
                write!(
                    f,
                    "has a pool of its own, and is charged its maximum for as long as it is there; the server shows {sessions}"
                )
            }
            Self::OwnPool { most, sessions } => write!(
                f,
                "has a pool of its own, of {most} at most, and is charged its maximum for as long as it is there; the server \
                 shows {sessions}"
            ),
            Self::Over { sessions } => write!(
                f,
                "is gone, and charged until the server has shown no session of it for up to {release} s; it shows \
                 {sessions}"
            ),
            Self::Stray { sessions } => write!(
                f,
                "is of a pod that isn't known, and charged until the server has shown no session of it for {release} s; \
                 it shows {sessions}"
            ),
        }
    }
}

/// A hello that says more than the scaler allows a pod, in connections of all its pools together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// What it said.
    pub asked: Bounds,
    /// What is set aside for it and what it may be granted.
    pub believed: Bounds,
}

/// What is charged to one run, or to a pod without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The pod, if it is known.
    pub pod: Option<PodUid>,
    /// Its name.
    pub name: PodName,
    /// The run, if one is known.
    pub boot: Option<BootId>,
    /// Whose it is, if that is known.
    pub scaler: Option<ScalerId>,
    /// This leader's newest grant.
    pub granted: Option<Grant>,
    /// The newest of them that it said to have taken.
    pub accepted: Option<GrantId>,
    /// Connections that it reported as open.
    pub open: u32,
    /// Connections that are to be its own once there is room.
    pub share: u32,
    /// Connections that it may have.
    pub charged: u32,
    /// What its hello said, where that is more than is believed.
    pub excess: Option<Excess>,
    /// Why.
    pub standing: Standing,
}

/// One scaler's places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalerView {
    /// Pods that can exist at once, by its specification.
    pub places: u32,
    /// Pods for which floors have been set aside. Replicas beyond what fits here must not be asked for yet.
    pub provided: u32,
    /// Pods that are there, or of which something is left.
    pub taken: u32,
}

/// The ledger at one moment. Counts are in connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The leader's epoch, while this process is the leader.
    pub epoch: Option<u64>,
    /// What pods may have together.
    pub budget: u32,
    /// What they may have now, with the floors of those that are there.
    pub charged: u32,
    /// Floors of pods that may come.
    pub set_aside: u32,
    /// What can be granted in addition.
    pub headroom: u32,
    /// By how much all this exceeds the budget. Nothing is granted in addition then, and it comes down.
    pub excess: u32,
    /// Why nobody is granted more, apart from a lack of headroom.
    pub held: Option<&'static str>,
    /// Every charge.
    pub entries: Vec<Entry>,
    /// Every scaler.
    pub scalers: BTreeMap<ScalerId, ScalerView>,
}

impl Ledger {
    /// The ledger as it is at `now`.
    pub fn view(&self, now: Moment) -> View {
        let totals = self.totals(now);
        let taken = self.places_taken();
        let of_accounts = self.accounts.iter().flat_map(|(uid, account)| entries(uid, account, now));
        let of_strays = self.strays.iter().map(|(boot, stray)| Entry {
            pod: None,
            name: stray.pod.clone(),
            boot: Some(boot.clone()),
            scaler: None,
            granted: None,
            accepted: None,
            open: 0,
            share: 0,
            charged: stray.shown.max(self.largest_ceiling()),
            excess: None,
            standing: Standing::Stray { sessions: stray.shown },
        });
        let scalers = self.scalers.iter().map(|(id, scaler)| {
            let taken = taken.get(id).map_or(0, |(places, _)| *places);
            (id.clone(), ScalerView { places: scaler.spec.places(), provided: scaler.provided, taken })
        });
        View {
            epoch: self.reign.filter(|_| self.is_leading(now)).map(|reign| reign.epoch),
            budget: totals.budget,
            charged: totals.charged,
            set_aside: totals.set_aside,
            headroom: totals.headroom(),
            excess: totals.spoken_for().saturating_sub(totals.budget),
            held: self.held(now),
            entries: of_accounts.chain(of_strays).collect(),
            scalers: scalers.collect(),
        }
    }

    fn held(&self, now: Moment) -> Option<&'static str> {
        match self.reign {
            _ if !self.is_leading(now) => Some("this process isn't the leader"),
            Some(reign) if !reign.listed => Some("the pods haven't been listed since this leader began"),
            Some(reign) if !reign.looked => Some("the server's sessions haven't been seen since this leader began"),
            _ => None,
        }
    }
}

fn entries(uid: &PodUid, account: &Account, now: Moment) -> Vec<Entry> {
    let known = total(account.runs.iter().map(|run| run.charged(now)));
    let mut entries: Vec<_> = account
        .runs
        .iter()
        .map(|run| Entry {
            pod: Some(uid.clone()),
            name: account.name.clone(),
            boot: Some(run.boot.clone()),
            scaler: account.scaler.clone(),
            granted: run.newest,
            accepted: run.charge.accepted(),
            open: run.charge.open(),
            share: run.share,
            charged: run.charged(now),
            excess: excess(account, run),
            standing: standing(account, run, now),
        })
        .collect();
    let unknown = account.charged(now) - known;
    if unknown > 0 || entries.is_empty() {
        let own = account.own.as_ref();
        let standing = match (own, account.unheard) {
            _ if account.is_over() => Standing::Over { sessions: own.map_or(0, |own| own.shown) },
            (Some(own), _) => Standing::OwnPool { most: own.most, sessions: own.shown },
            (None, true) => Standing::Inherited,
            (None, false) => Standing::NeverAttached,
        };
        entries.push(Entry {
            pod: Some(uid.clone()),
            name: account.name.clone(),
            boot: None,
            scaler: account.scaler.clone(),
            granted: None,
            accepted: None,
            open: own.map_or(0, |own| own.open),
            share: 0,
            charged: unknown,
            excess: None,
            standing,
        });
    }
    entries
}

fn excess(account: &Account, run: &Run) -> Option<Excess> {
    let believed = Bounds { floor: account.bounds.floor, ceiling: run.bounds.ceiling };
    (run.attached && run.asked.or(believed) != believed).then_some(Excess { asked: run.asked, believed })
}

fn standing(account: &Account, run: &Run, now: Moment) -> Standing {
    let (has, wanted) = (run.has(), run.bounds.clamp(run.wanted.unwrap_or(run.has())));
    if run.is_over() || account.is_over() && account.presence != Presence::Unlisted {
        return Standing::Over { sessions: run.charge.sessions() };
    }
    if !run.attached {
        return match run.detached_at {
            Some(at) => Standing::Detached { since: now.since(at) },
            None => Standing::Inherited,
        };
    }
    match run.newest {
        _ if account.presence == Presence::Unlisted => Standing::Unlisted,
        _ if !run.reported => Standing::Unreported,
        None if run.is_beyond() => Standing::Beyond { floor: run.asked.floor, ceiling: run.bounds.ceiling },
        None => Standing::WaitsForFloor,
        Some(_) if run.charged(now) > has => Standing::Shrinking { to: has },
        Some(grant) if run.charge.accepted() != Some(grant.id) => Standing::Unconfirmed,
        Some(_) if has < run.share => Standing::WaitsForOthers { share: run.share },
        Some(_) if has < wanted => Standing::Limited { wanted },
        Some(_) => Standing::Satisfied,
    }
}
