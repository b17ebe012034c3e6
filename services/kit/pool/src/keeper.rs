//! The keeper of a pool: makes connections before they are needed, ends those that are too old or too many, and looks
//! around for what is wrong.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::{Instant, MissedTickBehavior};

use crate::failure;
use crate::gate::{Charge, Gate};
use crate::shared::Shared;
use crate::slot::Slot;
use crate::strand::{self, Stranded};

/// How often the keeper looks around: a twentieth of what "held for long" means by default.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// The pause after making a connection has failed, doubled each time, up to the longest; each is shortened at random by up
/// to a half, so that those who lost a server together don't come back together. A server that accepts connections again
/// is so found within half a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Keeps a pool for as long as there is one.
pub(crate) async fn keep(pool: Weak<Shared>, gate: Arc<Gate<Slot>>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let hold = gate.hold().filter(|hold| *hold > Instant::now());
        let ticked = tokio::select! {
            () = gate.attention() => false,
            () = tokio::time::sleep_until(hold.unwrap_or_else(Instant::now)), if hold.is_some() => false,
            _ = tick.tick() => true,
        };
        let Some(shared) = pool.upgrade() else { return };
        if ticked {
            look_around(&shared);
        }
        for (slot, charge) in shared.gate.surplus() {
            tokio::spawn(end(shared.clone(), slot, charge, Way::Orderly));
        }
        while let Some(charge) = shared.gate.begin_opening() {
            tokio::spawn(open(shared.clone(), charge));
        }
        strand::replace_one(&shared);
        if !shared.stranded().is_empty() && !shared.looking.swap(true, Ordering::AcqRel) {
            let shared = shared.clone();
            tokio::spawn(async move {
                strand::look_after(shared.clone()).await;
                shared.looking.store(false, Ordering::Release);
            });
        }
    }
}

fn look_around(shared: &Shared) {
    let config = &shared.config;
    let long = shared.holders.tell(&config.name, config.long_lease);
    shared.totals.long_leases.fetch_add(long, Ordering::Relaxed);
    if shared.options.password_changed() {
        tracing::info!(pool = config.name, "the password changed: connections are renewed one by one");
    }
    let credentials = shared.options.credentials();
    shared.gate.retire(None, |_, rested| rested > config.idle_timeout);
    shared.gate.retire(Some(0), |slot, _| slot.credentials != credentials || is_expired(slot));
}

/// Whether a connection has reached its age.
pub(crate) fn is_expired(slot: &Slot) -> bool {
    slot.expires.is_some_and(|expires| Instant::now() >= expires)
}

/// Makes a connection for the place, or says why not.
pub(crate) async fn open(shared: Arc<Shared>, charge: Charge<Slot>) {
    let config = &shared.config;
    let began = Instant::now();
    let made = tokio::time::timeout(config.connect_timeout, shared.options.connect(&shared.latency)).await;
    let took = began.elapsed();
    match made.unwrap_or_else(|_| Err(failure::silent("take the connection", config.connect_timeout))) {
        Ok((connection, backend, credentials)) => {
            shared.meters.created(took);
            if took > config.slow_connect {
                tracing::warn!(pool = config.name, took_ms = millis(took), "making a connection was slow");
            }
            if let Some(since) = shared.reached() {
                tracing::info!(pool = config.name, gone_ms = millis(since.elapsed()), "the database is back");
            }
            let expires = backend.is_some().then(|| Instant::now() + jittered(config.lifetime));
            charge.fill(Slot { connection, backend, credentials, expires });
        }
        Err(error) => {
            let failures = shared.unreached(error);
            let pause = (FIRST_PAUSE * 2_u32.pow(failures.saturating_sub(1).min(8))).min(LONGEST_PAUSE);
            charge.fail(Instant::now() + pause.mul_f64(rand::rng().random_range(0.5..=1.0)));
        }
    }
}

/// ±10 %, so that what was made together doesn't end together.
fn jittered(lifetime: Duration) -> Duration {
    lifetime.mul_f64(rand::rng().random_range(0.9..=1.1))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// With a good-bye.
    Orderly,
    /// The server has ended it.
    ByServer,
    /// The state of the wire isn't known.
    Hard,
}

/// Ends a connection; its place is free when the server doesn't have it any more.
pub(crate) async fn end(shared: Arc<Shared>, slot: Slot, charge: Charge<Slot>, way: Way) {
    let (bound, backend) = (shared.config.connect_timeout, slot.backend);
    let known_gone = match way {
        Way::Orderly => slot.close(bound).await,
        Way::ByServer | Way::Hard => {
            slot.connection.close_hard(bound).await;
            way == Way::ByServer
        }
    };
    if let (false, Some(backend)) = (known_gone, backend) {
        shared.stranded().push(Stranded::new(backend, charge));
        shared.gate.call_attention();
    }
}
