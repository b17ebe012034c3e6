//! The seed's own random numbers, so that no dependency's update can change the shop's products.

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(super) struct SplitMix(u64);

impl SplitMix {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Those of one number of many: neighbours have nothing in common.
    pub(super) fn of_number(seed: u64, number: u64) -> Self {
        Self(Self(seed ^ number).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but without, `bound`, which is at least 1.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        // The product's upper half is below the bound, so it fits.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u32
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }

    /// The places 0 to `count` - 1 in random order.
    pub(super) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let bound = u32::try_from(last + 1).unwrap_or(u32::MAX);
            places.swap(last, self.below(bound) as usize);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_splitmix64() {
        // The reference implementation's first outputs for the seed 1234567.
        let mut numbers = SplitMix::new(1_234_567);
        assert_eq!(numbers.next(), 6_457_827_717_110_365_317);
        assert_eq!(numbers.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut numbers = SplitMix::new(7);
        assert!((0..10_000).all(|_| numbers.below(3) < 3));
        let mut order = numbers.order(50);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..50));
    }
}
