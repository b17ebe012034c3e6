use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use sea_orm::{ConnectionTrait, DbErr};
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_context::{deadline, lease};
use selvage_pool::{Class, Pool, Tx};
use selvage_telemetry::messages;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use crate::message::Message;
use crate::meter::Meter;
use crate::store::{self, Claim};

/// Keys whose messages are done at once. Most of a key's time is waiting for others: of the 60 ms that an order's five
/// messages take it holds a connection for some 15, so that a relay needs far fewer connections than this.
const KEYS_AT_ONCE: usize = 32;
/// With more at hand than this nothing is claimed: a claim of many costs no more than a claim of one.
const ENOUGH_KEYS: usize = KEYS_AT_ONCE / 2;
/// How long a claim is a relay's own, unless it is told otherwise. A third of it is the time that one message has, and
/// in two thirds a key's last message must have begun and ended; the rest is for clocks that differ. When a relay is
/// killed its keys wait this long.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(15);
/// How often the relay looks without being told: the pause that another replica's messages and retries can wait.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest error text that is stored.
const MAX_ERROR_BYTES: usize = 500;

/// Why a message was not done.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// May succeed later.
    Later(String),
    /// Won't succeed however often it is tried: somebody must look.
    Never(String),
}

impl Failure {
    fn kind(&self) -> &'static str {
        match self {
            Self::Later(_) => "later",
            Self::Never(_) => "never",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(why) | Self::Never(why) => f.write_str(why),
        }
    }
}

/// Does messages.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// What is known to the messages of a key that are done one after the other: what the first had to look up, the
    /// others needn't.
    type Known: Default + Send;
    /// What a message's being done means for the sender's own tables.
    type Done: Send + Sync;

    /// Does what `message` asks for. It may have been done before: at least once is promised, not once. `None`: it means
    /// nothing for the sender's tables.
    async fn handle(&self, message: &Message, known: &mut Self::Known) -> Result<Option<Self::Done>, Failure>;

    /// Stores what the done messages of a key mean, in the transaction that removes them; not asked if they mean nothing.
    /// Returns whether it has enqueued messages, for which the relay then looks at once.
    async fn settle(&self, tx: &Tx, key: Uuid, done: &[Self::Done]) -> Result<bool, DbErr>;
}

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
    lease: Duration,
    meter: Meter,
}

impl<H: Handler> Relay<H> {
    /// A relay with a pool of its own, so that a shop that is busy taking orders still ships them.
    pub fn new(pool: Pool, handler: H, clock: Clock, kick: Kick) -> Self {
        Self { pool, handler, clock, kick, lease: DEFAULT_LEASE, meter: Meter::new() }
    }

    /// The same relay with another length of its claims; all relays of an outbox must have the same.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Relays until the end of `life`; what is under way then is finished.
    pub async fn run(self, life: Life) {
        let relay = Arc::new(self);
        life.spawn("outbox_watch", relay.meter.watch(relay.pool.clone(), relay.clock.clone(), life.clone()));
        let (mut working, mut look) = (JoinSet::new(), true);
        while !life.is_stopping() {
            if look && working.len() <= ENOUGH_KEYS {
                let room = KEYS_AT_ONCE - working.len();
                match relay.claim(room).await {
                    Ok(keys) => {
                        // There may be more than there was room for.
                        look = keys.len() >= room;
                        for (key, messages) in keys {
                            let relay = relay.clone();
                            working.spawn(async move { relay.key(key, messages).await });
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
    /// If the outbox can't be read. A message's own failure is stored, not returned.
    pub async fn round(&self) -> Result<usize, DbErr> {
        let keys = self.claim(KEYS_AT_ONCE).await?;
        let count = keys.len();
        futures::stream::iter(keys).for_each_concurrent(None, |(key, messages)| self.key(key, messages)).await;
        Ok(count)
    }

    /// Up to `room` keys that are due, each with all its messages in order: two statements, one if nothing is due.
    async fn claim(&self, room: usize) -> Result<BTreeMap<Uuid, Vec<Message>>, DbErr> {
        let now = self.clock.now_ms();
        let lease_until = now.saturating_add(i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX));
        let pool = self.pool.named("outbox_claim", Class::Normal);
        let claimed = store::claim(&pool, now, lease_until, room as u64).await?;
        for (position, key) in claimed.given_up {
            tracing::error!(position, %key, "a message is a dead letter now: no attempt at it came to an end");
        }
        let mut keys: BTreeMap<Uuid, Vec<Message>> = BTreeMap::new();
        if !claimed.keys.is_empty() {
            let span = messages::receive();
            let fetched = span.run(store::messages(&pool, claimed.keys)).await?;
            messages::received(&span, fetched.iter().map(|message| message.traceparent.as_deref()));
            for message in fetched {
                keys.entry(message.key).or_default().push(message);
            }
        }
        Ok(keys)
    }

    async fn key(&self, key: Uuid, messages: Vec<Message>) {
        if let Err(error) = self.done(key, messages).await {
            // The lease ends by itself, and the messages are done again.
            tracing::warn!(error = %error, %key, "messages were done, but that couldn't be stored");
        }
    }

    async fn done(&self, key: Uuid, messages: Vec<Message>) -> Result<(), DbErr> {
        let ends = Instant::now() + self.lease * 2 / 3;
        let (mut known, mut done, mut positions, mut failed) = (H::Known::default(), Vec::new(), Vec::new(), None);
        // The first message bears the claim: nobody else has the key while it is as it was then.
        let Some(claim) = messages.first().map(Claim::of) else { return Ok(()) };
        let traceparents: Vec<_> = messages.iter().map(|message| message.traceparent.clone()).collect();
        for mut message in messages {
            if !claim.is_of(message.position) {
                // The claim counted the attempt of the first message only.
                message.attempts += 1;
            }
            if message.dead || Instant::now() + self.message_bound() > ends {
                break;
            }
            let span =
                messages::process(&message.topic, message.position, message.attempts, message.traceparent.as_deref());
            match span.run(self.message(&message, &mut known)).await {
                Ok(outcome) => {
                    self.meter.count(&message.topic, "done");
                    positions.push(message.position);
                    done.extend(outcome);
                }
                Err(failure) => {
                    messages::failed(&span, failure.kind());
                    failed = Some((message, failure));
                    break;
                }
            }
        }
        let now = self.clock.now_ms();
        let failed = failed.map(|(message, failure)| Failed::of(message, &failure, now));
        if let Some(failed) = &failed {
            let outcome = if failed.retry_at.is_some() { "later" } else { "dead" };
            self.meter.count(&failed.message.topic, outcome);
        }
        let settling = messages::settle(traceparents.iter().map(Option::as_deref));
        let settled = settling.run(self.settle(key, claim, &positions, &done, failed.as_ref()));
        match settled.await {
            Ok(enqueued) => {
                if enqueued {
                    self.kick.now();
                }
                if let Some(failed) = failed {
                    failed.log();
                }
                Ok(())
            }
            Err(Unsettled::Late) => {
                tracing::warn!(%key, "messages took longer than their claim, and are another relay's now");
                Ok(())
            }
            Err(Unsettled::Failed(error)) => Err(error),
        }
    }

    /// Stores what became of a key's messages, all or nothing; returns whether that enqueued others.
    async fn settle(
        &self,
        key: Uuid,
        claim: Claim,
        positions: &[i64],
        done: &[H::Done],
        failed: Option<&Failed>,
    ) -> Result<bool, Unsettled> {
        let held = |held: bool| if held { Ok(()) } else { Err(Unsettled::Late) };
        let alone = self.pool.named("outbox_settle", Class::Normal);
        match (positions, failed) {
            ([], None) => return Ok(false),
            // One row, and so one statement, which is the whole transaction by itself.
            ([], Some(failed)) => return held(failed.store(&alone, claim).await?).map(|()| false),
            ([_], None) if done.is_empty() => {
                return held(store::remove(&alone, claim, positions).await?).map(|()| false);
            }
            _ => {}
        }
        self.pool
            .run_tx("outbox_settle", Class::Normal, |tx| async move {
                // Before anything else is written: what another relay has learned since is newer than what we know.
                held(store::remove(&tx, claim, positions).await?)?;
                let enqueued = !done.is_empty() && self.handler.settle(&tx, key, done).await?;
                if let Some(failed) = failed {
                    held(failed.store(&tx, claim).await?)?;
                }
                Ok(enqueued)
            })
            .await
    }

    async fn message(&self, message: &Message, known: &mut H::Known) -> Result<Option<H::Done>, Failure> {
        let bound = self.message_bound();
        let work = deadline::scope(Instant::now() + bound, lease::tracked(self.handler.handle(message, known)));
        tokio::time::timeout(bound, work)
            .await
            .unwrap_or_else(|_| Err(Failure::Later(format!("took longer than {bound:?}"))))
    }

    fn message_bound(&self) -> Duration {
        self.lease / 3
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

/// Why what became of messages wasn't stored.
enum Unsettled {
    /// The claim is another's by now.
    Late,
    Failed(DbErr),
}

impl From<DbErr> for Unsettled {
    fn from(error: DbErr) -> Self {
        Self::Failed(error)
    }
}

/// A failed attempt, and what becomes of its message.
struct Failed {
    message: Message,
    /// `None`: it is given up.
    retry_at: Option<i64>,
    error: String,
}

impl Failed {
    fn of(message: Message, failure: &Failure, now_ms: i64) -> Self {
        let retry_at = match failure {
            Failure::Later(_) => store::pause_ms(message.attempts).map(|pause| now_ms + pause),
            Failure::Never(_) => None,
        };
        let mut error = failure.to_string();
        error.truncate(error.floor_char_boundary(MAX_ERROR_BYTES));
        Self { message, retry_at, error }
    }

    async fn store(&self, db: &impl ConnectionTrait, claim: Claim) -> Result<bool, DbErr> {
        store::fail(db, claim, &self.message, self.retry_at, &self.error).await
    }

    fn log(&self) {
        let (topic, key, attempts) = (&self.message.topic, self.message.key, self.message.attempts);
        if self.retry_at.is_some() {
            tracing::warn!(topic, %key, attempts, error = self.error, "a message failed and will be tried again");
        } else {
            tracing::error!(topic, %key, attempts, error = self.error, "a message is a dead letter now");
        }
    }
}
