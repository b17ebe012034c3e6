//! How the connections of one grant are shared among a process's pools, so that never more than it allows are open.

/// What a pool is configured with; connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The limit is never set below.
    pub(crate) floor: u32,
    /// The limit is never set above.
    pub(crate) ceiling: u32,
}

/// A pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// What it is configured with.
    pub(crate) bounds: Bounds,
    /// What it was allowed last; 0 if nothing yet.
    pub(crate) allowed: u32,
    /// Connections that exist.
    pub(crate) open: u32,
}

impl Share {
    /// The most connections that it may have until it is allowed another number.
    pub(crate) fn held(&self) -> u32 {
        self.allowed.max(self.open)
    }
}

/// The most connections that all of them may have until they are allowed others.
pub(crate) fn held(shares: &[Share]) -> u32 {
    shares.iter().map(Share::held).sum()
}

/// What each pool gets of `connections`: the floors first, and the rest in proportion to what there is
/// from floor to ceiling. A pool that was allowed something has its floor in any case; another one gets nothing if what is
/// left doesn't suffice for its floor.
fn split(connections: u32, shares: &[Share]) -> Vec<u32> {
    let mut limits = vec![0; shares.len()];
    let mut rest = connections;
    let (begun, new): (Vec<_>, Vec<_>) = (0..shares.len()).partition(|index| shares[*index].allowed > 0);
    for index in begun.into_iter().chain(new) {
        let Share { bounds, allowed, .. } = &shares[index];
        if *allowed > 0 || bounds.floor <= rest {
            limits[index] = bounds.floor;
            rest = rest.saturating_sub(bounds.floor);
        }
    }
    let room = |index: usize| match limits[index] {
        0 => 0,
        _ => shares[index].bounds.ceiling - shares[index].bounds.floor,
    };
    let rooms: Vec<u64> = (0..shares.len()).map(|index| room(index).into()).collect();
    let all: u64 = rooms.iter().sum();
    if all == 0 {
        return limits;
    }
    // Largest remainders, as seats are given to parties: what rounding leaves goes to those who lost most by it.
    let rest = u64::from(rest).min(all);
    let parts = rooms.iter().map(|room| (rest * room / all, rest * room % all));
    let (wholes, remainders): (Vec<u64>, Vec<u64>) = parts.unzip();
    let left = usize::try_from(rest - wholes.iter().sum::<u64>()).unwrap_or_default();
    let mut by_loss: Vec<_> = (0..shares.len()).collect();
    by_loss.sort_by_key(|index| std::cmp::Reverse(remainders[*index]));
    for (index, whole) in wholes.into_iter().enumerate() {
        let rounded_up = by_loss.iter().take(left).any(|lost| *lost == index);
        limits[index] += u32::try_from(whole).unwrap_or(u32::MAX) + u32::from(rounded_up);
    }
    limits
}

/// The limits that are to be set now, by index, so that all together come as near to `connections` as they may: those that
/// shrink at once, and those that grow only as far as nobody else has what they would take. To be asked again when
/// connections have been closed.
pub(crate) fn next(connections: u32, shares: &[Share]) -> Vec<(usize, u32)> {
    let wanted = split(connections, shares);
    let mut shares = shares.to_vec();
    let mut changes = Vec::new();
    for (index, share) in shares.iter_mut().enumerate() {
        if wanted[index] < share.allowed {
            share.allowed = wanted[index];
            changes.push((index, share.allowed));
        }
    }
    for index in 0..shares.len() {
        let room = connections.saturating_sub(held(&shares));
        let share = &mut shares[index];
        let possible = share.allowed.max(share.open) + room;
        let limit = wanted[index].min(possible);
        if limit > share.allowed && limit >= share.bounds.floor {
            share.allowed = limit;
            changes.push((index, limit));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(floor: u32, ceiling: u32, allowed: u32, open: u32) -> Share {
        Share { bounds: Bounds { floor, ceiling }, allowed, open }
    }

    #[test]
    fn floors_come_first_and_the_rest_in_proportion() {
        // A service with three pools, as a fresh start finds them.
        let shares = [share(2, 8, 0, 0), share(1, 3, 0, 0), share(1, 2, 0, 0)];
        assert_eq!(split(13, &shares), [8, 3, 2], "all ceilings");
        assert_eq!(split(99, &shares), [8, 3, 2], "and no more");
        assert_eq!(split(4, &shares), [2, 1, 1]);
        // 5 beyond the floors, of 6 + 2 + 1: 3.33, 1.11 and 0.56.
        assert_eq!(split(9, &shares), [5, 2, 2]);
        assert_eq!(split(3, &shares), [2, 1, 0], "the last one waits");
        assert_eq!(split(1, &shares), [0, 1, 0], "what fits is given");
        assert_eq!(split(0, &shares), [0, 0, 0]);
    }

    #[test]
    fn one_grows_only_when_another_has_shrunk() {
        // 8 and 3 of 11 so far; now 9 for both, but the first one has all of its 8 open, and nothing is closed yet.
        let mut shares = [share(2, 8, 8, 8), share(1, 9, 2, 2)];
        assert_eq!(split(9, &shares), [5, 4]);
        assert_eq!(next(9, &shares), [(0, 5)]);
        shares[0].allowed = 5;
        assert_eq!(next(9, &shares), []);
        shares[0].open = 6;
        assert_eq!(next(9, &shares), [(1, 3)], "as far as it may");
        (shares[0].open, shares[1].allowed) = (5, 3);
        assert_eq!(next(9, &shares), [(1, 4)]);
    }

    #[test]
    fn what_is_held_counts_what_may_still_be_opened() {
        // 5 are open, which is less than 6; but the second one may open 3 more before the first has closed its 2.
        let shares = [share(1, 8, 2, 4), share(1, 8, 4, 1)];
        assert_eq!(held(&shares), 8);
    }

    /// Pools, each with something open, allowed or neither.
    fn shares() -> impl Strategy<Value = Vec<Share>> {
        let one = (1..5_u32, 0..10_u32, any::<bool>(), 0..12_u32, 0..16_u32).prop_map(
            |(floor, more, begun, allowed, open)| {
                let bounds = Bounds { floor, ceiling: floor + more };
                let allowed = if begun { allowed.clamp(floor, floor + more) } else { 0 };
                Share { bounds, allowed, open: if begun { open } else { 0 } }
            },
        );
        prop::collection::vec(one, 1..6)
    }

    proptest! {
        /// A split is within all bounds, and uses what it is given as far as anybody has use for it.
        #[test]
        fn a_split_is_within_bounds_and_wastes_nothing(shares in shares(), connections in 0..80_u32) {
            let limits = split(connections, &shares);
            let (mut sum, mut begun, mut most) = (0, 0, 0);
            for (limit, share) in limits.iter().zip(&shares) {
                let Bounds { floor, ceiling } = share.bounds;
                prop_assert!(*limit == 0 || (floor..=ceiling).contains(limit));
                prop_assert!(*limit > 0 || share.allowed == 0, "it had something");
                sum += limit;
                begun += if share.allowed > 0 { share.bounds.floor } else { 0 };
                most += share.bounds.ceiling;
            }
            prop_assert!(sum <= connections.max(begun));
            let nobody_waits = limits.iter().all(|limit| *limit > 0);
            prop_assert!(!nobody_waits || sum >= connections.min(most));
        }

        /// Whatever is closed when, no step makes more possible than was possible before or is granted; in the end each has
        /// what it is to have.
        #[test]
        fn steps_never_make_more_possible_and_come_to_an_end(
            mut shares in shares(),
            connections in 0..80_u32,
            closing in prop::collection::vec((0..6_usize, 1..4_u32), 0..40),
        ) {
            for (which, closed) in closing.into_iter().map(Some).chain([None]).flatten() {
                let before = held(&shares);
                for (index, limit) in next(connections, &shares) {
                    let Bounds { floor, ceiling } = shares[index].bounds;
                    prop_assert!((floor..=ceiling).contains(&limit), "a pool takes nothing else");
                    shares[index].allowed = limit;
                    prop_assert!(held(&shares) <= before.max(connections));
                }
                let count = shares.len();
                let share = &mut shares[which % count];
                share.open = share.open.saturating_sub(closed);
            }
            for share in &mut shares {
                share.open = share.open.min(share.allowed);
            }
            let wanted = split(connections, &shares);
            for _ in 0..2 {
                for (index, limit) in next(connections, &shares) {
                    shares[index].allowed = limit;
                }
                for share in &mut shares {
                    share.open = share.open.min(share.allowed);
                }
            }
            prop_assert_eq!(shares.iter().map(|share| share.allowed).collect::<Vec<_>>(), wanted);
        }
    }
}
