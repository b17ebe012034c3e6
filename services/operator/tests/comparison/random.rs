//! Chance that is the same on each machine and in each version.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// How many of the events happen that come `mean` times on average: Poisson, by Knuth's method; where they are many, as a
    /// normal distribution, which is the sum of twelve shares.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        if mean >= 30.0 {
            let normal = (0..12).map(|_| self.share()).sum::<f64>() - 6.0;
            return (mean + mean.sqrt() * normal).round().max(0.0) as u32;
        }
        let end = (-mean).exp();
        let (mut events, mut product) = (0, self.share());
        while product > end {
            events += 1;
            product *= self.share();
        }
        events
    }
}
