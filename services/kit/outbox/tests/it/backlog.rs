//! What a backlog costs: nothing that grows with it, and new messages pass it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_context::clock::Clock;
use selvage_outbox::{Failure, Handler, Kick, Message, Relay, backlog, dead_letters, discard};
use selvage_pool::{Class, Config, Pool, StoreError, Tx};
use selvage_testkit::{Database, database, engines, eventually};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Gated, LONG, Migrator, Recorder, pool, send};

const NOON: i64 = 1_000_000_000;
/// Of each order that waits: the message that failed, and those behind it.
const MESSAGES: usize = 5;

/// Writes down `orders` of five messages each: their first has failed three times and is due at `due_at`.
async fn postpone(pool: &Pool, orders: usize, due_at: i64) {
    let orders_of = match pool.backend() {
        DbBackend::Postgres => {
            "WITH orders AS MATERIALIZED (SELECT gen_random_uuid() AS id FROM generate_series(1, $1)), \
             five AS (SELECT generate_series(1, 5) AS n) "
        }
        _ => {
            "WITH RECURSIVE count(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM count WHERE i < $1), \
             orders AS MATERIALIZED (SELECT randomblob(16) AS id FROM count), \
             five(n) AS (VALUES (1), (2), (3), (4), (5)) "
        }
    };
    let byte = if pool.backend() == DbBackend::Postgres { "'\\x07'::bytea" } else { "x'07'" };
    let sql = format!(
        "{orders_of} INSERT INTO outbox_messages \
         (number, \"key\", topic, payload, created_at, next_at, attempts, behind) \
         SELECT n, id, 'means nothing', {byte}, 1, CASE WHEN n = 1 THEN $2 ELSE 1 END, \
           CASE WHEN n = 1 THEN 3 ELSE 0 END, n > 1 FROM orders CROSS JOIN five"
    );
    let values = [i32::try_from(orders).unwrap().into(), due_at.into()];
    pool.execute_raw(Statement::from_sql_and_values(pool.backend(), sql, values)).await.unwrap();
}

/// The shortest of many: what else the machine does can only lengthen them.
async fn shortest(mut measured: impl AsyncFnMut() -> Duration) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..25 {
        shortest = shortest.min(measured().await);
    }
    shortest
}

/// Lookups that take a moment to make: longer than a claim of no length.
struct Moment;

impl Default for Moment {
    fn default() -> Self {
        let began = Instant::now();
        while began.elapsed().is_zero() {}
        Self
    }
}

/// Has no time for any message, so that a round is a claim and the reading of what was claimed, and nothing else.
struct Hasty;

#[async_trait]
impl Handler for Hasty {
    type Lookups = Moment;
    type Outcome = ();

    async fn handle(&self, _message: &Message, _lookups: &mut Moment) -> Result<Option<()>, Failure> {
        unreachable!("there is no time for a message")
    }

    async fn settle(&self, _tx: &Tx, _key: Uuid, _outcomes: &[()]) -> Result<bool, StoreError> {
        unreachable!("no message is done")
    }
}

/// How long a relay takes to find nothing, to claim 32 new orders, and to claim 32 that were postponed and are due.
struct Costs {
    look: Duration,
    new: Duration,
    postponed: Duration,
}

async fn costs(pool: &Pool, waiting: usize) -> Costs {
    let clock = Clock::standing_at(NOON);
    let relay = Relay::new(pool.clone(), Hasty, clock.clone(), Kick::default()).with_lease(Duration::ZERO);
    // 25 times 32 of them are claimed.
    let orders = (waiting / MESSAGES).max(800);
    let timed = async |keys| {
        // What was claimed is due again at once, but later than what wasn't.
        clock.advance_ms(1);
        let began = Instant::now();
        assert_eq!(relay.round().await.unwrap(), keys);
        began.elapsed()
    };
    if waiting > 0 {
        postpone(pool, orders, NOON + 60_000).await;
    }
    let look = shortest(async || timed(0).await).await;
    let new = shortest(async || {
        let keys: Vec<_> = (0..32).map(|_| Uuid::now_v7()).collect();
        let five = keys.iter().flat_map(|key| [1, 2, 3, 4, 5].map(|byte| (*key, "means nothing", byte)));
        send(pool, clock.now_ms(), &five.collect::<Vec<_>>()).await;
        timed(32).await
    })
    .await;
    if waiting == 0 {
        postpone(pool, orders, NOON + 60_000).await;
    }
    clock.advance_ms(60_000);
    let postponed = shortest(async || timed(32).await).await;
    Costs { look, new, postponed }
}

async fn patient_pool(engine: selvage_testkit::Engine) -> (Pool, Database) {
    let database = database(engine).await;
    selvage_pool::migrate::up::<Migrator>(database.url()).await.unwrap();
    let mut config = Config::new("outbox", database.url());
    config.max_wait = LONG;
    // A million messages are written down by one statement.
    config.statement_timeout = Duration::from_secs(300);
    (Pool::open(config).await.unwrap(), database)
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the figures are for people")]
async fn a_relay_takes_as_long_with_a_backlog_as_without() {
    let is_full = std::env::var("SELVAGE_TESTS").is_ok_and(|form| form == "full");
    for engine in engines() {
        let (pool, _database) = patient_pool(engine).await;
        let without = costs(&pool, 0).await;
        for waiting in if is_full { vec![10_000, 1_000_000] } else { vec![10_000] } {
            let (pool, _database) = patient_pool(engine).await;
            let with = costs(&pool, waiting).await;
            for (what, with, without) in [
                ("a look that finds nothing", with.look, without.look),
                ("a claim of 32 new orders", with.new, without.new),
                ("a claim of 32 that were postponed", with.postponed, without.postponed),
            ] {
                eprintln!("{engine:?}, {what}: {with:.1?} with {waiting} waiting, {without:.1?} without");
                // Twice as deep an index, and a colder cache; a claim that looks through them takes 20 times as long with ten
                // thousand, and 500 times with a million.
                assert!(with < without * 5, "{engine:?}, {what}: {with:?} with {waiting} waiting, {without:?} without");
            }
        }
    }
}

#[tokio::test]
async fn new_messages_pass_a_backlog_that_is_due_and_the_backlog_drains_whatever_comes_in() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder) = (Clock::standing_at(NOON), Recorder::default());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        postpone(&pool, 200, NOON).await;
        let new = Uuid::now_v7();
        send(&pool, clock.now_ms(), &[(new, "do", 1)]).await;
        // Of two claims one prefers new messages.
        for _ in 0..2 {
            relay.round().await.unwrap();
        }
        assert!(recorder.done.lock().unwrap().contains_key(&new), "{engine:?}");
        // More new ones than there is room for, each time.
        let before = recorder.done.lock().unwrap().len();
        let mut sent = Vec::new();
        for _ in 0..4 {
            let keys: Vec<_> = (0..40).map(|_| Uuid::now_v7()).collect();
            send(&pool, clock.now_ms(), &keys.iter().map(|key| (*key, "do", 1)).collect::<Vec<_>>()).await;
            sent.extend(keys);
            assert_eq!(relay.round().await.unwrap(), 32, "{engine:?}");
        }
        let done = recorder.done.lock().unwrap().clone();
        let new = sent.iter().filter(|key| done.contains_key(key)).count();
        assert_eq!((new, done.len() - before - new), (64, 64), "{engine:?}: half and half");
    }
}

#[tokio::test]
async fn a_message_that_was_met_behind_one_that_is_being_done_follows_it_at_once() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, gated, key) = (Clock::standing_at(NOON), Gated::default(), Uuid::now_v7());
        let relay = || Relay::new(pool.clone(), gated.clone(), clock.clone(), Kick::default());
        send(&pool, clock.now_ms(), &[(key, "do", 1)]).await;
        let busy = relay();
        let busy = tokio::spawn(async move { busy.round().await });
        eventually(LONG, "it is being done", async || gated.entered.load(Ordering::SeqCst) == 1).await;
        send(&pool, clock.now_ms(), &[(key, "do", 2)]).await;
        clock.advance_ms(900);
        for _ in 0..2 {
            assert_eq!(relay().round().await.unwrap(), 0, "{engine:?}");
        }
        gated.doors[0].notify_one();
        assert_eq!(busy.await.unwrap().unwrap(), 1);
        gated.doors[1].notify_one();
        assert_eq!(relay().round().await.unwrap(), 1, "{engine:?}");
        assert_eq!(*gated.settled.lock().unwrap(), [0, 1], "{engine:?}");
    }
}

#[tokio::test]
async fn messages_that_come_one_by_one_behind_dead_letters_hold_up_nobody() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder) = (Clock::standing_at(NOON), Recorder::default());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        let keys: Vec<_> = (0..96).map(|_| Uuid::now_v7()).collect();
        send(&pool, clock.now_ms(), &keys.iter().map(|key| (*key, "never", 1)).collect::<Vec<_>>()).await;
        for _ in 0..3 {
            assert_eq!(relay.round().await.unwrap(), 32, "{engine:?}");
        }
        send(&pool, clock.now_ms(), &keys.iter().map(|key| (*key, "do", 2)).collect::<Vec<_>>()).await;
        clock.advance_ms(1_500);
        let new = Uuid::now_v7();
        send(&pool, clock.now_ms(), &[(new, "do", 1)]).await;
        // Three claims meet those that stand behind dead letters, and none meets them again for as long as they have waited.
        for _ in 0..3 {
            assert_eq!(relay.round().await.unwrap(), 0, "{engine:?}");
        }
        assert_eq!(relay.round().await.unwrap(), 1, "{engine:?}");
        assert!(recorder.done.lock().unwrap().contains_key(&new), "{engine:?}");
        clock.advance_ms(30_000);
        let next_at = "SELECT max(next_at) FROM outbox_messages WHERE NOT dead";
        let next_at = async || {
            let row = pool.query_one_raw(Statement::from_string(pool.backend(), next_at)).await.unwrap().unwrap();
            row.try_get_by_index::<i64>(0).unwrap()
        };
        assert_eq!(relay.round().await.unwrap(), 0);
        // As long again as it has waited.
        assert_eq!(next_at().await, clock.now_ms() + 31_500, "{engine:?}");
        let letter = dead_letters(&pool, 0, 1).await.unwrap().remove(0);
        let discarding = &pool;
        let position = letter.position;
        discarding
            .run_tx("discard", Class::Normal, |tx| async move { discard(&tx, position).await })
            .await
            .unwrap()
            .expect("it is dead");
        clock.advance_ms(61_000);
        for _ in 0..4 {
            relay.round().await.unwrap();
        }
        assert_eq!(recorder.done.lock().unwrap()[&letter.key], [2], "{engine:?}");
        let seen = backlog(&pool, i64::MAX).await.unwrap();
        assert_eq!((seen.waiting, seen.dead), (95, 95), "{engine:?}");
        assert_eq!(recorder.settled.load(Ordering::SeqCst), 2, "{engine:?}");
    }
}
