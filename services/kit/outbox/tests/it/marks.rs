//! Messages that are marked as standing behind others, and versions that know no marks.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_context::clock::Clock;
use selvage_outbox::{Kick, Relay, backlog};
use selvage_pool::{Config, Pool};
use selvage_testkit::{database, engines};
use uuid::Uuid;

use crate::{Migrator, Recorder, Unmarked, pool, send};

/// Enqueues as the version before did, which marked nothing.
async fn send_unmarked(pool: &Pool, key: Uuid, payloads: &[u8]) {
    for payload in payloads {
        let sql = "INSERT INTO outbox_messages (number, \"key\", topic, payload, created_at, next_at) VALUES (\
                   COALESCE((SELECT max(number) FROM outbox_messages WHERE \"key\" = $1), 0) + 1, $1, 'do', $2, 1, 1)";
        let values = [key.into(), vec![*payload].into()];
        pool.execute_raw(Statement::from_sql_and_values(pool.backend(), sql, values)).await.unwrap();
    }
}

/// Claims as the version before did; returns the positions that it got.
async fn claim_unmarked(pool: &Pool, now_ms: i64) -> Vec<i64> {
    let lock = if pool.backend() == DbBackend::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
    let sql = format!(
        "WITH heads AS (SELECT position FROM outbox_messages AS due WHERE dead = FALSE AND next_at <= $1 AND NOT EXISTS (\
           SELECT 1 FROM outbox_messages AS earlier WHERE earlier.\"key\" = due.\"key\" \
           AND COALESCE(earlier.number, earlier.position) < COALESCE(due.number, due.position)) \
         ORDER BY next_at LIMIT 32 {lock}) \
         UPDATE outbox_messages SET next_at = $1 + 15000, attempts = attempts + 1 \
         WHERE position IN (SELECT position FROM heads) RETURNING position"
    );
    let rows = pool.query_all_raw(Statement::from_sql_and_values(pool.backend(), sql, [now_ms.into()])).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn marks(pool: &Pool, key: Uuid) -> Vec<bool> {
    let sql = "SELECT behind FROM outbox_messages WHERE \"key\" = $1 ORDER BY number";
    let rows = pool.query_all_raw(Statement::from_sql_and_values(pool.backend(), sql, [key.into()])).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

#[tokio::test]
async fn of_what_is_enqueued_together_all_but_each_keys_first_is_marked() {
    for engine in engines() {
        let (pool, _database) = pool(engine).await;
        let (key, other) = (Uuid::now_v7(), Uuid::now_v7());
        send(&pool, 1, &[(key, "do", 1), (other, "do", 1), (key, "do", 2), (key, "do", 3), (other, "do", 2)]).await;
        send(&pool, 1, &[(key, "do", 4), (key, "do", 5)]).await;
        assert_eq!(marks(&pool, key).await, [false, true, true, false, true], "{engine:?}");
        assert_eq!(marks(&pool, other).await, [false, true], "{engine:?}");
    }
}

#[tokio::test]
async fn an_upgrade_marks_what_stands_behind_others_and_goes_on_beside_the_version_before() {
    for engine in engines() {
        let database = database(engine).await;
        selvage_pool::migrate::up::<Unmarked>(database.url()).await.unwrap();
        let pool = Pool::open(Config::new("outbox", database.url())).await.unwrap();
        let (key, other) = (Uuid::now_v7(), Uuid::now_v7());
        send_unmarked(&pool, key, &[1, 2, 3]).await;
        send_unmarked(&pool, other, &[1]).await;
        selvage_pool::migrate::up::<Migrator>(database.url()).await.unwrap();
        assert_eq!(marks(&pool, key).await, [false, true, true], "{engine:?}");
        assert_eq!(marks(&pool, other).await, [false], "{engine:?}");
        // New and old senders in turn, and an old relay that claims between new ones.
        send(&pool, 1, &[(key, "do", 4), (key, "do", 5)]).await;
        send_unmarked(&pool, key, &[6]).await;
        send_unmarked(&pool, other, &[2, 3]).await;
        send(&pool, 1, &[(other, "do", 4)]).await;
        let young = Uuid::now_v7();
        send(&pool, 1, &[(young, "do", 1), (young, "do", 2)]).await;
        let (clock, recorder) = (Clock::standing_at(1_000_000), Recorder::default());
        assert_eq!(claim_unmarked(&pool, clock.now_ms()).await.len(), 3, "{engine:?}: each key's first");
        let relay = Relay::new(pool.clone(), recorder.clone(), clock.clone(), Kick::default());
        assert_eq!(relay.round().await.unwrap(), 0, "{engine:?}: they are the old relay's");
        clock.advance_ms(15_000);
        assert_eq!(relay.round().await.unwrap(), 3, "{engine:?}");
        let done = recorder.done.lock().unwrap().clone();
        assert_eq!(done[&key], [1, 2, 3, 4, 5, 6], "{engine:?}");
        assert_eq!(done[&other], [1, 2, 3, 4], "{engine:?}");
        assert_eq!(done[&young], [1, 2], "{engine:?}");
        assert_eq!(backlog(&pool, i64::MAX).await.unwrap().waiting, 0, "{engine:?}");
    }
}
