//! Messages whose time is wrong, for somebody's clock was; and what a relay of another version left behind.

use sea_orm::ConnectionTrait as _;
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_outbox::{Kick, Relay, backlog};
use selvage_testkit::{engines, eventually};
use uuid::Uuid;

use crate::{LONG, Recorder, pool, send};

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn nothing_waits_for_a_clock_that_was_wrong_or_for_a_relay_that_is_gone() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (clock, recorder, life) = (Clock::system(), Recorder::default(), Life::new());
        let [sent, postponed, left] = [(); 3].map(|()| Uuid::now_v7());
        // A sender whose clock was an hour ahead; a relay whose was; and one that knew no marks, and did the first of two.
        send(&pool, clock.now_ms() + HOUR_MS, &[(sent, "do", 1), (sent, "do", 2)]).await;
        send(&pool, clock.now_ms(), &[(postponed, "do", 3)]).await;
        send(&pool, clock.now_ms(), &[(left, "do", 4), (left, "do", 5)]).await;
        let ahead = clock.now_ms() + HOUR_MS;
        for sql in [
            format!("UPDATE outbox_messages SET attempts = 4, next_at = {ahead} WHERE topic = 'do' AND NOT behind"),
            format!(
                "UPDATE outbox_messages SET attempts = 0 WHERE number = 1 AND created_at > {}",
                ahead - HOUR_MS / 2
            ),
            "DELETE FROM outbox_messages WHERE \"key\" IN (SELECT \"key\" FROM outbox_messages WHERE behind) \
             AND NOT behind AND attempts = 4"
                .to_owned(),
        ] {
            pool.execute_unprepared(&sql).await.unwrap();
        }
        let seen = backlog(&pool, clock.now_ms()).await.unwrap();
        assert_eq!(seen.waiting, 4, "{engine:?}");
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        life.spawn("relay", relay.run(life.clone()));
        eventually(LONG, "all is done", async || backlog(&pool, i64::MAX).await.unwrap().waiting == 0).await;
        life.drain().await.unwrap();
        let done = recorder.done.lock().unwrap().clone();
        assert_eq!(
            (&done[&sent][..], &done[&postponed][..], &done[&left][..]),
            (&[1, 2][..], &[3][..], &[5][..]),
            "{engine:?}"
        );
    }
}

#[tokio::test]
async fn a_message_that_is_not_due_has_an_age_too() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let now = 10 * HOUR_MS;
        send(&pool, now - HOUR_MS, &[(Uuid::now_v7(), "do", 1)]).await;
        pool.execute_unprepared(&format!("UPDATE outbox_messages SET next_at = {}", now + 1)).await.unwrap();
        let seen = backlog(&pool, now).await.unwrap();
        assert_eq!((seen.oldest_at, seen.waiting_since), (None, Some(now - HOUR_MS)), "{engine:?}");
        let seen = backlog(&pool, now + 1).await.unwrap();
        assert_eq!((seen.oldest_at, seen.waiting_since), (Some(now - HOUR_MS), Some(now - HOUR_MS)), "{engine:?}");
    }
}
