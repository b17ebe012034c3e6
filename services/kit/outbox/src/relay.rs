//! The relay: claims keys, has their messages done, and stores what came of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use sea_orm::DbErr;
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_context::{deadline, lease};
use selvage_pool::{Class, Pool, StoreError};
use selvage_telemetry::messages;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use crate::attempt::Failed;
use crate::handler::{Failure, Handler};
use crate::mending;
use crate::message::Message;
use crate::meter::Meter;
use crate::pace::{KEYS_AT_ONCE, Lease, may_be_more, room};
use crate::store::{self, Claim, Lane, Messages, Moment};

/// How long a claim is a relay's own, unless it is told otherwise. A third of it is the time that one message has, and
/// in two thirds a key's last message must have begun and ended; the rest is for clocks that differ. When a relay is
/// killed its keys wait this long.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(15);
/// How often the relay looks without being told: the pause that another replica's messages and retries can wait.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Wakes the relay of this process, after a commit.
#[derive(Clone, Debug, Default)]
pub struct Kick(Arc<Notify>);

impl Kick {
    /// There is something to do.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// Takes messages out of an outbox and has them done.
pub struct Relay<H> {
    pool: Pool,
    handler: H,
    clock: Clock,
    kick: Kick,
    lease: Lease,
    meter: Meter,
    /// Whether the next claim prefers messages that were tried.
    tried_first: AtomicBool,
}

/// What a claim got.
struct Claimed {
    /// The keys that are ours.
    keys: BTreeMap<Uuid, Messages>,
    /// Whether another claim may get more.
    may_be_more: bool,
}

impl<H: Handler> Relay<H> {
    /// A relay with a pool of its own, so that what follows from transactions is done however many wait to begin one.
    pub fn new(pool: Pool, handler: H, clock: Clock, kick: Kick) -> Self {
        let (lease, tried_first) = (Lease(DEFAULT_LEASE), AtomicBool::default());
        Self { pool, handler, clock, kick, lease, meter: Meter::new(), tried_first }
    }

    /// The same relay with another length of its claims; all relays of an outbox must have the same.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease: Lease(lease), ..self }
    }

    /// Relays until the end of `life`; what is under way then is finished.
    pub async fn run(self, life: Life) {
        let relay = Arc::new(self);
        life.spawn("outbox_watch", relay.meter.watch(relay.pool.clone(), relay.clock.clone(), life.clone()));
        life.spawn("outbox_mend", mending::run(relay.pool.clone(), relay.clock.clone(), relay.lease, life.clone()));
        let (mut working, mut look) = (JoinSet::new(), true);
        while !life.is_stopping() {
            if look && let Some(room) = room(working.len()) {
                match relay.claim(room).await {
                    Ok(claimed) => {
                        look = claimed.may_be_more;
                        for (key, messages) in claimed.keys {
                            let relay = relay.clone();
                            working.spawn(async move { relay.work_off(key, messages).await });
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, "the outbox can't be read; trying again");
                        look = false;
                    }
                }
            }
            tokio::select! {
                Some(ended) = working.join_next() => ended_well(ended),
                // Who enqueues something kicks, the relay itself included.
                () = relay.kick.0.notified(), if !look => look = true,
                _ = life.sleep(LOOK_EVERY) => look = true,
            }
        }
        while let Some(ended) = working.join_next().await {
            ended_well(ended);
        }
    }

    /// Claims what is due and has it done; returns how many keys that were. [`Relay::run`] does the same without end.
    ///
    /// # Errors
    /// The database's, if the outbox can't be read: the caller may try again. A message's own failure is stored, not
    /// returned.
    pub async fn round(&self) -> Result<usize, DbErr> {
        let keys = self.claim(KEYS_AT_ONCE).await?.keys;
        let count = keys.len();
        futures::stream::iter(keys).for_each_concurrent(None, |(key, messages)| self.work_off(key, messages)).await;
        Ok(count)
    }

    /// Up to `room` keys that are due: two statements, one if nothing is. Of two claims one prefers what is new, and one what
    /// was tried before: however much waits for another attempt, new messages have half of the relay, and the other way round.
    async fn claim(&self, room: usize) -> Result<Claimed, DbErr> {
        let preferred = if self.tried_first.fetch_xor(true, Ordering::Relaxed) { Lane::Tried } else { Lane::Fresh };
        let pool = self.pool.named("outbox_claim", Class::Normal);
        let claimed = store::claim(&pool, self.now(), self.lease.ms(), room as u64, preferred).await?;
        for (position, key) in claimed.given_up {
            tracing::error!(position, %key, "a message is a dead letter now: no attempt at it came to an end");
        }
        let mut keys = BTreeMap::new();
        if !claimed.keys.is_empty() {
            let span = messages::receive();
            keys = span.run(store::messages(&pool, claimed.keys)).await?;
            let fetched = keys.values().flat_map(|of_key| &of_key.read);
            messages::received(&span, fetched.map(|message| message.traceparent.as_deref()));
        }
        Ok(Claimed { keys, may_be_more: may_be_more(claimed.looked_at, room) })
    }

    fn now(&self) -> Moment {
        Moment::of(&self.clock, self.pool.backend())
    }

    /// Does a key's messages, one after the other, until one fails or time is up, and stores what became of them.
    async fn work_off(&self, key: Uuid, messages: Messages) {
        let Messages { read: messages, ends_early } = messages;
        // The first message bears the claim: nobody else has the key while it is as it was then.
        let Some(claim) = messages.first().map(Claim::of) else { return };
        let traceparents: Vec<_> = messages.iter().map(|message| message.traceparent.clone()).collect();
        let mut attempted = self.attempt_all(claim, messages).await;
        attempted.leaves |= ends_early && attempted.failed.is_none();
        let settling = messages::settle(traceparents.iter().map(Option::as_deref));
        match settling.run(self.settle(key, claim, &attempted)).await {
            Ok(enqueued) => {
                if enqueued {
                    self.kick.now();
                }
                if let Some(failed) = attempted.failed {
                    failed.log();
                }
            }
            Err(Unsettled::Late) => {
                tracing::warn!(%key, "messages took longer than their claim, and are another relay's now");
            }
            // The claim ends by itself, and the messages are done again.
            Err(Unsettled::Failed(error)) => {
                tracing::warn!(error = %error, %key, "messages were done, but that couldn't be stored");
            }
        }
    }

    async fn attempt_all(&self, claim: Claim, messages: Vec<Message>) -> Attempted<H::Outcome> {
        let began = Instant::now();
        let mut lookups = H::Lookups::default();
        let mut attempted = Attempted { done: Vec::new(), outcomes: Vec::new(), failed: None, leaves: false };
        for mut message in messages {
            if !claim.is_of(message.position) {
                // The claim counted the attempt of the first message only.
                message.attempts += 1;
            }
            if message.dead || !self.lease.has_time(began.elapsed()) {
                attempted.leaves = true;
                break;
            }
            let span =
                messages::process(&message.topic, message.position, message.attempts, message.traceparent.as_deref());
            match span.run(self.attempt(&message, &mut lookups)).await {
                Ok(outcome) => {
                    self.meter.count(&message.topic, "done");
                    attempted.done.push(message.position);
                    attempted.outcomes.extend(outcome);
                }
                Err(failure) => {
                    messages::failed(&span, failure.kind());
                    let failed = Failed::of(message, &failure);
                    self.meter.count(&failed.message.topic, failed.outcome());
                    attempted.failed = Some(failed);
                    break;
                }
            }
        }
        attempted
    }

    /// Stores what became of a key's messages, all or nothing; returns whether that enqueued others.
    async fn settle(&self, key: Uuid, claim: Claim, attempted: &Attempted<H::Outcome>) -> Result<bool, Unsettled> {
        let Attempted { done, outcomes, failed, leaves } = attempted;
        let held = |held: bool| if held { Ok(()) } else { Err(Unsettled::Late) };
        let alone = self.pool.named("outbox_settle", Class::Normal);
        match (&done[..], failed) {
            ([], None) => return Ok(false),
            // One row, and so one statement, which is the whole transaction by itself.
            ([], Some(failed)) => return held(store::fail(&alone, self.now(), claim, failed).await?).map(|()| false),
            ([_], None) if outcomes.is_empty() && !leaves => {
                return held(store::remove(&alone, claim, done).await?).map(|()| false);
            }
            _ => {}
        }
        self.pool
            .run_tx("outbox_settle", Class::Normal, |tx| async move {
                // Before anything else is written: what another relay has learned since is newer than what we know.
                held(store::remove(&tx, claim, done).await?)?;
                let enqueued = !outcomes.is_empty() && self.handler.settle(&tx, key, outcomes).await?;
                if let Some(failed) = failed {
                    held(store::fail(&tx, self.now(), claim, failed).await?)?;
                }
                if *leaves {
                    store::free_first(&tx, key).await?;
                }
                Ok(enqueued)
            })
            .await
    }

    async fn attempt(&self, message: &Message, lookups: &mut H::Lookups) -> Result<Option<H::Outcome>, Failure> {
        let bound = self.lease.of_message();
        let work = deadline::scope(Instant::now() + bound, lease::tracked(self.handler.handle(message, lookups)));
        tokio::time::timeout(bound, work)
            .await
            .unwrap_or_else(|_| Err(Failure::Later(format!("took longer than {bound:?}"))))
    }
}

/// A key's work never fails; if it panicked, so does the relay, whose end is the process's.
fn ended_well(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// What became of a key's messages.
struct Attempted<O> {
    /// The positions of those that are done, in their order.
    done: Vec<i64>,
    /// What their being done means.
    outcomes: Vec<O>,
    /// The one that failed, behind which nothing was tried.
    failed: Option<Failed>,
    /// Whether messages are left behind these that weren't tried, and of which the first is now the key's.
    leaves: bool,
}

/// Why what became of messages wasn't stored.
enum Unsettled {
    /// The claim is another's by now.
    Late,
    Failed(StoreError),
}

impl From<DbErr> for Unsettled {
    fn from(error: DbErr) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for Unsettled {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures::FutureExt as _;
    use sea_orm::Database;
    use sea_orm_migration::SchemaManager;
    use selvage_pool::{Config, Tx};
    use selvage_testkit::{Engine, database};

    use super::*;
    use crate::Outgoing;

    /// Says of each settling that it has enqueued something, or that it hasn't.
    struct Says(bool);

    #[async_trait]
    impl Handler for Says {
        type Lookups = ();
        type Outcome = ();

        async fn handle(&self, _message: &Message, (): &mut ()) -> Result<Option<()>, Failure> {
            Ok(Some(()))
        }

        async fn settle(&self, _tx: &Tx, _key: Uuid, _outcomes: &[()]) -> Result<bool, StoreError> {
            Ok(self.0)
        }
    }

    #[tokio::test]
    async fn a_relay_wakes_itself_if_its_settling_enqueued_something() {
        for enqueued in [true, false] {
            let database = database(Engine::Sqlite).await;
            let db = Database::connect(format!("{}?mode=rwc", database.url())).await.unwrap();
            let manager = SchemaManager::new(&db);
            store::create_table(&manager).await.unwrap();
            store::add_numbers(&manager).await.unwrap();
            store::add_lanes(&manager).await.unwrap();
            let pool = Pool::open(Config::new("outbox", database.url())).await.unwrap();
            let outgoing = Outgoing { key: Uuid::now_v7(), topic: "do", payload: Vec::new() };
            let outgoing = &outgoing;
            pool.run_tx("send", Class::Normal, |tx| async move { store::enqueue(&tx, 1, [outgoing.clone()]).await })
                .await
                .unwrap();
            let kick = Kick::default();
            let relay = Relay::new(pool, Says(enqueued), Clock::standing_at(1), kick.clone());
            assert_eq!(relay.round().await.unwrap(), 1);
            assert_eq!(kick.0.notified().now_or_never().is_some(), enqueued);
        }
    }

    /// Whoever is told before it waits needn't wait.
    #[tokio::test]
    async fn a_kick_is_not_lost_on_a_relay_that_is_at_work() {
        let kick = Kick::default();
        kick.clone().now();
        tokio::time::timeout(Duration::from_secs(10), kick.0.notified()).await.expect("it was kicked");
        let waiting = tokio::time::timeout(Duration::from_millis(10), kick.0.notified());
        assert!(waiting.await.is_err(), "one kick wakes once");
    }

    #[tokio::test]
    #[should_panic(expected = "a handler's mistake")]
    async fn a_handler_that_panics_takes_the_process_with_it() {
        ended_well(tokio::spawn(async { panic!("a handler's mistake") }).await);
    }
}
