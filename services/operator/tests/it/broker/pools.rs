//! What pools do with grants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use selvage_operator::broker::{Leadership, Offer};
use selvage_pool::sea_orm::{ConnectionTrait as _, DbErr};
use selvage_pool::{Class, Pool};
use selvage_testkit::{eventually, free_port};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fixture::{LONG, Process, Script, database, sessions};

/// Callers that use the pools without a pause until they are told to stop, and never fail.
struct Load {
    stop: Arc<AtomicBool>,
    callers: JoinSet<Result<(), DbErr>>,
}

impl Load {
    fn on(pools: &[&Pool]) -> Self {
        let (stop, mut callers) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for pool in pools.iter().flat_map(|pool| std::iter::repeat_n(*pool, 12)) {
            let (pool, stop) = (pool.named("load", Class::Normal), stop.clone());
            callers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    pool.execute_unprepared("SELECT pg_sleep(0.001)").await?;
                }
                Ok(())
            });
        }
        Self { stop, callers }
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.expect("no panic").expect("not one caller fails");
        }
    }
}

/// Looks at the server and at the pools each few milliseconds, until it is dropped.
struct Watched {
    stop: Arc<AtomicBool>,
    looking: tokio::task::JoinHandle<(u32, u32)>,
}

impl Watched {
    /// No more than `budget` connections are ever open, by the pools' own word; the server's sessions follow within a second.
    fn start(observer: Pool, pools: Vec<Pool>, budget: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let looking = tokio::spawn(async move {
            let (mut looks, mut most, mut over_since) = (0, 0, None);
            while !stopped.load(Ordering::Relaxed) {
                let open: u32 = pools.iter().map(|pool| pool.snapshot().open).sum();
                assert!(open <= budget, "{open} connections are open, {budget} may be");
                let seen = sessions(&observer).await;
                (looks, most) = (looks + 1, most.max(seen));
                if seen > budget {
                    let since: &mut Instant = over_since.get_or_insert_with(Instant::now);
                    assert!(since.elapsed() < Duration::from_secs(1), "{seen} sessions for a second, {budget} may be");
                } else {
                    over_since = None;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (looks, most)
        });
        Self { stop, looking }
    }

    /// How many looks there were, and how many sessions at the most.
    async fn end(self) -> (u32, u32) {
        self.stop.store(true, Ordering::Relaxed);
        self.looking.await.unwrap()
    }
}

#[tokio::test]
async fn two_processes_shrink_and_grow_under_load_and_never_have_more_than_they_are_granted() {
    const BUDGET: u32 = 13;
    let Some((database, observer)) = database().await else { return };
    let script = Script::start().await;
    let at = script.address.to_string();
    let (one, other) = (
        Process::start("aaaa0001", database.url(), &at, |_| {}),
        Process::start("bbbb0002", database.url(), &at, |_| {}),
    );
    let pools: Vec<Pool> =
        [&one, &other].iter().flat_map(|of| [of.pool("main", 2, 8), of.pool("relay", 1, 3)]).collect();
    eventually(LONG, "both attach", async || script.is_attached("aaaa0001") && script.is_attached("bbbb0002")).await;
    assert_eq!(script.with("aaaa0001", |known| (known.hello.floor(), known.hello.ceiling())), Some((3, 11)));
    assert_eq!(sessions(&observer).await, 0, "nothing is opened before the first grant");
    let watched = Watched::start(observer, pools.clone(), BUDGET);
    script.grant("aaaa0001", (1, 1), 10).await;
    script.grant("bbbb0002", (1, 2), 3).await;
    let load = Load::on(&pools.iter().collect::<Vec<_>>());
    for turn in 0..6_u64 {
        // Whoever shrinks goes first; the other one is granted more when that was complied with.
        let (gives, takes) = if turn % 2 == 0 { ("aaaa0001", "bbbb0002") } else { ("bbbb0002", "aaaa0001") };
        script.grant(gives, (1, 10 + 2 * turn), 3).await;
        script.grant(takes, (1, 11 + 2 * turn), 10).await;
        let grown = async || pools.iter().map(|pool| pool.snapshot().open).sum::<u32>() == BUDGET;
        eventually(LONG, "all that is granted is used", grown).await;
    }
    load.end().await;
    let told = async || {
        let pools = script.report("aaaa0001").pools;
        pools.iter().all(|pool| pool.uses.iter().any(|used| used.operation == "load" && used.count > 10))
    };
    eventually(LONG, "uses are reported by operation", told).await;
    let (looks, most) = watched.end().await;
    println!("{looks} looks, {most} sessions at the most, {BUDGET} granted");
    assert!(looks > 20 && most >= BUDGET - 1, "{looks} looks, {most} sessions");
}

#[tokio::test]
async fn an_older_grant_is_refused_by_its_epoch_and_by_its_sequence() {
    let Some((database, _observer)) = database().await else { return };
    let script = Script::start().await;
    let process = Process::start("aaaa0001", database.url(), &script.address.to_string(), |_| {});
    let pool = process.pool("main", 2, 8);
    script.grant(process.boot_id, (3, 5), 4).await;
    for older in [(2, 99), (3, 4)] {
        let reports = script.with(process.boot_id, |known| known.reports).unwrap();
        script.offer(process.boot_id, Offer::Grant { id: older, connections: 8 });
        let later = async || script.with(process.boot_id, |known| known.reports) > Some(reports + 1);
        eventually(LONG, "it has heard that", later).await;
        let report = script.report(process.boot_id);
        assert_eq!((report.known, report.complied, report.limit), (Some((3, 5)), Some((3, 5)), 4), "{older:?}");
        assert_eq!(pool.snapshot().limit, 4);
    }
    script.grant(process.boot_id, (4, 1), 6).await;
}

#[tokio::test]
async fn streams_begin_again_when_the_epoch_is_another_and_grants_of_the_one_before_are_refused() {
    let Some((database, _observer)) = database().await else { return };
    let script = Script::start().await;
    let process = Process::start("aaaa0001", database.url(), &script.address.to_string(), |_| {});
    let pool = process.pool("main", 2, 8);
    script.grant(process.boot_id, (1, 1), 4).await;
    let stream = script.with(process.boot_id, |known| known.stream).unwrap();
    script.leadership.send_replace(Leadership::Leading { epoch: 2 });
    let again = async || script.with(process.boot_id, |known| known.stream) > Some(stream);
    eventually(LONG, "it says hello again", again).await;
    eventually(LONG, "it has heard of it", async || script.report(process.boot_id).epoch == 2).await;
    // Newer than what it has, and of a leader that was.
    let reports = script.with(process.boot_id, |known| known.reports).unwrap();
    script.offer(process.boot_id, Offer::Grant { id: (1, 2), connections: 8 });
    let later = async || script.with(process.boot_id, |known| known.reports) > Some(reports + 1);
    eventually(LONG, "it has heard that", later).await;
    assert_eq!((script.report(process.boot_id).known, pool.snapshot().limit), (Some((1, 1)), 4));
    script.grant(process.boot_id, (2, 1), 6).await;
}

#[tokio::test]
async fn a_broker_that_is_killed_leaves_the_last_grant_and_the_next_one_is_told_of_it() {
    let Some((database, _observer)) = database().await else { return };
    let script = Script::start().await;
    let address = script.address;
    let process = Process::start("aaaa0001", database.url(), &address.to_string(), |settings| {
        settings.silence = Duration::from_millis(200);
    });
    let pool = process.pool("main", 2, 8);
    script.grant(process.boot_id, (1, 1), 5).await;
    drop(script);
    let load = Load::on(&[&pool]);
    eventually(LONG, "it works with what it has", async || pool.snapshot().open == 5).await;
    // Longer than the silence after which it would open its floor, had it nothing.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!((pool.snapshot().limit, pool.snapshot().open), (5, 5));
    let next = Script::start_at(address, Leadership::Leading { epoch: 2 }).await;
    eventually(LONG, "it says what it holds", async || next.report(process.boot_id).complied == Some((1, 1))).await;
    assert_eq!((next.report(process.boot_id).limit, next.report(process.boot_id).epoch), (5, 2));
    next.grant(process.boot_id, (2, 1), 7).await;
    load.end().await;
}

#[tokio::test]
async fn a_follower_sends_processes_to_the_leader_and_a_new_one_takes_them_over() {
    let Some((database, _observer)) = database().await else { return };
    let [first, second] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let leader_at = |address: SocketAddr| Leadership::Following(Some(address.to_string()));
    let one = Script::start_at(first, leader_at(second)).await;
    let other = Script::start_at(second, Leadership::Leading { epoch: 1 }).await;
    // It knows the follower alone.
    let process = Process::start("aaaa0001", database.url(), &first.to_string(), |_| {});
    let _pool = process.pool("main", 2, 8);
    other.grant(process.boot_id, (1, 1), 4).await;
    assert!(!one.is_attached(process.boot_id));
    // The lease goes over.
    other.leadership.send_replace(leader_at(first));
    one.leadership.send_replace(Leadership::Leading { epoch: 2 });
    one.grant(process.boot_id, (2, 1), 6).await;
    eventually(LONG, "the old leader has lost it", async || !other.is_attached(process.boot_id)).await;
}

#[tokio::test]
async fn without_any_broker_the_floors_are_opened_after_the_silence_and_no_more() {
    let Some((database, observer)) = database().await else { return };
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let silence = Duration::from_millis(400);
    let process = Process::start("aaaa0001", database.url(), &address.to_string(), |settings| {
        settings.silence = silence;
    });
    let began = Instant::now();
    let (main, relay) = (process.pool("main", 2, 8), process.pool("relay", 1, 3));
    let waits = process.broker.waits_for();
    main.allowed().await;
    assert!(began.elapsed() >= silence, "{:?}", began.elapsed());
    let why = waits.borrow().clone();
    assert!(why.contains(&address.to_string()) && why.contains("which isn't reached"), "{why}");
    let load = Load::on(&[&main, &relay]);
    eventually(LONG, "the floors are used", async || sessions(&observer).await == 3).await;
    assert_eq!((main.snapshot().limit, relay.snapshot().limit), (2, 1));
    // A broker comes, and takes over from there.
    let script = Script::start_at(address, Leadership::Leading { epoch: 1 }).await;
    eventually(LONG, "it says what it holds", async || script.report(process.boot_id).limit == 3).await;
    assert_eq!(script.report(process.boot_id).complied, None, "nobody granted that");
    script.grant(process.boot_id, (1, 1), 9).await;
    eventually(LONG, "the grant is used", async || sessions(&observer).await == 9).await;
    load.end().await;
}

#[tokio::test]
async fn a_broker_that_has_nothing_to_grant_is_waited_for_however_long_it_takes() {
    let Some((database, observer)) = database().await else { return };
    let script = Script::start().await;
    let process = Process::start("aaaa0001", database.url(), &script.address.to_string(), |settings| {
        settings.silence = Duration::from_millis(1000);
    });
    let pool = process.pool("main", 2, 8);
    eventually(LONG, "it attaches", async || script.is_attached(process.boot_id)).await;
    script.offer(process.boot_id, Offer::Pending("the budget shop/main is spent".into()));
    let waits = process.broker.waits_for();
    eventually(LONG, "that is said", async || waits.borrow().contains("the budget shop/main is spent")).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((pool.snapshot().limit, sessions(&observer).await), (0, 0), "a leader that says no is no silence");
    script.grant(process.boot_id, (1, 1), 2).await;
}

#[tokio::test]
async fn a_pool_that_joins_later_gets_its_share_and_one_with_a_debt_holds_up_the_others() {
    let Some((database, _observer)) = database().await else { return };
    let script = Script::start().await;
    let process = Process::start("aaaa0001", database.url(), &script.address.to_string(), |_| {});
    let main = process.pool("main", 2, 8);
    script.grant(process.boot_id, (1, 1), 8).await;
    main.reach().await.unwrap();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(main.hold().await.unwrap());
    }
    let relay = process.pool("relay", 1, 8);
    let known = async || script.with(process.boot_id, |known| known.hello.floor()) == Some(3);
    eventually(LONG, "the broker hears of it", known).await;
    // All are in use by the first pool, whose limit is lower now; the other one has nothing yet.
    eventually(LONG, "the first pool is to shrink", async || main.snapshot().limit < 8).await;
    assert_eq!((main.snapshot().open, relay.snapshot().limit), (8, 0));
    assert_eq!(script.report(process.boot_id).limit, 8);
    held.truncate(main.snapshot().limit as usize);
    eventually(LONG, "it has its share", async || relay.snapshot().limit > 0).await;
    let sum = || main.snapshot().limit + relay.snapshot().limit;
    eventually(LONG, "all is used", async || sum() == 8).await;
    assert_eq!(script.report(process.boot_id).complied, Some((1, 1)));
}
