//! The relay at work: how much it takes on, how it is woken, what it tells of itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_context::deadline;
use selvage_outbox::{Failure, Handler, Kick, Message, Outgoing, Relay, backlog, dead_letters, enqueue};
use selvage_pool::{Config, Pool, StoreError, Tx};
use selvage_testkit::{Engine, engines, eventually};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{LONG, Recorder, pool, send};

/// Keeps everything that comes until it is let go, and counts how much is inside.
#[derive(Clone)]
struct Crowd {
    inside: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
    door: Arc<Semaphore>,
}

#[async_trait]
impl Handler for Crowd {
    type Lookups = ();
    type Outcome = ();

    async fn handle(&self, _message: &Message, (): &mut ()) -> Result<Option<()>, Failure> {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.door.acquire().await.unwrap().forget();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Ok(None)
    }

    async fn settle(&self, _tx: &Tx, _key: Uuid, _outcomes: &[()]) -> Result<bool, StoreError> {
        unreachable!("no message means anything")
    }
}

#[tokio::test]
async fn a_relay_works_at_thirty_two_keys_at_once_and_no_more() {
    let (pool, _database) = pool(Engine::Sqlite).await;
    let crowd = Crowd { inside: Arc::default(), most: Arc::default(), door: Arc::new(Semaphore::new(0)) };
    let (clock, life) = (Clock::standing_at(1_000_000), Life::new());
    let messages: Vec<_> = (0..100).map(|_| (Uuid::now_v7(), "do", 1)).collect();
    send(&pool, clock.now_ms(), &messages).await;
    let lease = Duration::from_secs(3_600);
    let relay = Relay::new(pool.clone(), crowd.clone(), clock.clone(), Kick::default()).with_lease(lease);
    life.spawn("relay", relay.run(life.clone()));
    let inside = async |count| {
        eventually(LONG, "so many are inside", async || crowd.inside.load(Ordering::SeqCst) == count).await;
    };
    inside(32).await;
    // It takes on no more before half of them are done, and then as many as there is room for.
    crowd.door.add_permits(15);
    inside(17).await;
    crowd.door.add_permits(1);
    inside(32).await;
    crowd.door.add_permits(1_000);
    eventually(LONG, "all is done", async || backlog(&pool, i64::MAX).await.unwrap().waiting == 0).await;
    assert_eq!(crowd.most.load(Ordering::SeqCst), 32);
    life.drain().await.unwrap();
}

#[tokio::test]
async fn what_is_under_way_when_the_relay_is_to_end_is_finished() {
    let (pool, _database) = pool(Engine::Sqlite).await;
    let crowd = Crowd { inside: Arc::default(), most: Arc::default(), door: Arc::new(Semaphore::new(0)) };
    let (clock, life) = (Clock::standing_at(1_000_000), Life::new());
    send(&pool, clock.now_ms(), &[(Uuid::now_v7(), "do", 1)]).await;
    let relay = Relay::new(pool.clone(), crowd.clone(), clock, Kick::default());
    let running = tokio::spawn(relay.with_lease(Duration::from_secs(3_600)).run(life.clone()));
    eventually(LONG, "it is being done", async || crowd.inside.load(Ordering::SeqCst) == 1).await;
    life.end();
    crowd.door.add_permits(1);
    running.await.unwrap();
    assert_eq!(backlog(&pool, i64::MAX).await.unwrap().waiting, 0);
}

/// Looks up once, enqueues what follows, and notes how long a message has.
#[derive(Clone, Default)]
struct Chain {
    lookups: Arc<Mutex<Vec<u32>>>,
    left: Arc<Mutex<Vec<Duration>>>,
}

#[async_trait]
impl Handler for Chain {
    type Lookups = u32;
    type Outcome = ();

    async fn handle(&self, message: &Message, lookups: &mut u32) -> Result<Option<()>, Failure> {
        *lookups += 1;
        self.lookups.lock().unwrap().push(*lookups);
        self.left.lock().unwrap().extend(deadline::remaining());
        Ok((message.topic == "begins").then_some(()))
    }

    async fn settle(&self, tx: &Tx, key: Uuid, outcomes: &[()]) -> Result<bool, StoreError> {
        let follows = outcomes.iter().map(|()| Outgoing { key, topic: "follows", payload: Vec::new() });
        enqueue(tx, 1_000_000, follows).await?;
        Ok(true)
    }
}

#[tokio::test]
async fn what_a_message_looked_up_the_others_of_its_claim_have_and_each_has_a_third_of_the_lease() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (chain, clock) = (Chain::default(), Clock::standing_at(1_000_000));
        let relay = Relay::new(pool.clone(), chain.clone(), clock.clone(), Kick::default());
        let relay = relay.with_lease(Duration::from_secs(300));
        let key = Uuid::now_v7();
        send(&pool, clock.now_ms(), &[(key, "begins", 1), (key, "do", 1), (key, "do", 1)]).await;
        relay.round().await.unwrap();
        // What follows is another claim's.
        relay.round().await.unwrap();
        assert_eq!(*chain.lookups.lock().unwrap(), [1, 2, 3, 1], "{engine:?}");
        let left = chain.left.lock().unwrap().clone();
        let third = Duration::from_secs(90)..=Duration::from_secs(100);
        assert!(left.len() == 4 && left.iter().all(|left| third.contains(left)), "{engine:?}: {left:?}");
        assert_eq!(backlog(&pool, i64::MAX).await.unwrap().waiting, 0, "{engine:?}");
    }
}

/// Takes as long for each message as it is told to, by the clock that the lease goes by.
#[derive(Clone)]
struct Slow {
    takes: Duration,
    done: Arc<Mutex<Vec<u8>>>,
}

#[async_trait]
impl Handler for Slow {
    type Lookups = ();
    type Outcome = ();

    async fn handle(&self, message: &Message, (): &mut ()) -> Result<Option<()>, Failure> {
        tokio::time::pause();
        tokio::time::advance(self.takes).await;
        tokio::time::resume();
        self.done.lock().unwrap().push(message.payload[0]);
        Ok(None)
    }

    async fn settle(&self, _tx: &Tx, _key: Uuid, _outcomes: &[()]) -> Result<bool, StoreError> {
        unreachable!("no message means anything")
    }
}

#[tokio::test]
async fn a_message_that_could_end_after_two_thirds_of_the_lease_waits_for_the_next_claim() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (slow, clock) =
            (Slow { takes: Duration::from_secs(60), done: Arc::default() }, Clock::standing_at(1_000_000));
        let relay = Relay::new(pool.clone(), slow.clone(), clock.clone(), Kick::default());
        let relay = relay.with_lease(Duration::from_secs(300));
        let key = Uuid::now_v7();
        send(&pool, clock.now_ms(), &[(key, "do", 1), (key, "do", 2), (key, "do", 3), (key, "do", 4)]).await;
        // The third would begin when 120 s are spent, and may take 100 s: more than 200 s.
        assert_eq!(relay.round().await.unwrap(), 1);
        assert_eq!(*slow.done.lock().unwrap(), [1, 2], "{engine:?}");
        assert_eq!(backlog(&pool, i64::MAX).await.unwrap().waiting, 2, "{engine:?}");
        assert_eq!(relay.round().await.unwrap(), 1);
        assert_eq!(*slow.done.lock().unwrap(), [1, 2, 3, 4], "{engine:?}");
    }
}

/// Lookups that take longer to make than a claim of no length.
struct Long;

impl Default for Long {
    fn default() -> Self {
        std::thread::sleep(Duration::from_millis(1));
        Self
    }
}

struct Late;

#[async_trait]
impl Handler for Late {
    type Lookups = Long;
    type Outcome = ();

    async fn handle(&self, _message: &Message, _lookups: &mut Long) -> Result<Option<()>, Failure> {
        unreachable!("there is no time for a message")
    }

    async fn settle(&self, _tx: &Tx, _key: Uuid, _outcomes: &[()]) -> Result<bool, StoreError> {
        unreachable!("no message is done")
    }
}

#[tokio::test]
async fn a_claim_that_is_over_before_its_first_message_begins_changes_nothing() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let clock = Clock::standing_at(1_000_000);
        let relay = Relay::new(pool.clone(), Late, clock.clone(), Kick::default()).with_lease(Duration::ZERO);
        send(&pool, clock.now_ms(), &[(Uuid::now_v7(), "do", 1)]).await;
        assert_eq!(relay.round().await.unwrap(), 1, "{engine:?}");
        let seen = backlog(&pool, i64::MAX).await.unwrap();
        assert_eq!((seen.waiting, seen.dead), (1, 0), "{engine:?}");
    }
}

#[tokio::test]
async fn attempts_are_counted_whether_a_message_bears_the_claim_or_follows_in_it() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (recorder, clock) = (Recorder::default(), Clock::standing_at(1_000_000));
        let relay = Relay::new(pool.clone(), recorder, clock.clone(), Kick::default());
        let (bearer, follower) = (Uuid::now_v7(), Uuid::now_v7());
        send(&pool, clock.now_ms(), &[(bearer, "never", 1), (follower, "do", 1), (follower, "never", 2)]).await;
        assert_eq!(relay.round().await.unwrap(), 2, "{engine:?}");
        let dead = dead_letters(&pool, 0, 10).await.unwrap();
        let attempts: Vec<_> = dead.iter().map(|letter| (letter.key, letter.attempts)).collect();
        assert_eq!(attempts, [(bearer, 1), (follower, 1)], "{engine:?}");
    }
}

struct Measured {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl Measured {
    /// The numbers with this name, by the values of their attributes.
    fn of(&self, name: &str) -> BTreeMap<String, u64> {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let mut seen = BTreeMap::new();
        for metrics in self.exporter.get_finished_metrics().unwrap() {
            for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics).filter(|metric| metric.name() == name)
            {
                let mut note = |attributes: Vec<String>, value| seen.insert(attributes.join(" "), value);
                match metric.data() {
                    AggregatedMetrics::U64(MetricData::Sum(sum)) => sum.data_points().for_each(|point| {
                        note(point.attributes().map(|pair| pair.value.to_string()).collect(), point.value());
                    }),
                    AggregatedMetrics::U64(MetricData::Gauge(gauge)) => gauge.data_points().for_each(|point| {
                        note(point.attributes().map(|pair| pair.value.to_string()).collect(), point.value());
                    }),
                    _ => {}
                }
            }
        }
        seen
    }
}

#[tokio::test]
async fn a_relay_tells_what_became_of_messages_and_how_much_waits() {
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).with_interval(Duration::from_secs(3_600)).build();
    let measured = Measured { provider: SdkMeterProvider::builder().with_reader(reader).build(), exporter };
    // No other test of this program looks at the metrics.
    opentelemetry::global::set_meter_provider(measured.provider.clone());
    let (_, database) = pool(Engine::Sqlite).await;
    // Its own name and topic tell this outbox from those of other tests.
    let pool = Pool::open(Config::new("told", database.url())).await.unwrap();
    let (clock, recorder, life) = (Clock::standing_at(1_000_000), Recorder::default(), Life::new());
    recorder.failing.store(true, Ordering::SeqCst);
    let keys: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
    let messages = [
        (keys[0], "counted", 1),
        (keys[0], "counted", 2),
        (keys[1], "fails", 3),
        (keys[2], "never", 4),
        (keys[2], "counted", 5),
    ];
    send(&pool, clock.now_ms(), &messages).await;
    let relay = Relay::new(pool.clone(), recorder, clock.clone(), Kick::default());
    let done = |word: &str| {
        let outcomes = ["done", "later", "dead"];
        let seen = measured.of("selvage.outbox.done");
        outcomes.map(|outcome| {
            let of = |(attributes, _): &(&String, &u64)| attributes.contains(word) && attributes.contains(outcome);
            seen.iter().find(of).map_or(0, |(_, count)| *count)
        })
    };
    life.spawn("relay", relay.run(life.clone()));
    eventually(LONG, "what became of them is counted", async || {
        done("counted")[0] == 2 && done("fails")[1] >= 1 && done("never")[2] >= 1
    })
    .await;
    // Three wait: one for its next attempt, one for another, and one is given up.
    clock.advance_ms(7_000);
    eventually(LONG, "what waits is counted", async || {
        let number = |name| measured.of(name).get("told").copied();
        number("selvage.outbox.waiting") == Some(2) && number("selvage.outbox.dead") == Some(1)
    })
    .await;
    // The oldest that is due and not behind a dead letter is as old as the clock says; it fails again and again.
    eventually(LONG, "its age is told", async || {
        clock.advance_ms(100_000);
        let is_told =
            |name| measured.of(name).get("told").is_some_and(|seconds: &u64| (100..1_000_000).contains(seconds));
        is_told("selvage.outbox.lag") && is_told("selvage.outbox.age")
    })
    .await;
    life.drain().await.unwrap();
}
