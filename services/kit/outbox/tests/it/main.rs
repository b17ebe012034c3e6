//! The outbox on both engines: in order, at least once, never two at a time for one key.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod backlog;
mod clocks;
mod damaged;
mod marks;
mod order;
mod relay;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager};
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_outbox::{
    Backlog, Failure, Handler, Kick, MAX_ATTEMPTS, Message, Outgoing, Relay, Waiting, backlog, dead_letters, discard,
    enqueue, retry_once,
};
use selvage_pool::{Class, Config, Pool, StoreError, Tx};
use selvage_testkit::{Database, Engine, database, engines, eventually};
use tokio::sync::Notify;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(20);

struct Migrator;
struct Table;
struct Numbers;
struct Lanes;

impl MigrationName for Table {
    fn name(&self) -> &str {
        "m1_outbox"
    }
}

#[async_trait]
impl MigrationTrait for Table {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        selvage_outbox::create_table(manager).await
    }
}

impl MigrationName for Numbers {
    fn name(&self) -> &str {
        "m2_numbers"
    }
}

#[async_trait]
impl MigrationTrait for Numbers {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        selvage_outbox::add_numbers(manager).await
    }
}

impl MigrationName for Lanes {
    fn name(&self) -> &str {
        "m3_lanes"
    }
}

#[async_trait]
impl MigrationTrait for Lanes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        selvage_outbox::add_lanes(manager).await
    }
}

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Table), Box::new(Numbers), Box::new(Lanes)]
    }
}

/// The schema before messages were marked that stand behind others.
struct Unmarked;

impl MigratorTrait for Unmarked {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Table), Box::new(Numbers)]
    }
}

/// The schema before messages were numbered by key.
struct Unnumbered;

impl MigratorTrait for Unnumbered {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Table)]
    }
}

async fn pool(engine: Engine) -> (Pool, Database) {
    let database = database(engine).await;
    selvage_pool::migrate::up::<Migrator>(database.url()).await.expect("the table");
    let mut config = Config::new("outbox", database.url());
    // On a slow machine what was done is stored late: refused for the wait, it would be done again when the claim has ended.
    config.max_wait = LONG;
    (Pool::open(config).await.expect("a pool"), database)
}

async fn send(pool: &Pool, now_ms: i64, messages: &[(Uuid, &'static str, u8)]) {
    pool.run_tx("send", Class::Normal, |tx| async move {
        let outgoing = messages.iter().map(|&(key, topic, byte)| Outgoing { key, topic, payload: vec![byte] });
        enqueue(&tx, now_ms, outgoing).await
    })
    .await
    .expect("enqueued");
}

/// Writes down what it is asked to do, and fails when it is told to.
#[derive(Clone, Default)]
struct Recorder {
    done: Arc<Mutex<BTreeMap<Uuid, Vec<u8>>>>,
    settled: Arc<AtomicU32>,
    busy: Arc<Mutex<Vec<Uuid>>>,
    overlapped: Arc<AtomicBool>,
    failing: Arc<AtomicBool>,
    unsettling: Arc<AtomicBool>,
}

#[async_trait]
impl Handler for Recorder {
    type Lookups = ();
    type Outcome = u8;

    async fn handle(&self, message: &Message, (): &mut ()) -> Result<Option<u8>, Failure> {
        {
            let mut busy = self.busy.lock().unwrap();
            if busy.contains(&message.key) {
                self.overlapped.store(true, Ordering::SeqCst);
            }
            busy.push(message.key);
        }
        // Others get their chance to overlap.
        tokio::task::yield_now().await;
        self.busy.lock().unwrap().retain(|key| *key != message.key);
        match message.topic.as_str() {
            "never" => Err(Failure::Never("no use".into())),
            "fails" if self.failing.load(Ordering::SeqCst) => Err(Failure::Later("not now".into())),
            _ => {
                self.done.lock().unwrap().entry(message.key).or_default().push(message.payload[0]);
                Ok(Some(message.payload[0]).filter(|_| message.topic != "means nothing"))
            }
        }
    }

    async fn settle(&self, _tx: &Tx, _key: Uuid, done: &[u8]) -> Result<bool, StoreError> {
        if self.unsettling.load(Ordering::SeqCst) {
            return Err(DbErr::Custom("it can't be stored".into()).into());
        }
        self.settled.fetch_add(u32::try_from(done.len()).unwrap(), Ordering::SeqCst);
        Ok(false)
    }
}

#[tokio::test]
async fn a_keys_messages_are_done_in_order_by_whichever_relay() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, life, recorder) = (Clock::system(), Life::new(), Recorder::default());
        let keys: Vec<_> = (0..40).map(|_| Uuid::now_v7()).collect();
        for round in 0..5_u8 {
            for key in &keys {
                send(&pool, clock.now_ms(), &[(*key, "do", 2 * round), (*key, "do", 2 * round + 1)]).await;
            }
        }
        // On PostgreSQL as many relays as there are replicas; on SQLite there is one process.
        for _ in 0..if engine == Engine::Postgres { 3 } else { 1 } {
            let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
            life.spawn("relay", relay.run(life.clone()));
        }
        eventually(LONG, "all is done", async || backlog(&pool, i64::MAX).await.unwrap().waiting == 0).await;
        life.drain().await.unwrap();
        let done = recorder.done.lock().unwrap();
        assert_eq!(done.len(), 40);
        for order in done.values() {
            assert_eq!(*order, (0..10).collect::<Vec<_>>());
        }
        assert!(!recorder.overlapped.load(Ordering::SeqCst), "a key was in two hands");
        assert_eq!(recorder.settled.load(Ordering::SeqCst), 400);
    }
}

#[tokio::test]
async fn a_failure_holds_up_its_key_alone_and_is_tried_again_later() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder) = (Clock::standing_at(1_000_000), Recorder::default());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        let (bad, good) = (Uuid::now_v7(), Uuid::now_v7());
        recorder.failing.store(true, Ordering::SeqCst);
        send(&pool, clock.now_ms(), &[(bad, "do", 1), (bad, "fails", 2), (bad, "do", 3), (good, "do", 9)]).await;
        assert_eq!(relay.round().await.unwrap(), 2);
        assert_eq!(recorder.done.lock().unwrap().clone(), BTreeMap::from([(bad, vec![1]), (good, vec![9])]));
        assert_eq!(relay.round().await.unwrap(), 0, "it isn't due yet");
        let oldest = backlog(&pool, clock.now_ms()).await.unwrap().oldest_at;
        assert_eq!(oldest, Some(clock.now_ms()), "{engine:?}: the one behind it is");

        recorder.failing.store(false, Ordering::SeqCst);
        clock.advance_ms(999);
        assert_eq!(relay.round().await.unwrap(), 0, "{engine:?}: it isn't due yet");
        clock.advance_ms(251);
        assert_eq!(relay.round().await.unwrap(), 1);
        assert_eq!(recorder.done.lock().unwrap()[&bad], [1, 2, 3]);
        assert_eq!(backlog(&pool, i64::MAX).await.unwrap().waiting, 0);
    }
}

#[tokio::test]
async fn what_is_of_no_use_or_fails_too_often_is_a_dead_letter_that_can_be_retried() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder) = (Clock::standing_at(1_000_000), Recorder::default());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        let (useless, stubborn) = (Uuid::now_v7(), Uuid::now_v7());
        recorder.failing.store(true, Ordering::SeqCst);
        send(&pool, clock.now_ms(), &[(useless, "never", 1), (stubborn, "fails", 2), (stubborn, "do", 3)]).await;
        for _ in 0..MAX_ATTEMPTS {
            relay.round().await.unwrap();
            clock.advance_ms(75_000);
        }
        let dead = dead_letters(&pool, 0, 10).await.unwrap();
        let attempts: Vec<_> = dead.iter().map(|letter| (letter.key, letter.attempts)).collect();
        assert_eq!(attempts, [(useless, 1), (stubborn, MAX_ATTEMPTS)]);
        assert_eq!(dead[0].last_error.as_deref(), Some("no use"));
        assert_eq!(relay.round().await.unwrap(), 0, "what stands behind a dead letter waits for it");

        recorder.failing.store(false, Ordering::SeqCst);
        let (position, now) = (dead[1].position, clock.now_ms());
        let revive = |position| {
            let pool = pool.clone();
            async move {
                let pool = &pool;
                pool.run_tx("retry", Class::Normal, |tx| async move { selvage_outbox::retry(&tx, position, now).await })
                    .await
                    .unwrap()
            }
        };
        assert_eq!(revive(position).await.map(|letter| letter.attempts), Some(0));
        assert_eq!(revive(position).await, None, "it isn't dead any more");
        relay.round().await.unwrap();
        assert_eq!(recorder.done.lock().unwrap()[&stubborn], [2, 3]);
    }
}

#[tokio::test]
async fn a_claim_whose_relay_died_ends_by_itself() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder) = (Clock::standing_at(1_000_000), Recorder::default());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        // Dropped wherever it stands: what a killed process leaves behind.
        for polls in 0..200 {
            let key = Uuid::now_v7();
            send(&pool, clock.now_ms(), &[(key, "do", 1)]).await;
            let mut ended = false;
            {
                let mut round = std::pin::pin!(relay.round());
                for _ in 0..polls {
                    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                    ended = Future::poll(round.as_mut(), &mut context).is_ready();
                    if ended {
                        break;
                    }
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            }
            eventually(LONG, "it is done in the end", async || {
                clock.advance_ms(76_000);
                relay.round().await.unwrap();
                backlog(&pool, i64::MAX).await.unwrap().waiting == 0
            })
            .await;
            assert!(!recorder.done.lock().unwrap()[&key].is_empty(), "{engine:?}, {polls} polls");
            if ended {
                break;
            }
        }
        assert_eq!(backlog(&pool, i64::MAX).await.unwrap().dead, 0);
    }
}

#[tokio::test]
async fn a_dead_letter_that_is_discarded_holds_up_nothing_any_more() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder) = (Clock::standing_at(1_000_000), Recorder::default());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        let key = Uuid::now_v7();
        send(&pool, clock.now_ms(), &[(key, "never", 1), (key, "do", 2)]).await;
        relay.round().await.unwrap();
        let seen = backlog(&pool, i64::MAX).await.unwrap();
        let expected = Backlog { waiting: 1, dead: 1, oldest_at: None, waiting_since: None };
        assert_eq!(seen, expected, "{engine:?}: what is behind a dead letter is late through no fault of the relay's");
        let letter = dead_letters(&pool, 0, 10).await.unwrap().remove(0);
        let (pool, behind) = (&pool, letter.position + 1);
        let discard = async |position| {
            pool.run_tx("discard", Class::Normal, |tx| async move { discard(&tx, position).await }).await.unwrap()
        };
        assert_eq!(discard(behind).await, None, "{engine:?}: it isn't dead");
        assert_eq!(discard(letter.position).await, Some(letter.clone()), "{engine:?}");
        assert_eq!(discard(letter.position).await, None, "{engine:?}: it is gone");
        relay.round().await.unwrap();
        assert_eq!(recorder.done.lock().unwrap()[&key], [2], "{engine:?}");
        assert_eq!(backlog(pool, i64::MAX).await.unwrap(), Backlog::default(), "{engine:?}");
    }
}

#[tokio::test]
async fn a_dead_letter_is_given_one_attempt_more_and_is_dead_again_if_that_fails() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder) = (Clock::standing_at(1_000_000), Recorder::default());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        let (pool, key) = (&pool, Uuid::now_v7());
        let retry_once = async |key| {
            let now = clock.now_ms();
            pool.run_tx("retry_once", Class::Normal, |tx| async move { retry_once(&tx, key, now).await }).await.unwrap()
        };
        assert_eq!(retry_once(key).await, Waiting::Nothing, "{engine:?}");
        recorder.failing.store(true, Ordering::SeqCst);
        send(pool, clock.now_ms(), &[(key, "never", 1)]).await;
        assert_eq!(retry_once(key).await, Waiting::Relay, "{engine:?}: it isn't dead");
        relay.round().await.unwrap();
        send(pool, clock.now_ms(), &[(key, "do", 2)]).await;
        // One that is away now: it is not tried for another ten minutes before somebody sees it again.
        pool.execute_unprepared("UPDATE outbox_messages SET topic = 'fails' WHERE topic = 'never'").await.unwrap();
        for _ in 0..2 {
            let Waiting::Revived(letter) = retry_once(key).await else { panic!("{engine:?}: it was dead") };
            assert_eq!((letter.key, letter.payload.as_slice()), (key, &[1][..]));
            assert_eq!(retry_once(key).await, Waiting::Relay, "{engine:?}");
            assert_eq!(relay.round().await.unwrap(), 1);
            let seen = backlog(pool, i64::MAX).await.unwrap();
            assert_eq!((seen.waiting, seen.dead), (1, 1), "{engine:?}");
        }
        recorder.failing.store(false, Ordering::SeqCst);
        assert!(matches!(retry_once(key).await, Waiting::Revived(_)), "{engine:?}");
        relay.round().await.unwrap();
        assert_eq!(recorder.done.lock().unwrap()[&key], [1, 2], "{engine:?}");
    }
}

#[tokio::test]
async fn what_can_never_be_stored_is_a_dead_letter_too() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder) = (Clock::standing_at(1_000_000), Recorder::default());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        let key = Uuid::now_v7();
        recorder.unsettling.store(true, Ordering::SeqCst);
        send(&pool, clock.now_ms(), &[(key, "do", 1)]).await;
        for _ in 0..MAX_ATTEMPTS {
            assert_eq!(relay.round().await.unwrap(), 1, "{engine:?}");
            clock.advance_ms(16_000);
        }
        assert_eq!(backlog(&pool, i64::MAX).await.unwrap().dead, 0, "{engine:?}: the last attempt may have been slow");
        assert_eq!(relay.round().await.unwrap(), 0, "{engine:?}");
        let dead = dead_letters(&pool, 0, 10).await.unwrap();
        assert_eq!((dead.len(), dead[0].key, dead[0].attempts), (1, key, MAX_ATTEMPTS), "{engine:?}");
        assert_eq!(recorder.done.lock().unwrap()[&key].len(), usize::try_from(MAX_ATTEMPTS).unwrap());
    }
}

/// Lets each attempt in, and out when it is told to.
#[derive(Clone, Default)]
struct Gated {
    entered: Arc<AtomicU32>,
    doors: Arc<[Notify; 2]>,
    settled: Arc<Mutex<Vec<u32>>>,
}

#[async_trait]
impl Handler for Gated {
    type Lookups = ();
    type Outcome = u32;

    async fn handle(&self, message: &Message, (): &mut ()) -> Result<Option<u32>, Failure> {
        let attempt = self.entered.fetch_add(1, Ordering::SeqCst);
        self.doors[usize::try_from(attempt).unwrap()].notified().await;
        if attempt == 0 && message.topic == "fails" { Err(Failure::Never("no use".into())) } else { Ok(Some(attempt)) }
    }

    async fn settle(&self, _tx: &Tx, _key: Uuid, done: &[u32]) -> Result<bool, StoreError> {
        self.settled.lock().unwrap().extend(done);
        Ok(false)
    }
}

#[tokio::test]
async fn a_relay_that_is_later_than_its_claim_stores_nothing() {
    for engine in engines() {
        for topic in ["do", "fails"] {
            let (pool, _database) = pool(engine).await;
            let (clock, gated) = (Clock::standing_at(1_000_000), Gated::default());
            let relay = || {
                let relay = Relay::new(pool.clone(), gated.clone(), clock.clone(), Kick::default());
                tokio::spawn(async move { relay.with_lease(Duration::from_secs(60)).round().await })
            };
            let inside = async |attempts| {
                eventually(LONG, "it is being done", async || gated.entered.load(Ordering::SeqCst) == attempts).await;
            };
            send(&pool, clock.now_ms(), &[(Uuid::now_v7(), topic, 1)]).await;
            let late = relay();
            inside(1).await;
            clock.advance_ms(60_000);
            let next = relay();
            inside(2).await;
            gated.doors[0].notify_one();
            assert_eq!(late.await.unwrap().unwrap(), 1);
            assert_eq!(*gated.settled.lock().unwrap(), [0; 0], "{engine:?}, {topic}");
            assert_eq!(
                backlog(&pool, i64::MAX).await.unwrap().waiting,
                1,
                "{engine:?}, {topic}: the other is still at it"
            );
            gated.doors[1].notify_one();
            assert_eq!(next.await.unwrap().unwrap(), 1);
            assert_eq!(*gated.settled.lock().unwrap(), [1], "{engine:?}, {topic}");
            assert_eq!(backlog(&pool, i64::MAX).await.unwrap(), Backlog::default(), "{engine:?}, {topic}");
        }
    }
}

#[tokio::test]
async fn what_means_nothing_to_the_sender_is_not_settled_and_gone_with_one_statement() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder) = (Clock::standing_at(1_000_000), Recorder::default());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        for (messages, transactions) in [(vec!["means nothing"], 0), (vec!["means nothing", "means nothing"], 1)] {
            let key = Uuid::now_v7();
            let outgoing: Vec<_> = messages.iter().map(|topic| (key, *topic, 1)).collect();
            send(&pool, clock.now_ms(), &outgoing).await;
            let before = pool.snapshot();
            assert_eq!(relay.round().await.unwrap(), 1);
            let after = pool.snapshot();
            // The claim, the reading, the removal; several rows are removed all or none, in a transaction.
            let used = (after.statements - before.statements, after.transactions - before.transactions);
            assert_eq!(used, (3, transactions), "{engine:?} {messages:?}");
            assert_eq!(recorder.done.lock().unwrap()[&key].len(), messages.len());
        }
        assert_eq!(relay.round().await.unwrap(), 0, "{engine:?}: an idle look is one statement");
        assert_eq!(recorder.settled.load(Ordering::SeqCst), 0, "{engine:?}");
        assert_eq!(backlog(&pool, i64::MAX).await.unwrap(), Backlog::default(), "{engine:?}");
    }
}
