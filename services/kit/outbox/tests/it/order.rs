//! The order of a key's messages: by their numbers, whatever the database's sequence hands out.

use sea_orm::{ConnectionTrait as _, Statement};
use selvage_context::clock::Clock;
use selvage_outbox::{Kick, Relay, backlog, dead_letters};
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, database, engines};
use uuid::Uuid;

use crate::{Migrator, Recorder, Unnumbered, pool, send};

/// Enqueues as a version did that didn't number messages.
async fn send_unnumbered(pool: &Pool, key: Uuid, payloads: &[u8]) {
    for payload in payloads {
        let sql =
            "INSERT INTO outbox_messages (\"key\", topic, payload, created_at, next_at) VALUES ($1, 'do', $2, 1, 1)";
        let values = [key.into(), vec![*payload].into()];
        pool.execute_raw(Statement::from_sql_and_values(pool.backend(), sql, values)).await.unwrap();
    }
}

async fn numbers(pool: &Pool, key: Uuid) -> Vec<Option<i64>> {
    let sql = "SELECT number FROM outbox_messages WHERE \"key\" = $1 ORDER BY position";
    let rows = pool.query_all_raw(Statement::from_sql_and_values(pool.backend(), sql, [key.into()])).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// All that is due is done; returns the payloads that were done of `key`, in order.
async fn relayed(pool: &Pool, key: Uuid) -> Vec<u8> {
    let recorder = Recorder::default();
    let relay = Relay::new(pool.clone(), recorder.clone(), Clock::standing_at(1_000_000), Kick::default());
    relay.round().await.unwrap();
    assert_eq!(backlog(pool, i64::MAX).await.unwrap().waiting, 0);
    let done = recorder.done.lock().unwrap();
    done[&key].clone()
}

#[tokio::test]
async fn messages_are_numbered_by_key() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (key, other) = (Uuid::now_v7(), Uuid::now_v7());
        send(&pool, 1, &[(key, "do", 1), (key, "do", 2)]).await;
        send(&pool, 1, &[(other, "do", 1)]).await;
        send(&pool, 1, &[(key, "do", 3)]).await;
        assert_eq!(numbers(&pool, key).await, [Some(1), Some(2), Some(3)], "{engine:?}");
        assert_eq!(numbers(&pool, other).await, [Some(1)], "{engine:?}");
        send(&pool, 1, &[]).await;
        assert_eq!(relayed(&pool, key).await, [1, 2, 3], "{engine:?}");
    }
}

/// On CockroachDB and YugabyteDB each node hands out positions of its own, so that a later message may have a lower one.
#[tokio::test]
async fn a_sequence_that_goes_back_changes_no_order() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let key = Uuid::now_v7();
        for (payload, position) in [(1, 900), (2, 500), (3, 700), (4, 100)] {
            send(&pool, 1, &[(key, "do", payload)]).await;
            let sql = format!("UPDATE outbox_messages SET position = {position} WHERE number = {payload}");
            pool.execute_unprepared(&sql).await.unwrap();
        }
        assert_eq!(relayed(&pool, key).await, [1, 2, 3, 4], "{engine:?}");
        // Two with the same number come one after the other all the same.
        send(&pool, 1, &[(key, "do", 1), (key, "do", 2), (key, "do", 3)]).await;
        pool.execute_unprepared("UPDATE outbox_messages SET number = 1").await.unwrap();
        assert_eq!(relayed(&pool, key).await, [1, 2, 3], "{engine:?}");
    }
}

/// Of two that are enqueued at the same moment, the one with the lower position may be seen when the other has been tried.
#[tokio::test]
async fn a_dead_letter_behind_another_message_stays_one_and_is_not_tried() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (recorder, clock, key) = (Recorder::default(), Clock::standing_at(1_000_000), Uuid::now_v7());
        let relay = Relay::new(pool.clone(), recorder.clone(), clock, Kick::default());
        send(&pool, 1, &[(key, "never", 1)]).await;
        relay.round().await.unwrap();
        let dead = dead_letters(&pool, 0, 10).await.unwrap();
        assert_eq!(dead.len(), 1, "{engine:?}");
        send(&pool, 1, &[(key, "do", 2), (key, "do", 3)]).await;
        let sql = "UPDATE outbox_messages SET number = 1, position = 0 WHERE number = 2";
        pool.execute_unprepared(sql).await.unwrap();
        assert_eq!(relay.round().await.unwrap(), 1, "{engine:?}");
        assert_eq!(recorder.done.lock().unwrap()[&key], [2], "{engine:?}");
        assert_eq!(dead_letters(&pool, 0, 10).await.unwrap(), dead, "{engine:?}");
        assert_eq!(relay.round().await.unwrap(), 0, "{engine:?}: it holds up what is behind it");
    }
}

#[tokio::test]
async fn an_upgrade_keeps_the_order_and_goes_on_beside_the_version_before() {
    for engine in engines() {
        let database = database(engine).await;
        selvage_pool::migrate::up::<Unnumbered>(database.url()).await.unwrap();
        let pool = Pool::open(Config::new("outbox", database.url())).await.unwrap();
        let (key, other) = (Uuid::now_v7(), Uuid::now_v7());
        send_unnumbered(&pool, other, &[9]).await;
        send_unnumbered(&pool, key, &[1, 2]).await;
        selvage_pool::migrate::up::<Migrator>(database.url()).await.unwrap();
        assert_eq!(numbers(&pool, key).await, [Some(2), Some(3)], "{engine:?}");
        // New and old senders, in turn; what was sent first is done first.
        send(&pool, 1, &[(key, "do", 3)]).await;
        send_unnumbered(&pool, key, &[4]).await;
        send(&pool, 1, &[(key, "do", 5), (key, "do", 6)]).await;
        send_unnumbered(&pool, key, &[7, 8]).await;
        // A key that only the new ones know begins at 1, and an old one's message comes behind.
        let young = Uuid::now_v7();
        send(&pool, 1, &[(young, "do", 1)]).await;
        send_unnumbered(&pool, young, &[2]).await;
        send(&pool, 1, &[(young, "do", 3)]).await;
        let recorder = Recorder::default();
        let relay = Relay::new(pool.clone(), recorder.clone(), Clock::standing_at(1_000_000), Kick::default());
        assert_eq!(relay.round().await.unwrap(), 3, "{engine:?}");
        let done = recorder.done.lock().unwrap().clone();
        assert_eq!(done[&key], [1, 2, 3, 4, 5, 6, 7, 8], "{engine:?}");
        assert_eq!(done[&young], [1, 2, 3], "{engine:?}");
        assert_eq!(done[&other], [9], "{engine:?}");
        if engine == Engine::Sqlite {
            continue;
        }
        // The relay of the version before goes by positions alone, and finds the same order in them.
        send(&pool, 1, &[(key, "do", 1)]).await;
        send_unnumbered(&pool, key, &[2]).await;
        send(&pool, 1, &[(key, "do", 3)]).await;
        let sql = "SELECT get_byte(payload, 0)::bigint FROM outbox_messages ORDER BY position";
        let rows = pool.query_all_raw(Statement::from_string(pool.backend(), sql)).await.unwrap();
        let order: Vec<i64> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(order, [1, 2, 3]);
    }
}
