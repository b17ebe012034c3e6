//! Who has set a pool's limit, and which of them counts.

use std::fmt;

/// Who sets a limit. A later one of these overrides an earlier one, for as long as it has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitOwner {
    /// The service's own configuration, changed by [`Pool::set_limit`](crate::Pool::set_limit).
    Configuration,
    /// The newest grant of a broker, who shares a server's connections out.
    Grant,
    /// A fault that somebody has started on purpose; never for more than a grant.
    Fault,
}

impl LimitOwner {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Grant => "grant",
            Self::Fault => "fault",
        }
    }
}

/// Tells a grant from those before it: by the epoch of the leader who gave it, then by its number among that leader's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId {
    /// Grows with each change of the leader.
    pub epoch: u64,
    /// Grows with each grant of one leader.
    pub sequence: u64,
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of epoch {}", self.sequence, self.epoch)
    }
}

/// So many connections a pool may open by its broker's leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which one it is.
    pub id: GrantId,
    /// Connections at the most, from the pool's floor to its ceiling.
    pub limit: u32,
}

impl Grant {
    /// Whether this grant counts where `known` was the newest so far.
    ///
    /// # Errors
    /// [`LimitError::Older`] if `known` is newer, [`LimitError::Contradiction`] if it is the same one with another number.
    pub fn may_follow(self, known: Option<Self>) -> Result<(), LimitError> {
        match known {
            Some(known) if self.id < known.id => Err(LimitError::Older { given: self.id, known: known.id }),
            Some(known) if self.id == known.id && self.limit != known.limit => {
                Err(LimitError::Contradiction { id: self.id, known: known.limit, given: self.limit })
            }
            _ => Ok(()),
        }
    }
}

/// Why a limit wasn't set. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A newer grant is known: whoever gave this one isn't the leader any more, or the message was overtaken.
    #[error("grant {given} is refused, for grant {known} is newer")]
    Older {
        /// The one that was refused.
        given: GrantId,
        /// The one that is kept.
        known: GrantId,
    },
    /// This grant is known, and said another number: two who grant take themselves for the same leader.
    #[error("grant {id} is refused, for it said {known} connections before and says {given} now")]
    Contradiction {
        /// The grant.
        id: GrantId,
        /// Connections that it said first, which are kept.
        known: u32,
        /// Connections that it says now.
        given: u32,
    },
    /// It isn't within the pool's floor and ceiling.
    #[error("a {} of {given} connections is refused: it must be from the pool's floor {floor} to its ceiling {ceiling}",
        owner.name())]
    OutOfBounds {
        /// Who wanted to set it.
        owner: LimitOwner,
        /// Connections that were wanted.
        given: u32,
        /// The least that is possible.
        floor: u32,
        /// The most that is possible.
        ceiling: u32,
    },
}

/// Tells a fault's limit from those of other faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultId(u64);

/// A pool's limit with its owners: what each of them said last, and from that, which limit is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnedLimit {
    floor: u32,
    ceiling: u32,
    /// It began with nothing: what it may is said by others, whom a fault doesn't overrule.
    by_leave: bool,
    configured: u32,
    granted: Option<Grant>,
    fault: Option<(FaultId, u32)>,
    /// Faults that were begun so far.
    faults: u64,
}

impl OwnedLimit {
    /// Only configured yet. `floor` ≤ `limit` ≤ `ceiling` is the caller's to see to, or a `limit` of 0: nothing is allowed then
    /// until somebody grants or configures a limit.
    pub(crate) fn new(floor: u32, limit: u32, ceiling: u32) -> Self {
        Self { floor, ceiling, by_leave: limit == 0, configured: limit, granted: None, fault: None, faults: 0 }
    }

    /// The limit that counts now, and whose it is.
    pub(crate) fn in_force(&self) -> (u32, LimitOwner) {
        let allowed = match self.granted {
            Some(grant) => (grant.limit, LimitOwner::Grant),
            None => (self.configured, LimitOwner::Configuration),
        };
        // What a broker grants is what the server has left: a drill may use less of it, and never more.
        let bound = if self.granted.is_some() || self.by_leave { allowed.0 } else { self.ceiling };
        match self.fault {
            Some((_, limit)) if limit <= bound => (limit, LimitOwner::Fault),
            _ => allowed,
        }
    }

    /// The newest grant.
    pub(crate) fn granted(&self) -> Option<Grant> {
        self.granted
    }

    /// The configuration says another limit. What is beyond floor or ceiling becomes that bound.
    pub(crate) fn configure(&mut self, limit: u32) {
        self.configured = limit.clamp(self.floor, self.ceiling);
    }

    /// A grant has come. One that is known already changes nothing.
    pub(crate) fn grant(&mut self, grant: Grant) -> Result<(), LimitError> {
        grant.may_follow(self.granted)?;
        self.check(LimitOwner::Grant, grant.limit)?;
        self.granted = Some(grant);
        Ok(())
    }

    /// A fault begins. One that was under way gives way to it, and its end changes nothing any more.
    pub(crate) fn begin_fault(&mut self, limit: u32) -> Result<FaultId, LimitError> {
        self.check(LimitOwner::Fault, limit)?;
        self.faults += 1;
        let id = FaultId(self.faults);
        self.fault = Some((id, limit));
        Ok(id)
    }

    /// A fault ends: what the others say by now counts again.
    pub(crate) fn end_fault(&mut self, id: FaultId) {
        self.fault.take_if(|(of, _)| *of == id);
    }

    fn check(&self, owner: LimitOwner, given: u32) -> Result<(), LimitError> {
        let (floor, ceiling) = (self.floor, self.ceiling);
        if (floor..=ceiling).contains(&given) {
            return Ok(());
        }
        Err(LimitError::OutOfBounds { owner, given, floor, ceiling })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLOOR: u32 = 2;
    const CEILING: u32 = 12;

    fn grant(epoch: u64, sequence: u64, limit: u32) -> Grant {
        Grant { id: GrantId { epoch, sequence }, limit }
    }

    fn limit() -> OwnedLimit {
        OwnedLimit::new(FLOOR, 8, CEILING)
    }

    #[test]
    fn a_fault_overrides_a_grant_and_a_grant_the_configuration() {
        let mut limit = limit();
        assert_eq!(limit.in_force(), (8, LimitOwner::Configuration));
        limit.grant(grant(1, 1, 5)).unwrap();
        assert_eq!(limit.in_force(), (5, LimitOwner::Grant));
        limit.configure(9);
        assert_eq!(limit.in_force(), (5, LimitOwner::Grant), "the configuration waits for its turn");
        let fault = limit.begin_fault(3).unwrap();
        assert_eq!(limit.in_force(), (3, LimitOwner::Fault));
        // What is granted meanwhile is what comes back, not what the fault saw when it began.
        limit.grant(grant(1, 2, 7)).unwrap();
        assert_eq!(limit.in_force(), (3, LimitOwner::Fault));
        limit.end_fault(fault);
        assert_eq!(limit.in_force(), (7, LimitOwner::Grant));
    }

    #[test]
    fn a_fault_never_allows_more_than_a_grant() {
        let mut limit = limit();
        let fault = limit.begin_fault(10).unwrap();
        assert_eq!(limit.in_force(), (10, LimitOwner::Fault), "nobody shares this server out");
        limit.grant(grant(1, 1, 5)).unwrap();
        assert_eq!(limit.in_force(), (5, LimitOwner::Grant));
        limit.grant(grant(1, 2, 11)).unwrap();
        assert_eq!(limit.in_force(), (10, LimitOwner::Fault), "it is below the grant again");
        limit.end_fault(fault);
        assert_eq!(limit.in_force(), (11, LimitOwner::Grant));
    }

    #[test]
    fn what_begins_with_nothing_stays_so_until_somebody_allows_more() {
        let mut limit = OwnedLimit::new(FLOOR, 0, CEILING);
        assert_eq!(limit.in_force(), (0, LimitOwner::Configuration));
        let fault = limit.begin_fault(3).unwrap();
        assert_eq!(limit.in_force().0, 0, "a fault allows nothing");
        limit.configure(FLOOR);
        assert_eq!(limit.in_force().0, FLOOR);
        limit.grant(grant(1, 1, 8)).unwrap();
        assert_eq!(limit.in_force(), (3, LimitOwner::Fault));
        limit.end_fault(fault);
        assert_eq!(limit.in_force(), (8, LimitOwner::Grant));
    }

    #[test]
    fn a_fault_that_ends_gives_back_the_newest_configuration() {
        let mut limit = limit();
        let fault = limit.begin_fault(3).unwrap();
        limit.configure(11);
        limit.end_fault(fault);
        assert_eq!(limit.in_force(), (11, LimitOwner::Configuration));
    }

    #[test]
    fn of_two_faults_the_first_ends_nothing() {
        let mut limit = limit();
        let first = limit.begin_fault(3).unwrap();
        let second = limit.begin_fault(4).unwrap();
        limit.end_fault(first);
        assert_eq!(limit.in_force(), (4, LimitOwner::Fault));
        limit.end_fault(second);
        assert_eq!(limit.in_force(), (8, LimitOwner::Configuration));
    }

    #[test]
    fn an_older_grant_is_refused_by_epoch_first_and_then_by_sequence() {
        let mut limit = limit();
        limit.grant(grant(7, 3, 5)).unwrap();
        for (epoch, sequence) in [(7, 2), (6, 99)] {
            let refused = limit.grant(grant(epoch, sequence, 9)).unwrap_err();
            let (given, known) = (GrantId { epoch, sequence }, GrantId { epoch: 7, sequence: 3 });
            assert_eq!(refused, LimitError::Older { given, known });
        }
        assert_eq!(limit.grant(grant(7, 3, 5)), Ok(()), "the same again is no other");
        let id = GrantId { epoch: 7, sequence: 3 };
        assert_eq!(limit.grant(grant(7, 3, 6)), Err(LimitError::Contradiction { id, known: 5, given: 6 }));
        assert_eq!(limit.in_force(), (5, LimitOwner::Grant));
        // A new leader begins to count anew.
        limit.grant(grant(8, 1, 4)).unwrap();
        assert_eq!(limit.in_force(), (4, LimitOwner::Grant));
    }

    #[test]
    fn bounds_are_said_in_words() {
        let mut limit = limit();
        let refused = limit.grant(grant(1, 1, 13)).unwrap_err().to_string();
        assert_eq!(
            refused,
            "a grant of 13 connections is refused: it must be from the pool's floor 2 to its ceiling 12"
        );
        let refused = limit.begin_fault(1).unwrap_err().to_string();
        assert!(refused.starts_with("a fault of 1 connections is refused"), "{refused}");
        assert_eq!(limit, self::limit(), "nothing has changed");
        limit.configure(1);
        assert_eq!(limit.in_force(), (FLOOR, LimitOwner::Configuration));
        limit.configure(99);
        assert_eq!(limit.in_force(), (CEILING, LimitOwner::Configuration));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Configure(u32),
        Grant(Grant),
        BeginFault(u32),
        /// The how many-th of those that were begun.
        EndFault(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let wanted = 0..CEILING + 3;
        prop_oneof![
            wanted.clone().prop_map(Step::Configure),
            (0..4_u64, 0..4_u64, wanted.clone()).prop_map(|(epoch, seq, limit)| Step::Grant(grant(epoch, seq, limit))),
            wanted.prop_map(Step::BeginFault),
            (0..4_usize).prop_map(Step::EndFault),
        ]
    }

    proptest! {
        /// The whole history, looked through anew after each step, says the same as what was kept of it.
        #[test]
        fn what_is_in_force_follows_from_all_that_was_said(steps in prop::collection::vec(step(), 0..60)) {
            let mut limit = limit();
            let (mut configured, mut grants, mut faults) = (vec![8], Vec::<Grant>::new(), Vec::new());
            for step in steps {
                let possible = |wanted: u32| (FLOOR..=CEILING).contains(&wanted);
                match step {
                    Step::Configure(wanted) => {
                        limit.configure(wanted);
                        configured.push(wanted.clamp(FLOOR, CEILING));
                    }
                    Step::Grant(grant) => {
                        let newest = grants.iter().map(|known| known.id).max();
                        let contradicts = grants.iter().any(|known| known.id == grant.id && known.limit != grant.limit);
                        let is_right = newest <= Some(grant.id) && !contradicts && possible(grant.limit);
                        prop_assert_eq!(limit.grant(grant).is_ok(), is_right);
                        grants.extend(is_right.then_some(grant));
                    }
                    Step::BeginFault(wanted) => match limit.begin_fault(wanted) {
                        Ok(id) => faults.push((id, wanted, true)),
                        Err(refused) => prop_assert!(!possible(wanted), "{refused}"),
                    },
                    Step::EndFault(which) => {
                        if let Some((id, _, under_way)) = faults.get_mut(which) {
                            *under_way = false;
                            limit.end_fault(*id);
                        }
                    }
                }
                let of_fault = faults.last().filter(|(_, _, under_way)| *under_way).map(|(_, limit, _)| *limit);
                let newest = grants.iter().max_by_key(|grant| grant.id);
                let expected = match (of_fault, newest) {
                    (Some(limit), Some(grant)) if limit > grant.limit => (grant.limit, LimitOwner::Grant),
                    (Some(limit), _) => (limit, LimitOwner::Fault),
                    (None, Some(grant)) => (grant.limit, LimitOwner::Grant),
                    (None, None) => (configured[configured.len() - 1], LimitOwner::Configuration),
                };
                prop_assert_eq!(limit.in_force(), expected);
                prop_assert_eq!(limit.granted(), newest.copied());
                prop_assert!(possible(limit.in_force().0));
            }
        }

        /// However grants are delayed, repeated and reordered, the newest one counts in the end.
        #[test]
        fn the_newest_grant_counts_in_whatever_order_they_come(
            ids in prop::collection::btree_set((0..5_u64, 0..50_u64), 1..20),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let mut wanted = (FLOOR..=CEILING).cycle();
            let grants: Vec<_> = ids.iter().map(|(epoch, seq)| grant(*epoch, *seq, wanted.next().unwrap())).collect();
            let mut limit = limit();
            for index in order {
                let _ = limit.grant(*index.get(&grants));
            }
            // Sets are in order: the last is the newest.
            let newest = grants[grants.len() - 1];
            prop_assert_eq!(limit.grant(newest), Ok(()));
            for any in &grants {
                let _ = limit.grant(*any);
            }
            prop_assert_eq!(limit.in_force(), (newest.limit, LimitOwner::Grant));
        }
    }
}
