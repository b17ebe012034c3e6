//! How the outbox does: what became of messages, and how much is left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_pool::{Class, Pool};
use tokio::time::Instant;

use crate::store::{self, Backlog};

/// How often the backlog is counted: one statement, and an alert about it waits for minutes.
const EVERY: Duration = Duration::from_secs(5);
/// It looks at every message, so with a million of them it is counted less often: never for more than a twentieth of the time.
const SHARE: u32 = 20;

pub(crate) struct Meter {
    done: Counter<u64>,
    backlog: Arc<Mutex<Backlog>>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let done = opentelemetry::global::meter("selvage.outbox")
            .u64_counter("selvage.outbox.done")
            .with_unit("{message}")
            .with_description("Attempts at messages by what came of them: done, later, or dead.")
            .build();
        Self { done, backlog: Arc::default() }
    }

    /// Topics are constants of whoever enqueues.
    pub(crate) fn count(&self, topic: &str, outcome: &'static str) {
        self.done.add(1, &[KeyValue::new("topic", topic.to_owned()), KeyValue::new("outcome", outcome)]);
    }

    /// Counts the backlog of `pool`'s outbox again and again until the end of `life`.
    pub(crate) fn watch(&self, pool: Pool, clock: Clock, life: Life) -> impl Future<Output = ()> + use<> {
        let backlog = self.backlog.clone();
        observe(&backlog, &clock, &pool.config().name);
        async move {
            let pool = pool.named("outbox_backlog", Class::Sheddable);
            let mut pause = EVERY;
            while life.sleep(pause).await {
                let began = Instant::now();
                match store::backlog(&pool, clock.now_ms()).await {
                    Ok(counted) => *backlog.lock().unwrap_or_else(PoisonError::into_inner) = counted,
                    // The relay says so too, and the pool.
                    Err(error) => tracing::debug!(error = %error, "the outbox can't be counted"),
                }
                pause = EVERY.max(began.elapsed() * SHARE);
            }
        }
    }
}

fn seconds_since(moment: Option<i64>, now: i64) -> u64 {
    let age = moment.map_or(0, |moment| now.saturating_sub(moment).max(0));
    u64::try_from(age / 1_000).unwrap_or(0)
}

type Number = fn(&Backlog, i64) -> u64;

fn observe(backlog: &Arc<Mutex<Backlog>>, clock: &Clock, outbox: &str) {
    let meter = opentelemetry::global::meter("selvage.outbox");
    let numbers: [(&'static str, &'static str, &'static str, Number); 4] = [
        (
            "selvage.outbox.lag",
            "s",
            "Age of the oldest message that is due, and not behind one that was given up.",
            |backlog, now| seconds_since(backlog.oldest_at, now),
        ),
        (
            "selvage.outbox.age",
            "s",
            "Age of the oldest message, whether it is due or not, that is not behind one that was given up.",
            |backlog, now| seconds_since(backlog.waiting_since, now),
        ),
        ("selvage.outbox.waiting", "{message}", "Messages that are not done.", |backlog, _| backlog.waiting),
        ("selvage.outbox.dead", "{message}", "Messages that were given up.", |backlog, _| backlog.dead),
    ];
    for (name, unit, description, number) in numbers {
        let (backlog, clock) = (backlog.clone(), clock.clone());
        let outbox = [KeyValue::new("outbox", outbox.to_owned())];
        meter
            .u64_observable_gauge(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |instrument| {
                // Empty until it was counted once: from 0 at the start, as alerts want it.
                let counted = *backlog.lock().unwrap_or_else(PoisonError::into_inner);
                instrument.observe(number(&counted, clock.now_ms()), &outbox);
            })
            .build();
    }
}
