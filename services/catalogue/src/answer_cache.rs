//! A cache of answers in bounded memory. An answer is given again until what it tells of has changed, or until it is too old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use selvage_context::clock::Clock;
use tonic::{Code, Status};

use crate::store::{Changes, Mark, Subject};

/// What an entry takes beside its key and its answer: two allocations, counts, and its slot in the table.
const OVERHEAD_BYTES: u64 = 200;
/// A usual answer: for the first size of the table, which grows.
const USUAL_BYTES: u64 = 4 * 1024;
/// How long a caller waits for another who reads the same. A read takes milliseconds; one that takes longer than this waits
/// for something else than the answer, and those who wait for it ask for themselves.
const WAIT: Duration = Duration::from_millis(250);

/// What is answered: the message as it is sent, with its length before it, or that there is no such thing.
pub(crate) type Answer = Result<Bytes, Status>;

/// Answers by the requests' own bytes.
pub(crate) struct AnswerCache {
    cache: Cache<Vec<u8>, Arc<Entry>, Weight>,
    changes: Changes,
    clock: Clock,
    max_age_ms: i64,
    /// Reads begun so far.
    reads: AtomicU64,
    counts: Counts,
}

/// An answer, and what says whether it may still be given.
struct Entry {
    answer: Answer,
    mark: Mark,
    made_ms: i64,
    /// How many reads had begun before its own.
    begun: u64,
}

/// How often answers were found, since the start; they only grow.
#[derive(Debug, Default)]
pub struct Counts {
    /// Answered from memory.
    pub hits: AtomicU64,
    /// Read, and kept until it changes.
    pub misses: AtomicU64,
    /// Read without a look, while changes weren't followed.
    pub bypassed: AtomicU64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Vec<u8>, Arc<Entry>> for Weight {
    fn weight(&self, key: &Vec<u8>, entry: &Arc<Entry>) -> u64 {
        let answer = entry.answer.as_ref().map_or(0, Bytes::len);
        (key.len() + answer) as u64 + OVERHEAD_BYTES
    }
}

impl AnswerCache {
    /// A cache of at most `bytes`, with each answer for `max_age_ms` at the most.
    pub(crate) fn new(bytes: u64, max_age_ms: i64, changes: Changes, clock: Clock) -> Self {
        let usual = usize::try_from(bytes / USUAL_BYTES).unwrap_or(usize::MAX);
        Self {
            cache: Cache::with_weighter(usual, bytes, Weight),
            changes,
            clock,
            max_age_ms,
            reads: AtomicU64::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The answer to `key`, if it was given before and still holds.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Answer> {
        let entry = self.cache.get(key).filter(|entry| self.holds(entry))?;
        self.counts.hits.fetch_add(1, Ordering::Relaxed);
        Some(entry.answer.clone())
    }

    /// What `read` gives, kept for those who ask the same. Of those who ask at once one reads, and the others wait for it.
    pub(crate) async fn get_or_read(
        &self,
        key: &[u8],
        subject: Subject<'_>,
        read: impl Future<Output = Answer>,
    ) -> Answer {
        if !self.changes.are_followed() {
            self.counts.bypassed.fetch_add(1, Ordering::Relaxed);
            return read.await;
        }
        // Whatever was read from here on is new enough for this caller, though it may have changed again: who waits does so
        // for the read that goes on, and for one more at the most.
        let asked = self.reads.load(Ordering::SeqCst);
        let found = |_: &Vec<u8>, entry: &mut Arc<Entry>| {
            if entry.begun >= asked || self.holds(entry) {
                EntryAction::Retain(entry.answer.clone())
            } else {
                EntryAction::ReplaceWithGuard
            }
        };
        let slot = match tokio::time::timeout(WAIT, self.cache.entry_async(key, found)).await {
            Ok(EntryResult::Retained(answer)) => {
                self.counts.hits.fetch_add(1, Ordering::Relaxed);
                return answer;
            }
            Ok(EntryResult::Vacant(slot) | EntryResult::Replaced(slot, _)) => Some(slot),
            Ok(EntryResult::Removed(..) | EntryResult::Timeout) | Err(_) => None,
        };
        self.counts.misses.fetch_add(1, Ordering::Relaxed);
        // Before the read: a change that is heard of from here on ends what comes of it.
        let (mark, made_ms) = (self.changes.mark(subject), self.clock.now_ms());
        let begun = self.reads.fetch_add(1, Ordering::SeqCst);
        let answer = read.await;
        let may_be_kept = answer.as_ref().err().is_none_or(|status| status.code() == Code::NotFound);
        if let (Some(slot), Some(mark), true) = (slot, mark, may_be_kept) {
            // In vain if it was thrown out in the meantime: there are others who need the room more.
            let _ = slot.insert(Arc::new(Entry { answer: answer.clone(), mark, made_ms, begun }));
        }
        answer
    }

    fn holds(&self, entry: &Entry) -> bool {
        // A clock that was set back makes nothing last longer.
        (0..self.max_age_ms).contains(&(self.clock.now_ms() - entry.made_ms)) && self.changes.holds(&entry.mark)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::future::{join_all, poll_immediate};
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    fn copies(bytes: u64) -> (AnswerCache, Changes, Clock) {
        let (changes, clock) = (Changes::not_followed(), Clock::standing_at(0));
        changes.set_followed(true);
        (AnswerCache::new(bytes, 1_000, changes.clone(), clock.clone()), changes, clock)
    }

    fn answer(text: &'static str) -> Answer {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    /// What comes of asking, when a read would give `text`.
    async fn ask(copies: &AnswerCache, text: &'static str) -> Bytes {
        if let Some(found) = copies.get(b"shirt") {
            return found.unwrap();
        }
        copies.get_or_read(b"shirt", Subject::Product("shirt"), async { answer(text) }).await.unwrap()
    }

    #[tokio::test]
    async fn an_answer_lasts_until_a_change_is_heard_of_or_it_is_old() {
        let (copies, changes, clock) = copies(1 << 20);
        assert_eq!([ask(&copies, "1").await, ask(&copies, "2").await], ["1", "1"]);
        changes.product("shirt");
        assert_eq!([ask(&copies, "3").await, ask(&copies, "4").await], ["3", "3"]);
        clock.advance_ms(999);
        assert_eq!(ask(&copies, "5").await, "3");
        clock.advance_ms(1);
        assert_eq!(ask(&copies, "6").await, "6");
        clock.advance_ms(-1);
        assert_eq!(ask(&copies, "7").await, "7", "made in the future");
        changes.set_followed(false);
        assert_eq!([ask(&copies, "8").await, ask(&copies, "9").await], ["8", "9"]);
        changes.set_followed(true);
        assert_eq!(ask(&copies, "10").await, "7", "nothing has changed by then");
        let counts = copies.counts();
        assert_eq!(
            [&counts.hits, &counts.misses, &counts.bypassed].map(|count| count.load(Ordering::Relaxed)),
            [4, 4, 2]
        );
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_kept_after_it() {
        let (copies, changes, _) = copies(1 << 20);
        let (reads, read) = oneshot::channel();
        let mut first = pin!(copies.get_or_read(b"shirt", Subject::Product("shirt"), async { read.await.unwrap() }));
        assert!(poll_immediate(&mut first).await.is_none(), "it has begun to read");
        changes.product("shirt");
        // Another who asks now mustn't be given it either.
        let mut second = pin!(ask(&copies, "new"));
        assert!(poll_immediate(&mut second).await.is_none(), "it waits for the first");
        reads.send(answer("old")).unwrap();
        assert_eq!(first.await.unwrap(), "old");
        assert_eq!(second.await, "new");
        assert_eq!(ask(&copies, "newer").await, "new");
    }

    #[tokio::test]
    async fn those_who_ask_at_once_read_once() {
        let (copies, changes, _) = copies(1 << 20);
        let (gate, reads) = (Semaphore::new(0), AtomicU64::default());
        let ask = || {
            copies.get_or_read(b"shirt", Subject::Product("shirt"), async {
                reads.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                answer("shirt")
            })
        };
        let all = async { join_all((0..50).map(|_| ask())).await };
        let (answers, ()) = tokio::join!(all, async { gate.add_permits(1) });
        assert!(answers.into_iter().all(|answer| answer.unwrap() == "shirt"));
        assert_eq!(reads.load(Ordering::SeqCst), 1);

        // It changes all the time: the one read that begins after they asked is new enough for all of them.
        changes.product("shirt");
        let mut first = pin!(ask());
        assert!(poll_immediate(&mut first).await.is_none());
        let mut others = pin!(async { join_all((0..50).map(|_| ask())).await });
        assert!(poll_immediate(&mut others).await.is_none());
        changes.product("shirt");
        gate.add_permits(1);
        first.await.unwrap();
        assert!(poll_immediate(&mut others).await.is_none(), "one of them reads");
        changes.product("shirt");
        gate.add_permits(1);
        assert_eq!(others.await.len(), 50);
        assert_eq!(reads.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_and_what_is_missing_is() {
        let (copies, ..) = copies(1 << 20);
        let ask = async |status: Status| {
            copies.get_or_read(b"shirt", Subject::Product("shirt"), async { Err(status) }).await.unwrap_err()
        };
        assert_eq!(ask(Status::unavailable("")).await.code(), Code::Unavailable);
        assert_eq!(ask(Status::not_found("")).await.code(), Code::NotFound);
        assert_eq!(ask(Status::unavailable("")).await.code(), Code::NotFound);
    }

    #[tokio::test]
    async fn memory_is_bounded_whatever_is_asked_for() {
        const BYTES: u64 = 256 * 1024;
        let (copies, ..) = copies(BYTES);
        for n in 0..2_000_u32 {
            let read = async { Ok(Bytes::from(vec![0; 1_000])) };
            copies.get_or_read(&n.to_be_bytes(), Subject::Listing, read).await.unwrap();
            assert!(copies.cache.weight() <= BYTES);
        }
        assert!(copies.cache.weight() > BYTES / 2, "it is used: {}", copies.cache.weight());
        // What is larger than all of it is answered all the same.
        let read = async { Ok(Bytes::from(vec![0; 1 << 20])) };
        assert_eq!(copies.get_or_read(b"large", Subject::Listing, read).await.unwrap().len(), 1 << 20);
        assert!(copies.cache.weight() <= BYTES);
    }
}
