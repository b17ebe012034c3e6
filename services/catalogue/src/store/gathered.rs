//! Reads that come while others are under way, made together: one statement, one connection, one answer to wait for.
//!
//! Nobody waits for company. While fewer than [`AT_ONCE`] reads are under way each is made at once and alone; those that
//! come meanwhile are the next one's, up to [`TOGETHER`] of them. So it is load itself that gathers, as in a group commit
//! (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984), and the busier the
//! database the fewer statements it gets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use selvage_telemetry::span::{Around, Span};
use tokio::sync::oneshot;

/// Reads under way. With 32 products in each, at 40 µs of the database's time for one and 0.5 ms for a round trip, two give
/// 2 × 32 ÷ 1.8 ms = 35,000 products a second, more than a service sends; they leave 6 of the pool's 8 connections to others.
const AT_ONCE: usize = 2;
/// Keys in one read: 32 answers of some 6 KiB are 200 KiB of rows.
const TOGETHER: usize = 32;
/// Callers who wait for a turn: 16 reads, some 15 ms of work. Those beyond ask the pool themselves, whose queue has a bound of
/// its own.
const WAITING: usize = 16 * TOGETHER;

/// Keys of which each is to be answered, and who waits for the answers.
#[derive(Clone, Debug)]
pub(super) struct Gathered<T> {
    state: Arc<Mutex<State<T>>>,
    /// How long a caller waits for another's read. After that it asks the pool itself, which says at once whether there is
    /// any use in it.
    wait: Duration,
}

#[derive(Debug)]
struct State<T> {
    under_way: usize,
    waiting: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    key: String,
    turn: oneshot::Sender<Turn<T>>,
}

/// What comes of waiting.
#[derive(Debug)]
enum Turn<T> {
    /// Somebody else read it, there.
    Answered(Option<T>, Around),
    /// It is this one's turn to read, its own key and others'.
    Reads(Place<T>, Vec<Waiting<T>>),
}

/// A read's place among those under way. Whatever becomes of the read, the next ones have it afterwards.
#[derive(Debug)]
struct Place<T>(Arc<Mutex<State<T>>>);

/// What a caller can do.
enum Begun<T> {
    Reads(Place<T>),
    Waits(oneshot::Receiver<Turn<T>>),
    /// There is no room to wait in.
    Alone,
}

impl<T> Gathered<T> {
    /// A caller waits for `wait` at the most: as long as it would for a connection.
    pub(super) fn new(wait: Duration) -> Self {
        Self { state: Arc::new(Mutex::new(State { under_way: 0, waiting: VecDeque::new() })), wait }
    }

    /// What is behind `key`. `read` takes keys and gives what is behind each, in their order.
    ///
    /// It runs in the caller that reads, within its deadline and its span. An error is that caller's alone, and so is its
    /// going away: those who waited for it read for themselves.
    ///
    /// # Errors
    /// What `read` says.
    pub(super) async fn get<E, R>(&self, key: &str, read: impl FnOnce(Vec<String>) -> R) -> Result<Option<T>, E>
    where
        R: Future<Output = Result<Vec<Option<T>>, E>>,
    {
        let (place, others) = match self.begin(key) {
            Begun::Reads(place) => (Some(place), Vec::new()),
            Begun::Alone => (None, Vec::new()),
            Begun::Waits(turn) => match tokio::time::timeout(self.wait, turn).await {
                Ok(Ok(Turn::Answered(answer, there))) => {
                    there.link();
                    return Ok(answer);
                }
                Ok(Ok(Turn::Reads(place, others))) => (Some(place), others),
                Ok(Err(_)) | Err(_) => (None, Vec::new()),
            },
        };
        let (mut keys, mut turns) = (vec![key.to_owned()], Vec::with_capacity(others.len()));
        for other in others {
            keys.push(other.key);
            turns.push(other.turn);
        }
        let mut answers = read(keys).await?.into_iter();
        // The next read needn't wait for these answers to be given.
        drop(place);
        let own = answers.next().flatten();
        let here = Span::around();
        for (turn, answer) in turns.into_iter().zip(answers) {
            // Who has gone needs none.
            let _ = turn.send(Turn::Answered(answer, here.clone()));
        }
        Ok(own)
    }

    fn begin(&self, key: &str) -> Begun<T> {
        let mut state = lock(&self.state);
        if state.under_way < AT_ONCE {
            state.under_way += 1;
            return Begun::Reads(Place(self.state.clone()));
        }
        if state.waiting.len() >= WAITING {
            return Begun::Alone;
        }
        let (turn, wait) = oneshot::channel();
        state.waiting.push_back(Waiting { key: key.to_owned(), turn });
        Begun::Waits(wait)
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.waiting.retain(|waiting| !waiting.turn.is_closed());
        let count = state.waiting.len().min(TOGETHER);
        let mut next = state.waiting.drain(..count);
        let Some(first) = next.next() else {
            drop(next);
            state.under_way -= 1;
            return;
        };
        let others = next.collect();
        drop(state);
        // If it goes away now, the place in what it was sent is dropped, and is the next ones'.
        let _ = first.turn.send(Turn::Reads(Self(self.0.clone()), others));
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    // Nothing panics while it is held.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::pin::Pin;

    use futures::FutureExt as _;
    use futures::future::{join_all, poll_immediate};
    use proptest::prelude::*;
    use tokio::sync::Semaphore;

    use super::*;

    const WAIT: Duration = Duration::from_millis(500);

    /// Keys whose answers are themselves in capitals, and none for those that are empty.
    struct Database {
        gathered: Gathered<String>,
        /// A permit for each read that may end.
        ends: Semaphore,
        reads: RefCell<Vec<usize>>,
    }

    impl Database {
        fn new() -> Self {
            Self { gathered: Gathered::new(WAIT), ends: Semaphore::new(0), reads: RefCell::default() }
        }

        async fn get(&self, key: &str) -> Result<Option<String>, &'static str> {
            self.gathered
                .get(key, async |keys| {
                    self.reads.borrow_mut().push(keys.len());
                    self.ends.acquire().await.unwrap().forget();
                    if keys.contains(&"broken".to_owned()) {
                        return Err("broken");
                    }
                    Ok(keys.iter().map(|key| (!key.is_empty()).then(|| key.to_uppercase())).collect())
                })
                .await
        }

        fn is_idle(&self) -> bool {
            let state = lock(&self.gathered.state);
            state.under_way == 0 && state.waiting.is_empty()
        }
    }

    #[tokio::test]
    async fn what_comes_while_others_read_is_read_together() {
        let database = Database::new();
        let keys = ["a", "b", "c", "", "c", "d"];
        let all = join_all(keys.iter().map(|key| database.get(key)));
        let (answers, ()) = tokio::join!(all, async { database.ends.add_permits(keys.len()) });
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().unwrap_or_default()).collect();
        assert_eq!(answers, ["A", "B", "C", "", "C", "D"]);
        assert_eq!(*database.reads.borrow(), [1, 1, 4], "two at once, and then what had come");
        assert!(database.is_idle());
        assert_eq!(database.get("e").await.unwrap().unwrap(), "E");
        assert_eq!(database.reads.borrow()[3..], [1], "nobody is waited for");
    }

    #[tokio::test]
    async fn no_read_is_larger_than_its_bound() {
        let database = Database::new();
        let keys: Vec<_> = (0..2 * TOGETHER + AT_ONCE).map(|n| format!("k{n}")).collect();
        database.ends.add_permits(keys.len());
        let answers = join_all(keys.iter().map(|key| database.get(key))).await;
        assert!(keys.iter().zip(answers).all(|(key, answer)| answer.unwrap().unwrap() == key.to_uppercase()));
        assert!(database.reads.borrow().iter().all(|read| *read <= TOGETHER), "{:?}", database.reads);
    }

    #[tokio::test]
    async fn who_finds_no_room_to_wait_in_reads_at_once() {
        let database = Database::new();
        let keys: Vec<_> = (0..AT_ONCE + WAITING + 3).map(|n| format!("k{n}")).collect();
        let mut callers: Vec<_> = keys.iter().map(|key| Box::pin(database.get(key))).collect();
        for caller in &mut callers {
            assert!(poll_immediate(caller).await.is_none());
        }
        assert_eq!(*database.reads.borrow(), [1; AT_ONCE + 3]);
        database.ends.add_permits(keys.len());
        let answers = join_all(callers).await;
        assert!(keys.iter().zip(answers).all(|(key, answer)| answer.unwrap().unwrap() == key.to_uppercase()));
        assert!(database.is_idle());
    }

    #[tokio::test]
    async fn an_error_is_its_readers_alone() {
        let database = Database::new();
        let keys = ["a", "b", "broken", "c", "d"];
        database.ends.add_permits(keys.len());
        let answers = join_all(keys.iter().map(|key| database.get(key))).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.map(Option::unwrap_or_default)).collect();
        assert_eq!(answers, [Ok("A".into()), Ok("B".into()), Err("broken"), Ok("C".into()), Ok("D".into())]);
        assert!(database.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_another_reads_for_itself() {
        let database = Database::new();
        let mut first = Box::pin(join_all(["a", "b"].map(|key| database.get(key))));
        assert!(poll_immediate(&mut first).await.is_none());
        let mut third = Box::pin(database.get("c"));
        assert!(tokio::time::timeout(WAIT * 2, &mut third).await.is_err());
        assert_eq!(*database.reads.borrow(), [1, 1, 1]);
        database.ends.add_permits(3);
        assert_eq!(third.await.unwrap().unwrap(), "C");
        first.await.into_iter().for_each(|answer| assert!(answer.unwrap().is_some()));
        assert!(database.is_idle());
    }

    proptest! {
        /// Callers come, reads end, callers go away at any point between: whoever stays is answered, and no place is lost.
        #[test]
        fn whoever_stays_is_answered(steps in prop::collection::vec((0_u8..4, any::<prop::sample::Index>()), 1..120)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let database = Database::new();
                let mut callers: Vec<(String, Pin<Box<dyn Future<Output = _> + '_>>)> = Vec::new();
                for (number, (step, which)) in steps.into_iter().enumerate() {
                    match step {
                        0 | 1 => {
                            let key = format!("k{number}");
                            let database = &database;
                            let call = { let key = key.clone(); async move { database.get(&key).await } };
                            callers.push((key, Box::pin(call)));
                        }
                        2 => database.ends.add_permits(1),
                        _ if callers.is_empty() => {}
                        _ => drop(callers.swap_remove(which.index(callers.len()))),
                    }
                    if !callers.is_empty() {
                        let at = which.index(callers.len());
                        if let Some(answer) = callers[at].1.as_mut().now_or_never() {
                            let (key, _) = callers.swap_remove(at);
                            prop_assert_eq!(answer, Ok(Some(key.to_uppercase())));
                        }
                    }
                }
                database.ends.add_permits(1_000);
                let (keys, calls): (Vec<_>, Vec<_>) = callers.into_iter().unzip();
                for (key, answer) in keys.into_iter().zip(join_all(calls).await) {
                    prop_assert_eq!(answer, Ok(Some(key.to_uppercase())));
                }
                prop_assert!(database.is_idle());
                Ok(())
            })?;
        }
    }
}
