//! Who decides on replicas and limits.

pub(crate) mod hpa;
pub(crate) mod kpa;
pub(crate) mod ledger;
pub(crate) mod selvage;

use super::database::{BUDGET, ROOM};
use super::shape::{MIN_REPLICAS, SERVICES, SURGE};
use super::shop::{STEPS, Shop};
use hpa::CpuHpa;

/// The pool of a pod for which nobody said anything: sqlx's ten connections.
pub(crate) const DEFAULT_POOL: u32 = 10;
/// What a pod never has to ask for.
pub(crate) const FLOOR: u32 = 2;
/// More than this a pod can't make use of, whoever decides.
pub(crate) const CEILING: u32 = 20;

/// Who decides on replicas and limits.
pub(crate) trait Policy {
    fn name(&self) -> &'static str;

    /// The limit with which a pod starts; `None` if it waits for a grant.
    fn initial(&self) -> Option<u32>;

    /// Looks at the shop after each step, and changes replicas and limits.
    fn step(&mut self, shop: &mut Shop);
}

/// All that are compared, ours first.
pub(crate) fn all() -> Vec<Box<dyn Policy>> {
    vec![
        Box::new(selvage::Selvage::new(Some(ROOM as u32))),
        Box::new(Pools("HPA on CPU, 10 a pod", DEFAULT_POOL, CpuHpa::default())),
        Box::new(Pools("HPA on CPU, 20 a pod", CEILING, CpuHpa::default())),
        Box::new(Pools("HPA on waiters, 10 a pod", DEFAULT_POOL, hpa::WaitersHpa::default())),
        Box::new(Pools("HPA on waiters, 20 a pod", CEILING, hpa::WaitersHpa::default())),
        Box::new(Pools("KPA, 10 a pod", DEFAULT_POOL, kpa::Kpa::new(DEFAULT_POOL))),
        Box::new(Pools("KPA, 20 a pod", CEILING, kpa::Kpa::new(CEILING))),
        Box::new(StaticDivision(CpuHpa::default())),
        Box::new(EqualShare(CpuHpa::default())),
    ]
}

/// Who decides on replicas alone.
trait Replicas {
    fn step(&mut self, shop: &mut Shop);
}

/// Pods with pools of one size.
struct Pools<R>(&'static str, u32, R);

impl<R: Replicas> Policy for Pools<R> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn initial(&self) -> Option<u32> {
        Some(self.1)
    }

    fn step(&mut self, shop: &mut Shop) {
        self.2.step(shop);
    }
}

/// Each pod has what would be its part if all replicas and a roll-out's surge were there; replicas by CPU.
struct StaticDivision(CpuHpa);

impl Policy for StaticDivision {
    fn name(&self) -> &'static str {
        "static division"
    }

    fn initial(&self) -> Option<u32> {
        Some(BUDGET / SERVICES.iter().map(|service| service.max_replicas + SURGE).sum::<u32>())
    }

    fn step(&mut self, shop: &mut Shop) {
        self.0.step(shop);
    }
}

/// Each pod has its part of the budget among those that live now, told once a second, and nobody waits until the others have
/// closed what they had; replicas by CPU.
struct EqualShare(CpuHpa);

impl Policy for EqualShare {
    fn name(&self) -> &'static str {
        "equal share"
    }

    fn initial(&self) -> Option<u32> {
        Some((BUDGET / (SERVICES.len() as u32 * MIN_REPLICAS)).min(CEILING))
    }

    fn step(&mut self, shop: &mut Shop) {
        self.0.step(shop);
        if shop.step.is_multiple_of(STEPS) {
            let mut live: Vec<_> = shop.services.iter_mut().flat_map(|service| &mut service.pods).collect();
            live.retain(|pod| !pod.is_ending());
            let share = (BUDGET / (live.len() as u32).max(1)).min(CEILING);
            for pod in live {
                pod.limit = share;
            }
            for service in &mut shop.services {
                service.initial = Some(share);
            }
        }
    }
}
