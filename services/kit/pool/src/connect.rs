//! Making a pool's connections, and ending them.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;

use crate::failure;
use crate::gate::Reservation;
use crate::pooled::Pooled;
use crate::state::State;
use crate::stranded::Stranded;

/// The pause after making a connection has failed, doubled each time, up to the longest; each is shortened at random by up
/// to a half, so that those who lost a server together don't come back together. A server that accepts connections again
/// is so found within half a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Makes a connection for the slot; if that fails, says when it may be tried again.
pub(crate) async fn open(pool: Arc<State>, slot: Reservation<Pooled>) {
    let config = &pool.config;
    let began = Instant::now();
    let made = tokio::time::timeout(config.connect_timeout, pool.options.connect(&pool.latency)).await;
    let took = began.elapsed();
    match made.unwrap_or_else(|_| Err(failure::silent("take the connection", config.connect_timeout))) {
        Ok((connection, session, credentials)) => {
            pool.meters.created(took);
            if took > config.slow_connect {
                tracing::warn!(pool = config.name, took_ms = millis(took), "making a connection was slow");
            }
            if let Some(since) = pool.reachability.succeeded() {
                tracing::info!(pool = config.name, gone_ms = millis(since.elapsed()), "the database is back");
            }
            let expires = session.is_some().then(|| Instant::now() + jittered(config.lifetime));
            slot.fill(Pooled { connection, session, credentials, expires });
        }
        Err(error) => {
            let said = error.to_string();
            let failures = pool.reachability.failed(error);
            if failures == 1 {
                tracing::warn!(pool = config.name, error = said, "no connection can be made; it is tried again");
            }
            let pause = (FIRST_PAUSE * 2_u32.pow(failures.saturating_sub(1).min(8))).min(LONGEST_PAUSE);
            slot.fail(Instant::now() + pause.mul_f64(rand::rng().random_range(0.5..=1.0)));
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
