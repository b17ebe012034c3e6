//! Weighted max-min fairness in whole connections.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Somebody who wants a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Connections that are wanted.
    pub wanted: u32,
    /// Twice the weight gets twice as much, as long as both want more. Nothing for 0, before all others have what they
    /// want.
    pub weight: u32,
}

/// Whose turn it is: whoever would have the least for its weight with one more; of equals, who stands first.
#[derive(PartialEq, Eq)]
struct Turn {
    /// What it would have.
    next: u32,
    weight: u32,
    index: usize,
}

impl Turn {
    fn before(&self, other: &Self) -> Ordering {
        let per_weight = match (self.weight, other.weight) {
            (0, 0) => self.next.cmp(&other.next),
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            (mine, theirs) => {
                (u64::from(self.next) * u64::from(theirs)).cmp(&(u64::from(other.next) * u64::from(mine)))
            }
        };
        per_weight.then(self.index.cmp(&other.index))
    }
}

impl Ord for Turn {
    /// A heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.before(other).reverse()
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Shares `available` connections out, one after the other, each to whoever wants more and would with it have the least
/// for its weight. In the end nobody can have one more but from somebody who would then be worse off: max-min fairness
/// (Bertsekas and Gallager, Data Networks, 6.5.2) in whole numbers. Answers in the claims' order.
pub fn split(available: u32, claims: &[Claim]) -> Vec<u32> {
    let wanted: u64 = claims.iter().map(|claim| u64::from(claim.wanted)).sum();
    if wanted <= u64::from(available) {
        return claims.iter().map(|claim| claim.wanted).collect();
    }
    let mut shares = vec![0; claims.len()];
    let turn = |index: usize, has: u32| Turn { next: has + 1, weight: claims[index].weight, index };
    let mut turns: BinaryHeap<_> =
        (0..claims.len()).filter(|index| claims[*index].wanted > 0).map(|index| turn(index, 0)).collect();
    for _ in 0..available {
        let Some(Turn { index, .. }) = turns.pop() else { break };
        shares[index] += 1;
        if shares[index] < claims[index].wanted {
            turns.push(turn(index, shares[index]));
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(wanted: u32, weight: u32) -> Claim {
        Claim { wanted, weight }
    }

    #[test]
    fn who_wants_little_gets_it_and_the_others_share_the_rest() {
        assert_eq!(split(10, &[claim(2, 1), claim(9, 1), claim(9, 1)]), [2, 4, 4]);
        assert_eq!(
            split(11, &[claim(2, 1), claim(9, 1), claim(9, 1)]),
            [2, 5, 4],
            "the first of equals is given the odd one"
        );
    }

    #[test]
    fn a_weight_is_worth_its_multiple() {
        assert_eq!(split(9, &[claim(9, 2), claim(9, 1)]), [6, 3]);
        assert_eq!(split(1, &[claim(9, 1), claim(9, 10)]), [0, 1], "the only one goes to the weightier");
        assert_eq!(split(9, &[claim(4, 0), claim(7, 1)]), [2, 7], "without weight there is what is left");
    }

    /// All shares that can be made: the definition is tried on each of them.
    fn every_share(available: u32, claims: &[Claim]) -> Vec<Vec<u32>> {
        let Some((first, rest)) = claims.split_first() else { return vec![Vec::new()] };
        (0..=first.wanted.min(available))
            .flat_map(|mine| {
                every_share(available - mine, rest).into_iter().map(move |mut others| {
                    others.insert(0, mine);
                    others
                })
            })
            .collect()
    }

    /// Of each connection that was given, what whoever has it had for its weight then: 3 connections of weight 2 are
    /// 1/2, 2/2, 3/2. In ascending order. A fair share has the smaller ones: where two differ first, the smaller.
    fn levels(shares: &[u32], claims: &[Claim]) -> Vec<(u64, u64)> {
        let mut levels: Vec<_> = shares
            .iter()
            .zip(claims)
            .flat_map(|(share, claim)| (1..=*share).map(|nth| (u64::from(nth), u64::from(claim.weight))))
            .collect();
        levels.sort_by(|(a, of_a), (b, of_b)| (a * of_b).cmp(&(b * of_a)));
        levels
    }

    fn claims(most: u32, len: usize) -> impl Strategy<Value = Vec<Claim>> {
        prop::collection::vec((0..=most, 1..5_u32).prop_map(|(wanted, weight)| claim(wanted, weight)), 0..=len)
    }

    proptest! {
        #[test]
        fn all_that_is_there_or_wanted_is_given_and_never_more(available in 0..60_u32, claims in claims(20, 8)) {
            let shares = split(available, &claims);
            prop_assert!(shares.iter().zip(&claims).all(|(share, claim)| *share <= claim.wanted));
            let wanted: u32 = claims.iter().map(|claim| claim.wanted).sum();
            prop_assert_eq!(shares.iter().sum::<u32>(), wanted.min(available));
        }

        /// Against the definition, by trying every share that there is: none of the same size has smaller levels.
        #[test]
        fn no_other_share_is_fairer(available in 0..12_u32, claims in claims(5, 4)) {
            let mine = split(available, &claims);
            let smaller = |a: &[(u64, u64)], b: &[(u64, u64)]| {
                let differ = a.iter().zip(b).find(|((a, of_a), (b, of_b))| a * of_b != b * of_a);
                differ.is_some_and(|((a, of_a), (b, of_b))| a * of_b < b * of_a)
            };
            let levels_of_mine = levels(&mine, &claims);
            for other in every_share(available, &claims) {
                if other.iter().sum::<u32>() == mine.iter().sum::<u32>() {
                    prop_assert!(!smaller(&levels(&other, &claims), &levels_of_mine), "{:?} before {:?}", other, mine);
                }
            }
        }

        /// The usual wording of max-min fairness: nobody can be given one more but from somebody who would then have
        /// less for its weight.
        #[test]
        fn one_more_could_only_come_from_somebody_worse_off(available in 0..60_u32, claims in claims(20, 8)) {
            let shares = split(available, &claims);
            for (mine, claim) in shares.iter().zip(&claims).filter(|(share, claim)| **share < claim.wanted) {
                for (theirs, other) in shares.iter().zip(&claims) {
                    prop_assert!((mine + 1) * other.weight >= theirs * claim.weight);
                }
            }
        }

        #[test]
        fn with_more_to_share_nobody_gets_less(available in 0..60_u32, claims in claims(20, 8)) {
            let (before, after) = (split(available, &claims), split(available + 1, &claims));
            prop_assert!(before.iter().zip(&after).all(|(before, after)| before <= after));
        }

        #[test]
        fn who_wants_more_or_weighs_more_gets_no_less_and_the_others_no_more(
            available in 0..60_u32,
            claims in claims(20, 8),
            who in any::<prop::sample::Index>(),
            weightier in any::<bool>(),
        ) {
            prop_assume!(!claims.is_empty());
            let who = who.index(claims.len());
            let mut changed = claims.clone();
            if weightier {
                changed[who].weight += 1;
            } else {
                changed[who].wanted += 1;
            }
            let (before, after) = (split(available, &claims), split(available, &changed));
            for index in 0..claims.len() {
                let fits = if index == who { before[index] <= after[index] } else { before[index] >= after[index] };
                prop_assert!(fits, "{:?} {:?}", before, after);
            }
        }
    }
}
