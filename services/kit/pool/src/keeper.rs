//! The keeper of a pool: makes connections before they are needed, ends those that are too old or too many, and looks
//! around for what is wrong.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::connect::{self, Close};
use crate::gate::Gate;
use crate::pooled::Pooled;
use crate::state::State;
use crate::terminate;

/// How often the keeper looks around: a twentieth of what "held for long" means by default.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Keeps a pool for as long as there is one.
pub(crate) async fn keep(pool: Weak<State>, gate: Arc<Gate<Pooled>>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let retry_at = gate.retry_connect_at().filter(|at| *at > Instant::now());
        let ticked = tokio::select! {
            () = gate.attention() => false,
            () = tokio::time::sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => false,
            _ = tick.tick() => true,
        };
        let Some(pool) = pool.upgrade() else { return };
        if ticked {
            look_around(&pool);
        }
        for (pooled, slot) in pool.gate.surplus() {
            tokio::spawn(connect::end(pool.clone(), pooled, slot, Close::Graceful));
        }
        while let Some(slot) = pool.gate.begin_opening() {
            tokio::spawn(connect::open(pool.clone(), slot));
        }
        terminate::tend(&pool);
    }
}

fn look_around(pool: &State) {
    let config = &pool.config;
    let long = pool.holders.warn_of_long(&config.name, config.long_lease);
    pool.totals.long_leases.fetch_add(long, Ordering::Relaxed);
    if pool.options.password_changed() {
        tracing::info!(pool = config.name, "the password changed: connections are renewed one by one");
    }
    let (credentials, generation) = (pool.options.credentials(), pool.generation.current());
    pool.gate.retire(None, |_, idle_for| idle_for > config.idle_timeout);
    pool.gate.retire(Some(0), |pooled, _| pooled.credentials != credentials || pooled.is_expired(generation));
}
