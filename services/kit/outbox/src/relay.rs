use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use sea_orm::DbErr;
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_context::{deadline, lease};
use selvage_pool::{Class, Pool, Tx};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::message::Message;
use crate::store::{self, Claim};

/// Keys that one round claims, all done at once. Each handler call uses a connection only to settle, so that a relay
/// needs far fewer connections than this.
const KEYS_A_ROUND: u64 = 16;
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
    /// What a message's being done means for the sender's own tables.
    type Done: Send + Sync;

    /// Does what `message` asks for. It may have been done before: at least once is promised, not once.
    async fn handle(&self, message: &Message) -> Result<Self::Done, Failure>;

    /// Stores what the done messages of a key mean, in the transaction that removes them.
    async fn settle(&self, tx: &Tx, key: Uuid, done: &[Self::Done]) -> Result<(), DbErr>;
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
}

impl<H: Handler> Relay<H> {
    /// A relay with a pool of its own, so that a shop that is busy taking orders still ships them.
    pub fn new(pool: Pool, handler: H, clock: Clock, kick: Kick) -> Self {
        Self { pool, handler, clock, kick, lease: DEFAULT_LEASE }
    }

    /// The same relay with another length of its claims; all relays of an outbox must have the same.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Relays until the end of `life`; the round that is under way is finished.
    pub async fn run(self, life: Life) {
        while !life.is_stopping() {
            match self.round().await {
                Ok(0) => {
                    tokio::select! {
                        () = self.kick.0.notified() => {}
                        _ = life.sleep(LOOK_EVERY) => {}
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "the outbox can't be read; trying again");
                    life.sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Claims what is due and has it done; returns how many keys that were.
    ///
    /// # Errors
    /// If the outbox can't be read. A message's own failure is stored, not returned.
    pub async fn round(&self) -> Result<usize, DbErr> {
        let now = self.clock.now_ms();
        let lease_until = now.saturating_add(i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX));
        let claimed = self
            .pool
            .run_tx("outbox_claim", Class::Normal, |tx| async move {
                store::claim(&tx, now, lease_until, KEYS_A_ROUND).await
            })
            .await?;
        for (position, key) in claimed.given_up {
            tracing::error!(position, %key, "a message is a dead letter now: no attempt at it came to an end");
        }
        let mut keys: BTreeMap<Uuid, Vec<Message>> = BTreeMap::new();
        for message in claimed.messages {
            keys.entry(message.key).or_default().push(message);
        }
        let count = keys.len();
        let width = usize::try_from(KEYS_A_ROUND).unwrap_or(1);
        futures::stream::iter(keys)
            .for_each_concurrent(width, |(key, messages)| async move {
                if let Err(error) = self.key(key, messages).await {
                    // The lease ends by itself, and the messages are done again.
                    tracing::warn!(error = %error, %key, "messages were done, but that couldn't be stored");
                }
            })
            .await;
        Ok(count)
    }

    async fn key(&self, key: Uuid, messages: Vec<Message>) -> Result<(), DbErr> {
        let ends = Instant::now() + self.lease * 2 / 3;
        let (mut done, mut positions, mut failed) = (Vec::new(), Vec::new(), None);
        // The first message bears the claim: nobody else has the key while it is as it was then.
        let Some(claim) = messages.first().map(Claim::of) else { return Ok(()) };
        for (index, mut message) in messages.into_iter().enumerate() {
            if index > 0 {
                // The claim counted the attempt of the first message only.
                message.attempts += 1;
            }
            if message.dead || Instant::now() + self.message_bound() > ends {
                break;
            }
            match self.message(&message).await {
                Ok(outcome) => {
                    positions.push(message.position);
                    done.push(outcome);
                }
                Err(failure) => {
                    failed = Some((message, failure));
                    break;
                }
            }
        }
        let now = self.clock.now_ms();
        let failed = failed.map(|(message, failure)| Failed::of(message, &failure, now));
        let (done, positions, failed) = (&done, &positions, &failed);
        let settled = self
            .pool
            .run_tx("outbox_settle", Class::Normal, |tx| async move {
                // Before anything is written: what another relay has learned since then is newer than what we know.
                if !store::still_ours(&tx, claim).await? {
                    return Ok::<_, DbErr>(false);
                }
                if !done.is_empty() {
                    store::remove(&tx, positions.clone()).await?;
                    self.handler.settle(&tx, key, done).await?;
                }
                if let Some(failed) = failed {
                    store::fail(&tx, &failed.message, failed.retry_at, &failed.error).await?;
                }
                Ok(true)
            })
            .await?;
        match failed {
            _ if !settled => tracing::warn!(%key, "messages took longer than their claim, and are another relay's now"),
            Some(failed) => failed.log(),
            None => {}
        }
        Ok(())
    }

    async fn message(&self, message: &Message) -> Result<H::Done, Failure> {
        let bound = self.message_bound();
        let work = deadline::scope(Instant::now() + bound, lease::tracked(self.handler.handle(message)));
        tokio::time::timeout(bound, work)
            .await
            .unwrap_or_else(|_| Err(Failure::Later(format!("took longer than {bound:?}"))))
    }

    fn message_bound(&self) -> Duration {
        self.lease / 3
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

    fn log(&self) {
        let (topic, key, attempts) = (&self.message.topic, self.message.key, self.message.attempts);
        if self.retry_at.is_some() {
            tracing::warn!(topic, %key, attempts, error = self.error, "a message failed and will be tried again");
        } else {
            tracing::error!(topic, %key, attempts, error = self.error, "a message is a dead letter now");
        }
    }
}
