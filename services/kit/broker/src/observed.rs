//! The process's pools, as they are looked at and told what they may.

use selvage_pool::{Grant, GrantId, Pool};

use crate::shares::{Bounds, Share};

/// The pools that share a grant.
#[derive(Default)]
pub(crate) struct Pools {
    pools: Vec<(Pool, u32)>,
    /// How often a pool was told a limit: what it is told later is newer.
    told: u64,
}

impl Pools {
    /// One more, which hasn't been allowed anything yet.
    pub(crate) fn add(&mut self, pool: Pool) {
        self.pools.push((pool, 0));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter().map(|(pool, _)| pool)
    }

    /// A number from 0 to 1, by the chance that the pools were given.
    pub(crate) fn chance(&self) -> f64 {
        self.pools.first().map_or(0.0, |(pool, _)| (pool.config().chance)())
    }

    /// The pools at this moment, in the order in which they were added.
    pub(crate) fn shares(&self) -> Vec<Share> {
        let share = |(pool, allowed): &(Pool, u32)| {
            let seen = pool.snapshot();
            Share { bounds: bounds(pool), allowed: *allowed, open: seen.open + seen.uncounted }
        };
        self.pools.iter().map(share).collect()
    }

    /// Tells the pool at `index` its limit, by leave of the leader of `epoch`.
    pub(crate) fn allow(&mut self, index: usize, limit: u32, epoch: u64) {
        let Some((pool, allowed)) = self.pools.get_mut(index) else { return };
        // A grant is for all pools, and reaches each of them in steps: which is the newer of two is decided before.
        self.told += 1;
        let id = GrantId { epoch, sequence: self.told };
        match pool.grant_limit(Grant { id, limit }) {
            Ok(()) => *allowed = limit,
            Err(error) => tracing::error!(pool = pool.config().name, error = %error, "a pool doesn't take its limit"),
        }
    }

    /// Pools with more connections than they are allowed.
    pub(crate) fn unsettled(&self) -> Vec<Pool> {
        let unsettled = self.pools.iter().filter(|(pool, _)| pool.snapshot().debt > 0);
        unsettled.map(|(pool, _)| pool.clone()).collect()
    }
}

/// What a pool is configured with.
pub(crate) fn bounds(pool: &Pool) -> Bounds {
    let limits = pool.config().limits();
    Bounds { floor: limits.floor, ceiling: limits.ceiling }
}
