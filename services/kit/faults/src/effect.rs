//! What a fault does, as a value: dropping it undoes it.

use std::any::Any;
use std::time::Duration;

use selvage_pool::Pool;

use crate::ask::{Refused, wrong};
use crate::burn::Burn;
use crate::connections;
use crate::dependency::Dependency;
use crate::kind::{Kind, Touches};
use crate::ledger::Fault;

/// Undone when it is dropped.
pub(crate) type Effect = Box<dyn Any + Send>;

/// A pool that faults may touch, and what its service writes to.
pub(crate) struct Place {
    pub(crate) pool: Pool,
    pub(crate) table: Option<&'static str>,
}

/// What there is to disturb.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) pools: Vec<Place>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// What a fault is done to.
enum Target<'a> {
    Pool(&'a Place),
    Dependency(&'a Dependency),
    Process,
}

impl Places {
    fn find(&self, kind: Kind, target: &str) -> Result<Target<'_>, Refused> {
        let unknown = |what: &str, known: Vec<&str>| {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            // What was asked for isn't repeated: it may be anything.
            Err(wrong("target", format!("must be a {what} of this process; there is {known}")))
        };
        match kind.touches() {
            Touches::Pool => match self.pools.iter().find(|place| place.pool.config().name == target) {
                Some(place) => Ok(Target::Pool(place)),
                None => unknown("pool", self.pools.iter().map(|place| &*place.pool.config().name).collect()),
            },
            Touches::Dependency => match self.dependencies.iter().find(|known| known.name() == target) {
                Some(dependency) => Ok(Target::Dependency(dependency)),
                None => unknown("dependency", self.dependencies.iter().map(Dependency::name).collect()),
            },
            Touches::Process if target.is_empty() => Ok(Target::Process),
            Touches::Process => Err(wrong("target", "must be empty: this kind is about the whole process".to_owned())),
        }
    }

    /// Checks what only the target knows; the count that the fault has by it.
    pub(crate) fn check(&self, kind: Kind, target: &str, count: u32) -> Result<u32, Refused> {
        let Target::Pool(place) = self.find(kind, target)? else { return Ok(count.max(u32::from(kind.is_counted()))) };
        let seen = place.pool.snapshot();
        match kind {
            Kind::HeldConnection if count == 0 => Ok(seen.limit + 2),
            Kind::PoolLimit if !(seen.floor..=seen.ceiling).contains(&count) => Err(wrong(
                "count",
                format!("must be within the pool's floor {} and its ceiling {}, is {count}", seen.floor, seen.ceiling),
            )),
            Kind::LockHold if place.table.is_none() => {
                Err(wrong("target", "this pool's service has nothing to lock through it".to_owned()))
            }
            _ => Ok(count.max(u32::from(kind.is_counted()))),
        }
    }

    /// Does what `fault`, which was checked, does.
    pub(crate) fn start(&self, fault: &Fault, duration: Duration) -> Result<Effect, Refused> {
        let delay = fault.delay.unwrap_or_default();
        Ok(match (self.find(fault.kind, &fault.target)?, fault.kind) {
            (Target::Pool(place), Kind::SlowQuery) => Box::new(connections::slow(&place.pool, fault.count, delay)),
            (Target::Pool(place), Kind::HeldConnection) => Box::new(connections::held(&place.pool, fault.count)),
            (Target::Pool(place), Kind::LeakedConnection) => Box::new(connections::leaked(&place.pool, fault.count)),
            (Target::Pool(place), Kind::LockHold) => {
                Box::new(connections::locked(&place.pool, place.table.unwrap_or_default(), duration))
            }
            (Target::Pool(place), Kind::DatabaseLatency) => Box::new(Delayed::start(&place.pool, delay)),
            (Target::Pool(place), Kind::PoolLimit) => {
                let limited = place.pool.override_limit(fault.count);
                Box::new(limited.map_err(|error| wrong("count", error.to_string()))?)
            }
            (Target::Dependency(dependency), Kind::DependencySlow) => Box::new(dependency.slow_down(delay)),
            (Target::Dependency(dependency), _) => Box::new(dependency.fail()),
            (Target::Process, _) => Box::new(Burn::start(fault.count, fault.share_percent, duration)),
            (Target::Pool(_), _) => return Err(wrong("kind", "is not about a pool".to_owned())),
        })
    }
}

/// A pool's statements are delayed.
struct Delayed {
    pool: Pool,
    before: Duration,
}

impl Delayed {
    fn start(pool: &Pool, delay: Duration) -> Self {
        Self { before: pool.delay_statements(delay), pool: pool.clone() }
    }
}

impl Drop for Delayed {
    fn drop(&mut self) {
        self.pool.delay_statements(self.before);
    }
}
