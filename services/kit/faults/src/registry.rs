use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use selvage_context::clock::Clock;
use selvage_pool::Pool;
use tokio::time::Instant;

use crate::ask::{Ask, Refused};
use crate::dependency::Dependency;
use crate::effect::{Effect, Place, Places};
use crate::ledger::{Fault, Ledger};
use crate::metrics::{self, Meters};

/// How often a fault looks at the clock, which may be set: its end is by the clock or by the time that has passed, whichever
/// comes first.
const LOOK: Duration = Duration::from_millis(250);

/// Whether a process lets itself be disturbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Every fault is refused.
    #[default]
    Off,
    /// Admins may start faults.
    Allow,
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "allow" => Ok(Self::Allow),
            _ => Err("must be 'off' or 'allow'".to_owned()),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Allow => "allow",
        })
    }
}

/// The faults of a process. Clones are the same.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

pub(crate) struct Inner {
    policy: Policy,
    clock: Clock,
    meters: Meters,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    places: Places,
    ledger: Ledger,
    effects: BTreeMap<u64, Effect>,
    stopped: bool,
}

impl Faults {
    /// None yet. Its metrics go to OpenTelemetry's global meter provider, which must be set before.
    pub fn new(policy: Policy, clock: Clock) -> Self {
        let faults = Self::unobserved(policy, clock);
        metrics::observe(&faults.0);
        faults
    }

    /// None, ever: for programs that have no switch for them.
    pub fn off() -> Self {
        Self::unobserved(Policy::Off, Clock::standing_at(0))
    }

    fn unobserved(policy: Policy, clock: Clock) -> Self {
        Self(Arc::new(Inner { policy, clock, meters: Meters::new(), state: Mutex::default() }))
    }

    /// Whether they are allowed.
    pub fn policy(&self) -> Policy {
        self.0.policy
    }

    /// Adds a pool that faults may touch; `table` is what a lock is held on.
    pub fn add_pool(&self, pool: Pool, table: Option<&'static str>) {
        self.0.state().places.pools.push(Place { pool, table });
    }

    /// Adds something outside whose calls faults may touch, and returns what is to be passed before each. A name that is
    /// known already means the same dependency.
    pub fn dependency(&self, name: &'static str) -> Dependency {
        let mut state = self.0.state();
        if let Some(known) = state.places.dependencies.iter().find(|known| known.name() == name) {
            return known.clone();
        }
        let dependency = Dependency::new(name);
        state.places.dependencies.push(dependency.clone());
        dependency
    }

    /// The names of the dependencies.
    pub fn dependencies(&self) -> Vec<&'static str> {
        self.0.state().places.dependencies.iter().map(Dependency::name).collect()
    }

    /// Starts a fault. One of the same kind with the same target is ended first, and what it changed put back. To be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// If faults aren't allowed, too many are active, or a field is wrong: which, and what would be right.
    pub fn start(&self, ask: Ask) -> Result<Fault, Refused> {
        if self.0.policy == Policy::Off {
            return Err(Refused::NotAllowed);
        }
        let mut ask = ask.checked()?;
        let duration = ask.duration;
        let mut guard = self.0.state();
        let state = &mut *guard;
        if state.stopped {
            return Err(Refused::Stopping);
        }
        ask.count = state.places.check(ask.kind, &ask.target, ask.count)?;
        let (fault, replaced) = state.ledger.start(ask, self.0.clock.now_ms())?;
        if let Some(replaced) = replaced {
            drop(state.effects.remove(&replaced.id));
            ended(&replaced, "started again");
        }
        match state.places.start(&fault, duration) {
            Ok(effect) => drop(state.effects.insert(fault.id, effect)),
            Err(refused) => {
                state.ledger.end(fault.id);
                return Err(refused);
            }
        }
        drop(guard);
        self.0.meters.started(fault.name());
        tracing::warn!(
            fault = fault.name(),
            on = fault.target,
            count = fault.count,
            delay_ms = fault.delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            seconds = duration.as_secs(),
            by = fault.by,
            "a fault was started"
        );
        tokio::spawn(end_in_time(Arc::downgrade(&self.0), fault.clone(), duration));
        Ok(fault)
    }

    /// Ends a fault before its time.
    ///
    /// # Errors
    /// If none of that id is active.
    pub fn end(&self, id: u64) -> Result<Fault, Refused> {
        self.0.end(id, "by hand").ok_or(Refused::Unknown)
    }

    /// Ends all, and refuses further ones: the process stops.
    pub fn stop(&self) {
        self.0.state().stopped = true;
        for fault in self.active() {
            self.0.end(fault.id, "with the process");
        }
    }

    /// Those that are active, the oldest first.
    pub fn active(&self) -> Vec<Fault> {
        self.0.state().ledger.active().to_vec()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, id: u64, how: &str) -> Option<Fault> {
        let mut state = self.state();
        let fault = state.ledger.end(id)?;
        drop(state.effects.remove(&id));
        drop(state);
        ended(&fault, how);
        Some(fault)
    }

    /// The names of the faults that are active, and those of the dependencies.
    pub(crate) fn names(&self) -> (Vec<String>, Vec<&'static str>) {
        let state = self.state();
        let active = state.ledger.active().iter().map(Fault::name).collect();
        (active, state.places.dependencies.iter().map(Dependency::name).collect())
    }
}

/// Ends a fault by the clock, or when its duration has passed.
async fn end_in_time(inner: Weak<Inner>, fault: Fault, duration: Duration) {
    let until = Instant::now() + duration;
    loop {
        tokio::time::sleep_until(until.min(Instant::now() + LOOK)).await;
        // Nobody can start or end it any more: what it does was dropped with the rest.
        let Some(inner) = inner.upgrade() else { return };
        if Instant::now() >= until || inner.clock.now_ms() >= fault.end_ms {
            inner.end(fault.id, "by itself");
            return;
        }
        if !inner.state().effects.contains_key(&fault.id) {
            return;
        }
    }
}

fn ended(fault: &Fault, how: &str) {
    tracing::warn!(fault = fault.name(), on = fault.target, how, "a fault has ended");
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("policy", &self.0.policy).field("active", &self.active()).finish()
    }
}
