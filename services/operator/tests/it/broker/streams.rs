//! Streams, as the broker carries them.

use std::time::Duration;

use selvage_operator::broker::Offer;
use selvage_pool::sea_orm::ConnectionTrait as _;
use selvage_testkit::eventually;

use super::fixture::{LONG, Process, Script, database};

#[tokio::test]
async fn that_somebody_waits_is_reported_at_once_and_that_nobody_does_too() {
    let Some((database, _observer)) = database().await else { return };
    let script = Script::start().await;
    let process = Process::start("aaaa0001", database.url(), &script.address.to_string(), |settings| {
        // Only what happens makes it report.
        settings.report_every = Duration::from_secs(3600);
    });
    let pool = process.pool("main", 1, 2);
    script.grant(process.boot_id, (1, 1), 1).await;
    pool.reach().await.unwrap();
    let held = pool.hold().await.unwrap();
    let waiting = tokio::spawn({
        let pool = pool.named("star_get", selvage_pool::Class::Normal);
        async move { pool.execute_unprepared("SELECT 1").await }
    });
    let reported = || script.report(process.boot_id).pools.first().map(|pool| pool.waiting);
    eventually(LONG, "the broker knows that one waits", async || reported() == Some(1)).await;
    drop(held);
    waiting.await.unwrap().unwrap();
    eventually(LONG, "and that none does any more", async || reported() == Some(0)).await;
}

#[tokio::test]
async fn a_newer_stream_of_a_process_replaces_the_one_before() {
    let Some((database, _observer)) = database().await else { return };
    let script = Script::start().await;
    let at = script.address.to_string();
    let process = Process::start("aaaa0001", database.url(), &at, |_| {});
    let _pool = process.pool("main", 2, 8);
    script.grant(process.boot_id, (1, 1), 4).await;
    let first = script.with(process.boot_id, |known| known.stream).unwrap();
    // The same run of the same pod, as if the first stream hung.
    let again = Process::start("aaaa0001", database.url(), &at, |_| {});
    let _other = again.pool("main", 2, 8);
    let replaced = async || script.with(process.boot_id, |known| known.stream) > Some(first);
    eventually(LONG, "the newer one counts", replaced).await;
}

#[tokio::test]
async fn of_many_offers_the_newest_arrives() {
    let Some((database, _observer)) = database().await else { return };
    let script = Script::start().await;
    let process = Process::start("aaaa0001", database.url(), &script.address.to_string(), |_| {});
    let pool = process.pool("main", 2, 9);
    eventually(LONG, "it attaches", async || script.is_attached(process.boot_id)).await;
    for sequence in 1..1000 {
        script.offer(process.boot_id, Offer::Grant { id: (1, sequence), connections: 2 + (sequence % 7) as u32 });
    }
    script.grant(process.boot_id, (1, 1000), 5).await;
    assert_eq!(pool.snapshot().limit, 5);
}

#[tokio::test]
async fn the_token_file_is_read_anew_for_each_stream() {
    let Some((database, _observer)) = database().await else { return };
    let script = Script::start().await;
    let process = Process::start("aaaa0001", database.url(), &script.address.to_string(), |_| {});
    let right = std::fs::read_to_string(process.token_file()).unwrap();
    std::fs::write(process.token_file(), "not yet\n").unwrap();
    let _pool = process.pool("main", 2, 8);
    let waits = process.broker.waits_for();
    eventually(LONG, "it is refused", async || waits.borrow().contains("isn't reached")).await;
    assert!(!script.is_attached(process.boot_id));
    std::fs::write(process.token_file(), right).unwrap();
    script.grant(process.boot_id, (1, 1), 3).await;
}
