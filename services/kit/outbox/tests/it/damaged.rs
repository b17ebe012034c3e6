//! Messages that can't be read. Only SQLite has any: PostgreSQL's columns keep to their types.

use sea_orm::ConnectionTrait as _;
use selvage_context::clock::Clock;
use selvage_outbox::{Kick, Relay, backlog, dead_letters};
use selvage_testkit::Engine;
use uuid::Uuid;

use crate::{Recorder, pool, send};

#[tokio::test]
async fn a_message_that_cannot_be_read_is_a_dead_letter_and_holds_up_its_key_alone() {
    let (pool, _database) = pool(Engine::Sqlite).await;
    let (clock, recorder) = (Clock::standing_at(1_000_000), Recorder::default());
    let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
    let [first, second, good] = [(); 3].map(|()| Uuid::now_v7());
    send(&pool, 1, &[(first, "broken", 1), (first, "do", 2)]).await;
    send(&pool, 1, &[(second, "do", 1), (second, "broken", 2), (second, "do", 3)]).await;
    send(&pool, 1, &[(good, "do", 1)]).await;
    pool.execute_unprepared("UPDATE outbox_messages SET created_at = 'noon' WHERE topic = 'broken'").await.unwrap();
    // And one whose key can't be.
    send(&pool, 1, &[(Uuid::now_v7(), "keyless", 1)]).await;
    pool.execute_unprepared("UPDATE outbox_messages SET \"key\" = 'nonsense' WHERE topic = 'keyless'").await.unwrap();
    for _ in 0..3 {
        relay.round().await.unwrap();
        clock.advance_ms(61_000);
    }
    let done = recorder.done.lock().unwrap().clone();
    assert_eq!(done, [(second, vec![1]), (good, vec![1])].into());
    let seen = backlog(&pool, i64::MAX).await.unwrap();
    assert_eq!((seen.waiting, seen.dead), (2, 3), "what stands behind them waits");
    // They can't be listed, and hide no other.
    send(&pool, 1, &[(good, "never", 2)]).await;
    relay.round().await.unwrap();
    relay.round().await.unwrap();
    let dead: Vec<_> = dead_letters(&pool, 0, 10).await.unwrap().into_iter().map(|letter| letter.key).collect();
    assert_eq!(dead, [good]);
    // Mended, and retried, they are done.
    let mend = "UPDATE outbox_messages SET created_at = 1, topic = 'do', dead = FALSE WHERE topic = 'broken'";
    pool.execute_unprepared(mend).await.unwrap();
    clock.advance_ms(61_000);
    relay.round().await.unwrap();
    let done = recorder.done.lock().unwrap().clone();
    assert_eq!((&done[&first][..], &done[&second][..]), (&[1, 2][..], &[1, 2, 3][..]));
}
