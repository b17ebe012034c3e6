//! Faults on real pools: what each does, and that nothing is left of it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use selvage_context::clock::Clock;
use selvage_faults::{Ask, Fault, Faults, Kind, MAX_ACTIVE, Policy, Refused};
use selvage_pool::sea_orm::ConnectionTrait as _;
use selvage_pool::{Config, Pool};
use selvage_testkit::{Database, Engine, database, engines, eventually};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// On a machine that may be busy.
const LONG: Duration = Duration::from_secs(20);
const NOON: i64 = 1_795_521_600_000;

struct Shop {
    faults: Faults,
    pool: Pool,
    clock: Clock,
    _database: Database,
}

async fn shop(engine: Engine, tune: impl FnOnce(&mut Config)) -> Shop {
    let database = database(engine).await;
    let mut config = Config::new("stars", database.url());
    (config.limit, config.ceiling) = (3, Some(6));
    config.max_wait = Duration::from_millis(300);
    config.statement_timeout = Duration::from_secs(2);
    config.long_lease = Duration::from_millis(200);
    tune(&mut config);
    let pool = Pool::open(config).await.unwrap();
    pool.execute_unprepared("CREATE TABLE star (id INTEGER PRIMARY KEY)").await.unwrap();
    let clock = Clock::standing_at(NOON);
    let faults = Faults::new(Policy::Allow, clock.clone());
    faults.add_pool(pool.clone(), Some("star"));
    Shop { faults, pool, clock, _database: database }
}

impl Shop {
    fn start(&self, ask: Ask) -> Fault {
        self.faults.start(Ask { by: "tester".to_owned(), ..ask }).unwrap()
    }

    /// Nothing of any fault is left.
    async fn is_well_again(&self) {
        assert!(self.faults.active().is_empty());
        eventually(LONG, "nobody holds anything", async || {
            let seen = self.pool.snapshot();
            (seen.in_use, seen.waiting, seen.stranded) == (0, 0, 0)
        })
        .await;
        assert_eq!(self.pool.snapshot().limit, 3);
        self.pool.execute_unprepared("DELETE FROM star").await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_disturbed_where_it_isnt_allowed() {
    for faults in [Faults::off(), Faults::new(Policy::Off, Clock::standing_at(NOON))] {
        let ask = Ask::new(Kind::CpuBurn, "", SECOND);
        assert_eq!(faults.start(ask), Err(Refused::NotAllowed));
        assert!(faults.active().is_empty());
    }
    assert!("on".parse::<Policy>().is_err());
    assert_eq!("allow".parse(), Ok(Policy::Allow));
}

#[tokio::test]
async fn a_fault_ends_by_the_clock_and_by_the_time_that_passes() {
    let shop = shop(Engine::Sqlite, |_| {}).await;
    let fault = shop.start(Ask::new(Kind::LeakedConnection, "stars", MINUTE));
    assert_eq!((fault.start_ms, fault.end_ms, fault.count), (NOON, NOON + 60_000, 1));
    eventually(LONG, "it holds one", async || shop.pool.snapshot().in_use == 1).await;
    shop.clock.advance_ms(59_999);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(shop.faults.active(), [fault]);
    shop.clock.advance_ms(1);
    eventually(LONG, "its minute is over", async || shop.faults.active().is_empty()).await;
    shop.is_well_again().await;
    // The clock stands still, and a second passes.
    shop.start(Ask::new(Kind::LeakedConnection, "stars", SECOND));
    let began = Instant::now();
    eventually(LONG, "its second is over", async || shop.faults.active().is_empty()).await;
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    shop.is_well_again().await;
}

#[tokio::test]
async fn held_connections_leave_none_and_somebody_waits() {
    for engine in engines() {
        let shop = shop(engine, |config| config.long_lease = LONG).await;
        let fault = shop.start(Ask::new(Kind::HeldConnection, "stars", MINUTE));
        assert_eq!(fault.count, 5, "the limit, and two that wait");
        eventually(LONG, "all are in use, and one waits in vain", async || {
            let seen = shop.pool.snapshot();
            seen.in_use == seen.limit && seen.saturated
        })
        .await;
        assert!(shop.pool.waits().count() > 0);
        shop.faults.end(fault.id).unwrap();
        assert_eq!(shop.faults.end(fault.id), Err(Refused::Unknown));
        shop.is_well_again().await;
        assert_eq!(shop.pool.snapshot().long_leases, 0, "they gave them back in between");
    }
}

#[tokio::test]
async fn a_leak_is_long_held_by_name() {
    for engine in engines() {
        let shop = shop(engine, |_| {}).await;
        shop.start(Ask { count: 2, ..Ask::new(Kind::LeakedConnection, "stars", MINUTE) });
        eventually(LONG, "it shows", async || shop.pool.snapshot().long_held == 2).await;
        assert!(shop.pool.long_held().iter().all(|held| held.operation.name == "fault_leaked_connection"));
        assert!(!shop.pool.snapshot().saturated, "one is left");
        shop.faults.stop();
        assert_eq!(shop.faults.start(Ask::new(Kind::CpuBurn, "", SECOND)), Err(Refused::Stopping));
        shop.is_well_again().await;
    }
}

#[tokio::test]
async fn a_lock_keeps_writers_from_writing() {
    for engine in engines() {
        let shop = shop(engine, |_| {}).await;
        let fault = shop.start(Ask::new(Kind::LockHold, "stars", MINUTE));
        let write = async || shop.pool.execute_unprepared("INSERT INTO star VALUES (1)").await;
        eventually(LONG, "it locks", async || {
            let tried = tokio::time::timeout(Duration::from_millis(150), write()).await;
            shop.pool.execute_unprepared("DELETE FROM star").await.is_err() || !matches!(tried, Ok(Ok(_)))
        })
        .await;
        assert!(
            shop.pool.query_one_raw(select("SELECT count(*) FROM star", &shop.pool)).await.is_ok(),
            "reading goes on"
        );
        shop.faults.end(fault.id).unwrap();
        shop.is_well_again().await;
    }
}

fn select(sql: &str, pool: &Pool) -> selvage_pool::sea_orm::Statement {
    selvage_pool::sea_orm::Statement::from_string(pool.backend(), sql)
}

#[tokio::test]
async fn latency_delays_each_statement_and_what_was_before_comes_back() {
    for engine in engines() {
        let shop = shop(engine, |_| {}).await;
        let taken = async || {
            let began = Instant::now();
            shop.pool.query_all_raw(select("SELECT 1", &shop.pool)).await.unwrap();
            began.elapsed()
        };
        shop.pool.delay_statements(Duration::from_millis(1));
        let ask =
            |ms| Ask { delay: Some(Duration::from_millis(ms)), ..Ask::new(Kind::DatabaseLatency, "stars", MINUTE) };
        let first = shop.start(ask(900));
        // The same again: the first is over, and what was there before it is what comes back.
        let second = shop.start(ask(300));
        assert_eq!(shop.faults.end(first.id), Err(Refused::Unknown));
        assert!(taken().await >= Duration::from_millis(300));
        // Another kind beside it.
        let held = shop.start(Ask { count: 1, ..Ask::new(Kind::HeldConnection, "stars", MINUTE) });
        shop.faults.end(second.id).unwrap();
        assert_eq!(shop.faults.active(), std::slice::from_ref(&held));
        assert_eq!(shop.pool.delay_statements(Duration::ZERO), Duration::from_millis(1));
        assert!(taken().await < Duration::from_millis(300));
        shop.faults.end(held.id).unwrap();
        shop.is_well_again().await;
    }
}

#[tokio::test]
async fn slow_statements_take_their_time() {
    for engine in engines() {
        let shop = shop(engine, |_| {}).await;
        let delay = Some(Duration::from_millis(400));
        shop.start(Ask { count: 2, delay, ..Ask::new(Kind::SlowQuery, "stars", MINUTE) });
        eventually(LONG, "they hold for long", async || {
            shop.pool.long_held().iter().any(|held| held.operation.name == "fault_slow_query")
        })
        .await;
        shop.faults.stop();
        shop.is_well_again().await;
    }
}

#[tokio::test]
async fn a_limit_comes_back_unless_somebody_has_set_another() {
    let shop = shop(Engine::Sqlite, |_| {}).await;
    let ask = |count| Ask { count, ..Ask::new(Kind::PoolLimit, "stars", MINUTE) };
    for wrong in [0, 1, 7] {
        match shop.faults.start(ask(wrong)) {
            Err(Refused::Wrong { field: "count", description }) => {
                assert!(description.contains("floor 2"), "{description}");
            }
            other => panic!("{other:?}"),
        }
    }
    let fault = shop.start(ask(6));
    assert_eq!(shop.pool.snapshot().limit, 6);
    let again = shop.start(ask(2));
    assert_eq!(shop.pool.snapshot().limit, 2);
    assert_eq!(shop.faults.end(fault.id), Err(Refused::Unknown));
    shop.faults.end(again.id).unwrap();
    shop.is_well_again().await;
    let fault = shop.start(ask(6));
    assert_eq!(shop.pool.set_limit(4), 6, "the fault goes on");
    shop.faults.end(fault.id).unwrap();
    assert_eq!(shop.pool.snapshot().limit, 4);
    // Who sets the very limit that the fault has set means it.
    let fault = shop.start(ask(6));
    shop.pool.set_limit(6);
    shop.faults.end(fault.id).unwrap();
    assert_eq!(shop.pool.snapshot().limit, 6);
}

#[tokio::test]
async fn a_dependency_fails_or_is_slow() {
    let faults = Faults::new(Policy::Allow, Clock::standing_at(NOON));
    let weather = faults.dependency("weather");
    assert!(weather.pass().await.is_ok());
    let failing = faults.start(Ask::new(Kind::DependencyFailing, "weather", MINUTE)).unwrap();
    assert_eq!(failing.name(), "weather_failing");
    assert!(faults.dependency("weather").pass().await.unwrap_err().to_string().contains("'weather'"));
    faults.end(failing.id).unwrap();
    let delay = Some(Duration::from_millis(300));
    let slow = faults.start(Ask { delay, ..Ask::new(Kind::DependencySlow, "weather", MINUTE) }).unwrap();
    let began = Instant::now();
    weather.pass().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    faults.end(slow.id).unwrap();
    for target in ["", "post", "stars"] {
        let asked = faults.start(Ask::new(Kind::DependencySlow, target, MINUTE));
        assert!(matches!(asked, Err(Refused::Wrong { field: "target", .. })), "{asked:?}");
    }
}

#[tokio::test]
async fn a_processor_is_busy_for_its_share_and_the_runtime_goes_on() {
    const SHARE: f64 = 0.5;
    let faults = Faults::new(Policy::Allow, Clock::standing_at(NOON));
    assert_eq!(burning(), [], "no other test of this process has anything compute");
    let fault = faults.start(Ask { share_percent: 50, ..Ask::new(Kind::CpuBurn, "", MINUTE) }).unwrap();
    assert_eq!(fault.count, 1);
    // This runtime has one thread: its timers go on only if what computes has a thread of its own.
    eventually(LONG, "a thread computes", async || burning().len() == 1).await;
    let (earlier, before, began) = (Instant::now(), burning()[0], Instant::now());
    eventually(LONG, "it has computed for a second", async || burning()[0].running - before.running >= SECOND).await;
    let at_least = began.elapsed().as_secs_f64();
    let after = burning()[0];
    let at_most = earlier.elapsed().as_secs_f64();
    let running = (after.running - before.running).as_secs_f64();
    let wanted = running + (after.waiting - before.waiting).as_secs_f64();
    // On a busy machine the thread gets less than it wants, so neither bound is on what others can take from it. It never
    // computes for more than its share: 0.05 is for the round that had begun when the time was read.
    assert!(running <= at_least * (SHARE + 0.05), "it computed for {running} s of {at_least} s");
    // It is ready to compute for all of its share: 0.2 allows each pause of 10 ms to be 13 ms too long.
    assert!(wanted >= at_most * (SHARE - 0.2), "it was ready to compute for {wanted} s of {at_most} s");
    faults.end(fault.id).unwrap();
    eventually(LONG, "nothing computes any more", async || burning().is_empty()).await;
    faults.start(Ask::new(Kind::CpuBurn, "", SECOND)).unwrap();
    eventually(LONG, "it ends by itself", async || faults.active().is_empty() && burning().is_empty()).await;
    assert!(faults.start(Ask::new(Kind::CpuBurn, "stars", SECOND)).is_err(), "it has no target");
}

/// What a thread has had of the processors, and how long it was ready to compute while others did.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Computed {
    running: Duration,
    waiting: Duration,
}

/// The threads of this process that a fault has compute.
fn burning() -> Vec<Computed> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    // A thread that ends meanwhile has no files any more.
    let named = threads
        .filter(|thread| std::fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim_end() == "fault-cpu"));
    let times = named.filter_map(|thread| std::fs::read_to_string(thread.join("schedstat")).ok());
    let computed = times.map(|times| {
        let mut nanoseconds = times.split_whitespace().map(|number| Duration::from_nanos(number.parse().unwrap()));
        Computed { running: nanoseconds.next().unwrap(), waiting: nanoseconds.next().unwrap() }
    });
    computed.collect()
}

#[tokio::test]
async fn there_are_not_too_many_and_each_target_is_known() {
    let faults = Faults::new(Policy::Allow, Clock::standing_at(NOON));
    const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    for name in NAMES {
        faults.dependency(name);
    }
    let kinds = [Kind::DependencyFailing, Kind::DependencySlow];
    let mut asks = NAMES.iter().flat_map(|name| kinds.map(|kind| Ask::new(kind, *name, MINUTE)));
    for ask in asks.by_ref().take(MAX_ACTIVE) {
        faults.start(ask).unwrap();
    }
    assert_eq!(faults.start(asks.next().unwrap()), Err(Refused::Full));
    assert!(faults.start(Ask::new(Kind::DependencySlow, "a", MINUTE)).is_ok(), "the same again takes no further place");
    let shop = shop(Engine::Sqlite, |_| {}).await;
    shop.faults.add_pool(shop.pool.clone(), None);
    match shop.faults.start(Ask::new(Kind::SlowQuery, "planets", SECOND)) {
        Err(Refused::Wrong { field: "target", description }) => {
            assert!(description.contains("stars") && !description.contains("planets"), "{description}");
        }
        other => panic!("{other:?}"),
    }
}
