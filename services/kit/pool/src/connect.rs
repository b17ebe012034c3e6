//! Making a pool's connections, and ending them.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbBackend;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::gate::Reservation;
use crate::pooled::Pooled;
use crate::state::State;
use crate::stranded::Stranded;

/// The pauses after making a connection has failed: a server that accepts connections again is so found within half a second.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(400));

/// Makes a connection for the slot; if that fails, says when it may be tried again.
pub(crate) async fn open(pool: Arc<State>, slot: Reservation<Pooled>) {
    let config = &pool.config;
    let began = Instant::now();
    // Whatever makes the sessions of now useless while this one is made, makes it useless too.
    let generation = pool.generation.current();
    let made = pool.options.connect(&pool.latency, config.connect_timeout).await;
    let took = began.elapsed();
    match made {
        Ok((connection, session, credentials)) => {
            pool.meters.created(took);
            if took > config.slow_connect {
                tracing::warn!(pool = config.name, took_ms = millis(took), "making a connection was slow");
            }
            if let Some(since) = pool.reachability.succeeded() {
                tracing::info!(pool = config.name, gone_ms = millis(since.elapsed()), "the database is back");
            }
            let ages = pool.options.backend() == DbBackend::Postgres;
            let opened = Instant::now();
            let expires = ages.then(|| opened + spread(config.lifetime, (config.chance)()));
            slot.fill(Pooled { connection, session, credentials, generation, opened, checked: opened, expires });
        }
        Err(error) => {
            let said = error.to_string();
            let failures = pool.reachability.failed(error);
            if failures == 1 {
                tracing::warn!(pool = config.name, error = said, "no connection can be made; it is tried again");
            }
            slot.fail(Instant::now() + PAUSES.pause(failures, (config.chance)()));
        }
    }
}

/// ±10 %, so that what was made together doesn't end together.
fn spread(lifetime: Duration, chance: f64) -> Duration {
    lifetime.mul_f64(0.9 + chance / 5.0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// With a good-bye to the server.
    Graceful,
    /// The server has ended it already.
    ByServer,
    /// Without a word: the state of the wire isn't known.
    Abort,
}

/// Ends a connection; its slot is free when the server doesn't have it any more.
pub(crate) async fn end(pool: Arc<State>, pooled: Pooled, slot: Reservation<Pooled>, close: Close) {
    let (bound, session) = (pool.config.connect_timeout, pooled.session);
    let known_gone = match close {
        Close::Graceful => pooled.close(bound).await,
        Close::ByServer | Close::Abort => {
            pooled.connection.abort(bound).await;
            close == Close::ByServer
        }
    };
    if let (false, Some(session)) = (known_gone, session) {
        pool.stranded.add(Stranded::new(session, slot));
        pool.gate.call_attention();
    }
}
