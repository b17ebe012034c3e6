//! What a process may hold: its newest grant, and how far it complies with it. A plain state machine.

use selvage_pool::{Grant, GrantId, LimitError, LimitOwner};

use crate::shares::{self, Share};

/// What a process was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// The newest grant.
    known: Option<Grant>,
    /// The newest one that was complied with.
    complied: Option<Grant>,
    /// The highest epoch of a leader that was heard.
    epoch: u64,
    /// Nothing was ever granted, and no leader heard for so long that the pools have their floors.
    alone: bool,
}

impl Holding {
    /// The newest grant.
    pub(crate) fn known(&self) -> Option<GrantId> {
        self.known.map(|grant| grant.id)
    }

    /// The highest epoch of a leader that was heard.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A leader of `epoch` was heard; `false` if a later one was before. What those before it have granted and what comes only
    /// now has no effect any more.
    pub(crate) fn welcomed(&mut self, epoch: u64) -> bool {
        let leads = epoch >= self.epoch;
        self.epoch = self.epoch.max(epoch);
        leads
    }

    /// A grant has come. One that is known already changes nothing.
    ///
    /// # Errors
    /// See [`LimitError`]; all stays as it was. The floors of pools that may have something already must be in it.
    pub(crate) fn granted(&mut self, grant: Grant, shares: &[Share]) -> Result<(), LimitError> {
        if grant.id.epoch < self.epoch {
            let known = self.known().unwrap_or_default().max(GrantId { epoch: self.epoch, sequence: 0 });
            return Err(LimitError::Older { given: grant.id, known });
        }
        grant.may_follow(self.known)?;
        let floor = shares.iter().filter(|share| share.allowed > 0).map(|share| share.bounds.floor).sum();
        if grant.limit < floor {
            let ceiling = shares.iter().map(|share| share.bounds.ceiling).sum();
            return Err(LimitError::OutOfBounds { owner: LimitOwner::Grant, given: grant.limit, floor, ceiling });
        }
        (self.known, self.alone, self.epoch) = (Some(grant), false, grant.id.epoch);
        Ok(())
    }

    /// No leader was heard for so long that the pools open their floors; what was granted once is enough.
    pub(crate) fn left_alone(&mut self) {
        self.alone = self.known.is_none();
    }

    /// Whether the pools are to open their floors when no leader is heard for long.
    pub(crate) fn may_be_left_alone(&self) -> bool {
        self.known.is_none() && !self.alone
    }

    /// The limits that are to be set now, by index of the pool; to be asked again when connections have been closed, or there are
    /// other pools.
    pub(crate) fn next(&self, shares: &[Share]) -> Vec<(usize, u32)> {
        let allowed = match self.known {
            Some(grant) => grant.limit,
            None if self.alone => shares.iter().map(|share| share.bounds.floor).sum(),
            None => 0,
        };
        shares::next(allowed, shares)
    }

    /// The newest grant that allows all that may be open until a newer one comes; it may still be an older one while
    /// connections are closed.
    pub(crate) fn complied(&mut self, shares: &[Share]) -> Option<GrantId> {
        let held = shares::held(shares);
        let allows = |grant: &Grant| held <= grant.limit;
        self.complied = self.known.filter(allows).or(self.complied.filter(allows));
        self.complied.map(|grant| grant.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::Bounds;

    fn grant(epoch: u64, sequence: u64, limit: u32) -> Grant {
        Grant { id: GrantId { epoch, sequence }, limit }
    }

    fn share(floor: u32, ceiling: u32) -> Share {
        Share { bounds: Bounds { floor, ceiling }, allowed: 0, open: 0 }
    }

    /// Sets the limits that are to be set now.
    fn comply(holding: &Holding, shares: &mut [Share]) {
        for (index, limit) in holding.next(shares) {
            shares[index].allowed = limit;
        }
    }

    #[test]
    fn nothing_is_allowed_before_the_first_grant() {
        let mut holding = Holding::default();
        assert_eq!(holding.next(&[share(2, 8)]), []);
        assert_eq!(holding.complied(&[share(2, 8)]), None);
    }

    #[test]
    fn a_smaller_grant_is_complied_with_when_what_may_be_open_is_within_it() {
        let (mut holding, mut shares) = (Holding::default(), [share(2, 8), share(1, 8)]);
        holding.granted(grant(1, 1, 8), &shares).unwrap();
        comply(&holding, &mut shares);
        assert_eq!([shares[0].allowed, shares[1].allowed], [4, 4]);
        let first = Some(GrantId { epoch: 1, sequence: 1 });
        assert_eq!(holding.complied(&shares), first);
        (shares[0].open, shares[1].open) = (4, 1);
        holding.granted(grant(1, 2, 6), &shares).unwrap();
        comply(&holding, &mut shares);
        assert_eq!([shares[0].allowed, shares[1].allowed], [3, 3]);
        // 5 are open, and the second pool may open 2 more: 7.
        assert_eq!(holding.complied(&shares), first, "the first one still allows all of it");
        shares[0].open = 3;
        assert_eq!(holding.complied(&shares), Some(GrantId { epoch: 1, sequence: 2 }));
        assert_eq!(holding.known(), Some(GrantId { epoch: 1, sequence: 2 }));
    }

    #[test]
    fn an_older_grant_a_contradiction_and_less_than_the_floors_are_refused() {
        let (mut holding, mut shares) = (Holding::default(), [share(2, 8)]);
        holding.granted(grant(3, 1, 4), &shares).unwrap();
        comply(&holding, &mut shares);
        let before = holding;
        assert!(matches!(holding.granted(grant(2, 9, 8), &shares), Err(LimitError::Older { .. })));
        assert!(matches!(holding.granted(grant(3, 1, 5), &shares), Err(LimitError::Contradiction { .. })));
        assert!(matches!(holding.granted(grant(4, 1, 1), &shares), Err(LimitError::OutOfBounds { floor: 2, .. })));
        assert_eq!(holding, before);
        assert_eq!(holding.granted(grant(3, 1, 4), &shares), Ok(()), "the same again is no other");
    }

    #[test]
    fn who_is_left_alone_has_its_floors_or_what_was_granted() {
        let (mut holding, mut shares) = (Holding::default(), vec![share(2, 8)]);
        assert!(holding.may_be_left_alone());
        holding.left_alone();
        comply(&holding, &mut shares);
        assert_eq!(shares[0].allowed, 2);
        assert_eq!(holding.complied(&shares), None, "nobody granted it");
        holding.granted(grant(1, 1, 5), &shares).unwrap();
        comply(&holding, &mut shares);
        assert!(!holding.may_be_left_alone());
        holding.left_alone();
        assert_eq!(holding.next(&shares), []);
        // Other pools are opened: a floor comes out of the grant, and what doesn't fit into it waits.
        shares.extend([share(1, 3), share(3, 3)]);
        comply(&holding, &mut shares);
        assert_eq!([shares[0].allowed, shares[1].allowed, shares[2].allowed], [4, 1, 0]);
        assert_eq!(holding.complied(&shares), Some(GrantId { epoch: 1, sequence: 1 }));
    }

    #[test]
    fn what_a_leader_granted_before_the_present_one_has_no_effect_any_more() {
        let mut holding = Holding::default();
        assert!(holding.welcomed(3) && holding.welcomed(5) && holding.welcomed(5));
        assert!(!holding.welcomed(4), "it was the leader once");
        assert_eq!(holding.epoch(), 5);
        let late = holding.granted(grant(4, 9, 8), &[share(2, 8)]);
        assert!(matches!(late, Err(LimitError::Older { .. })), "{late:?}");
        assert_eq!(holding.granted(grant(6, 1, 8), &[share(2, 8)]), Ok(()));
        assert_eq!(holding.epoch(), 6);
    }

    #[test]
    fn what_was_opened_alone_is_kept_when_a_leader_is_heard_again() {
        let (mut holding, mut shares) = (Holding::default(), [share(2, 8)]);
        holding.left_alone();
        comply(&holding, &mut shares);
        holding.granted(grant(1, 1, 2), &shares).unwrap();
        assert_eq!(holding.next(&shares), []);
        assert_eq!(holding.complied(&shares), Some(GrantId { epoch: 1, sequence: 1 }));
    }
}
