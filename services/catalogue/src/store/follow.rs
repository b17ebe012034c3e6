//! How this process hears of changes.
//!
//! On PostgreSQL triggers announce what a transaction changed, whoever made it, and every replica listens; the migration
//! that makes the triggers describes the announcement. A file of SQLite has one process, which counts its own
//! transactions; another that writes the file beside it (`selvage import`, `selvage seed`) is not heard of, and copies grow
//! old by time.

use sea_orm::{DbBackend, DbErr};
use selvage_pool::{Class, Event, Pool, Tx};

use super::Store;
use super::changes::Changes;

/// The channel of `m20261126_000003_announce`.
const CHANNEL: &str = "catalogue_changed";

/// How old a copy may get when all changes are heard of: the last resort, should one be missed by a mistake of ours.
const AGE_MS: i64 = 30_000;
/// The same where an import may write beside us unheard.
const AGE_BESIDE_OTHERS_MS: i64 = 1_000;

/// A pool that counts its own transactions as changes where the database announces none: on SQLite.
#[derive(Clone, Debug)]
pub(super) struct FollowedPool {
    pool: Pool,
    pub(super) changes: Changes,
}

impl FollowedPool {
    pub(super) fn new(pool: Pool) -> Self {
        let changes = Changes::not_followed();
        changes.set_followed(pool.backend() == DbBackend::Sqlite);
        Self { pool, changes }
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

impl Store {
    /// What has changed, as far as is heard. On PostgreSQL that is nothing while [`Store::follow`] doesn't run.
    pub fn changes(&self) -> &Changes {
        &self.pool.changes
    }

    /// Milliseconds after which a cached answer isn't given any more, whatever was heard.
    pub fn cache_max_age_ms(&self) -> i64 {
        if self.has_one_writer() { AGE_BESIDE_OTHERS_MS } else { AGE_MS }
    }

    /// Listens to what is announced until `stopping`.
    pub async fn follow(self, stopping: impl Future<Output = ()>) {
        let mut listener = self.pool.listen(CHANNEL);
        let changes = self.changes();
        let listening = async {
            loop {
                match listener.next().await {
                    Event::Listening => {
                        tracing::debug!("changes are heard of");
                        changes.set_followed(true);
                    }
                    Event::Lost => {
                        changes.set_followed(false);
                        tracing::warn!(
                            "changes aren't heard of any more: every read goes to the database until they are"
                        );
                    }
                    Event::Notified(payload) => count_announced(changes, &payload),
                }
            }
        };
        tokio::select! {
            () = listening => {}
            () = stopping => {}
        }
        if !self.has_one_writer() {
            changes.set_followed(false);
        }
    }
}

/// Reads an announcement; whatever it doesn't understand, of a newer schema say, may be anything.
fn count_announced(changes: &Changes, payload: &str) {
    let (scope, slugs) = payload.split_at_checked(1).unwrap_or_default();
    let listings = match scope {
        "=" => false,
        "!" => true,
        _ => return changes.everything(),
    };
    slugs.split(' ').for_each(|slug| changes.product(slug));
    if listings {
        changes.listings();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::changes::Subject;

    #[test]
    fn an_announcement_ends_what_it_names() {
        for (payload, shirt, listing) in [
            ("=shirt", false, true),
            ("=coat shirt", false, true),
            ("!shirt bag", false, false),
            ("*", false, false),
            ("", false, false),
            ("é", false, false),
            ("?shirt", false, false),
        ] {
            let changes = Changes::not_followed();
            changes.set_followed(true);
            let marks = [Subject::Product("shirt"), Subject::Listing].map(|subject| changes.mark(subject).unwrap());
            count_announced(&changes, payload);
            assert_eq!(marks.map(|mark| changes.holds(&mark)), [shirt, listing], "{payload}");
        }
    }
}
