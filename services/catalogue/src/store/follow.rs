//! How this process hears of changes: it asks the log what is new, over and over.
//!
//! Whoever changes something, the log has it: another replica, `selvage import` or `selvage seed`, a person. What this process changes itself on SQLite is
//! also counted at once, so that one shop on one machine shows it to whoever has changed it.

use std::pin::pin;
use std::time::Duration;

use sea_orm::{DbBackend, DbErr};
use selvage_pool::{Class, Pool, StoreError, Tx};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::Store;
use super::change_log::{News, Position};
use super::changes::Changes;

/// How often the log is asked. What one replica changes the others show 75 ms later on average, and 150 ms at the most, beside
/// the time of the answer; ten replicas ask 67 times a second, at 0.3 ms of the database's time 2 % of one processor.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// For so long after it was asked the log's answer is relied on: six looks, of which one must succeed. A session that the server has
/// ended costs one.
const RELIED_ON: Duration = Duration::from_secs(1);
/// How old a copy may get when all changes are heard of: the last resort, should one be missed by a mistake of ours.
const AGE_MS: i64 = 30_000;

/// A pool that counts its own transactions as changes where there is one process: on SQLite.
#[derive(Clone, Debug)]
pub(super) struct FollowedPool {
    pool: Pool,
    pub(super) changes: Changes,
}

impl FollowedPool {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, changes: Changes::not_followed() }
    }

    /// [`Pool::run_tx`]. On SQLite anything may have changed afterwards: one shop on one machine can read again.
    pub(super) async fn run_tx<T, E, F, Fut>(&self, name: &'static str, class: Class, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<DbErr> + Send,
    {
        let _after = (self.pool.backend() == DbBackend::Sqlite).then(|| After(&self.changes));
        self.pool.run_tx(name, class, work).await
    }
}

/// Statements outside transactions only read.
impl std::ops::Deref for FollowedPool {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        &self.pool
    }
}

/// Counts when it is dropped, also by a caller that doesn't wait for the end: what it began may have been committed.
struct After<'a>(&'a Changes);

impl Drop for After<'_> {
    fn drop(&mut self) {
        self.0.everything();
    }
}

/// Asks the log what is new, each 150 ms. Each follower has a place of its own in the log, so that all of them hear of everything.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    position: Option<Position>,
    looks: Interval,
}

impl Follower {
    /// A follower to whom everything is new at first.
    pub fn new(store: Store) -> Self {
        Self::begin(store, None)
    }

    /// A follower to whom all is new that was committed after `position`.
    pub fn since(store: Store, position: Position) -> Self {
        Self::begin(store, Some(position))
    }

    fn begin(store: Store, position: Option<Position>) -> Self {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { store, position, looks }
    }

    /// Waits until it is time, and asks what has changed since the last news: perhaps nothing. Whoever drops the future misses nothing
    /// by it.
    ///
    /// # Errors
    /// [`StoreError`]; the next news have what these would have had.
    pub async fn next(&mut self) -> Result<News, StoreError> {
        self.looks.tick().await;
        let news = match &self.position {
            Some(position) => self.store.change_list(position).await?,
            None => News::everything(self.store.change_position().await?),
        };
        self.position = Some(news.position.clone());
        Ok(news)
    }
}

impl Store {
    /// What has changed, as far as is heard: nothing while [`Store::follow`] doesn't run.
    pub fn changes(&self) -> &Changes {
        &self.pool.changes
    }

    /// Milliseconds after which a cached answer isn't given any more, whatever was heard.
    pub fn cache_max_age_ms(&self) -> i64 {
        AGE_MS
    }

    /// Counts what changes until `stopping`.
    pub async fn follow(self, stopping: impl Future<Output = ()>) {
        let changes = self.changes().clone();
        tokio::select! {
            () = count(&changes, Follower::new(self)) => {}
            () = stopping => {}
        }
        changes.set_followed(false);
    }
}

/// Counts the changes that `follower` hears of, and says when it hears of none.
async fn count(changes: &Changes, mut follower: Follower) {
    let (mut relied_on, mut is_lost, mut why) = (Instant::now() + RELIED_ON, false, None);
    loop {
        let asked_at = Instant::now();
        let heard = {
            let mut asking = pin!(follower.next());
            tokio::select! {
                heard = &mut asking => heard,
                () = tokio::time::sleep_until(relied_on), if !is_lost => {
                    is_lost = true;
                    changes.set_followed(false);
                    tracing::warn!(
                        error = why.take().map(|why: StoreError| why.to_string()),
                        "changes aren't heard of: every read goes to the database until they are"
                    );
                    asking.await
                }
            }
        };
        match heard {
            Ok(news) => {
                changes.apply(&news);
                changes.set_followed(true);
                changes.heard(asked_at);
                if is_lost {
                    tracing::info!("changes are heard of again");
                }
                (relied_on, is_lost, why) = (asked_at + RELIED_ON, false, None);
            }
            Err(error) => why = Some(error),
        }
    }
}
