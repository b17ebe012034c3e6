//! What only a file shows: one writer at a time, and failures that the file's owner can do something about.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbErr};
use selvage_pool::{Class, Config, Kind, Pool, in_words, kind};
use selvage_testkit::{Engine, eventually};
use tokio::sync::Notify;

use crate::entity::{pool, value};

const LONG: Duration = Duration::from_secs(10);

async fn another(url: &str) -> Pool {
    Pool::open(Config::new("another", url)).await.expect("a second pool on the same file")
}

#[tokio::test]
async fn a_handle_that_outlives_its_transaction_keeps_no_writer_waiting() {
    let (pool, _database) = pool(Engine::Sqlite, |_| {}).await;
    let _stray = pool.run_tx("stray", Class::Normal, |tx| async move { Ok::<_, DbErr>(tx) }).await.unwrap();
    pool.run_tx(
        "next",
        Class::Normal,
        |tx| async move { tx.execute_unprepared("INSERT INTO counter VALUES (1, 1)").await },
    )
    .await
    .expect("the writer's place is free");
}

/// Who waits for the file's lock polls it; who waits here is counted, in order, and holds no connection meanwhile.
#[tokio::test]
async fn the_writers_of_a_file_queue_whichever_pool_they_come_from() {
    let (pool, database) = pool(Engine::Sqlite, |_| {}).await;
    let second = another(database.url()).await;
    let release = Arc::new(Notify::new());
    let holder = tokio::spawn({
        let (pool, release) = (pool.clone(), release.clone());
        async move {
            let release = &release;
            pool.run_tx("hold", Class::Normal, |_tx| async move {
                release.notified().await;
                Ok::<_, DbErr>(())
            })
            .await
        }
    });
    eventually(LONG, "the writer's place is taken", async || pool.snapshot().in_use == 1).await;
    let write = |pool: &Pool, id: i32| {
        let pool = pool.clone();
        tokio::spawn(async move { pool.execute_unprepared(&format!("INSERT INTO counter VALUES ({id}, 1)")).await })
    };
    let same = write(&pool, 1);
    eventually(LONG, "a writer of the same pool waits", async || pool.snapshot().waiting == 1).await;
    let other = write(&second, 2);
    eventually(LONG, "a writer of another pool waits", async || second.snapshot().waiting == 1).await;
    assert_eq!((pool.snapshot().in_use, second.snapshot().in_use), (1, 0));
    // Readers need no writer's place.
    assert_eq!(value(&second, 1).await, None);
    second.execute_unprepared("WITH one AS (SELECT 1 AS n) SELECT n FROM one").await.expect("it only reads");
    release.notify_one();
    holder.await.unwrap().unwrap();
    same.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    assert_eq!((value(&pool, 1).await, value(&pool, 2).await), (Some(1), Some(1)));
}

#[tokio::test]
async fn the_whole_wait_is_bounded_not_each_part_of_it() {
    let (pool, _database) = pool(Engine::Sqlite, |config| {
        config.limit = 1;
        config.max_wait = Duration::from_millis(400);
    })
    .await;
    let release = Arc::new(Notify::new());
    let (began, hold) = (tokio::time::Instant::now(), Duration::from_millis(300));
    let writer = tokio::spawn({
        let (pool, release) = (pool.clone(), release.clone());
        async move {
            let release = &release;
            pool.run_tx("hold", Class::Normal, |_tx| async move {
                release.notified().await;
                Ok::<_, DbErr>(())
            })
            .await
        }
    });
    eventually(LONG, "the writer's place and the slot are taken", async || pool.snapshot().in_use == 1).await;
    // The first waits for the writer's place; a reader is before it at the slot, and keeps it.
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move {
            let asked = tokio::time::Instant::now();
            let ended = pool.run_tx("late", Class::Normal, |_tx| async { Ok::<_, DbErr>(()) }).await;
            (ended, asked.elapsed())
        }
    });
    eventually(LONG, "it waits", async || pool.snapshot().waiting == 1).await;
    let reader = tokio::spawn({
        let pool = pool.clone();
        async move {
            use futures::TryStreamExt as _;
            use sea_orm::StreamTrait as _;
            let sql =
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n";
            let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, sql);
            let mut rows = pool.stream_raw(statement).await.expect("the slot");
            rows.try_next().await.expect("a row");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    });
    eventually(LONG, "both wait", async || pool.snapshot().waiting == 2).await;
    eventually(LONG, "most of its time is over", async || began.elapsed() >= hold).await;
    release.notify_one();
    writer.await.unwrap().unwrap();
    let (ended, waited) = waiting.await.unwrap();
    assert_eq!(kind(&ended.expect_err("its time is over")), Kind::Busy);
    assert!(waited < Duration::from_millis(650), "it waited {waited:?}, and its bound is 400 ms");
    reader.abort();
}

#[tokio::test]
async fn what_the_owner_of_the_file_can_mend_is_said_in_words() {
    let (pool, _database) = pool(Engine::Sqlite, |config| config.limit = 1).await;
    pool.execute_unprepared("PRAGMA max_page_count = 2").await.unwrap();
    let fill = "INSERT INTO counter WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i, i FROM n";
    let full = pool.execute_unprepared(fill).await.expect_err("there is no room");
    assert!(in_words(&full).contains("disk is full"), "{full}");
    assert_eq!(kind(&full), Kind::NoRoom);
    pool.execute_unprepared("PRAGMA query_only = 1").await.unwrap();
    let sealed = pool.execute_unprepared("INSERT INTO counter VALUES (1, 1)").await.expect_err("it may not be written");
    assert!(in_words(&sealed).contains("can't be written to"), "{sealed}");
    let missing = pool.execute_unprepared("SELECT * FROM nowhere").await.expect_err("there is no such table");
    assert!(in_words(&missing).contains("migrate"), "{missing}");
}

/// A statement whose caller is gone works on in its thread, with the file's lock.
#[tokio::test]
async fn a_dropped_statement_counts_and_keeps_the_writers_turn_until_it_has_ended() {
    let (pool, _database) = pool(Engine::Sqlite, |config| config.max_wait = Duration::from_secs(30)).await;
    let long = "INSERT INTO counter WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i), 1 FROM n";
    let dropped = tokio::time::timeout(Duration::from_millis(50), pool.execute_unprepared(long)).await;
    assert!(dropped.is_err(), "it takes longer than that");
    assert!(pool.snapshot().open >= 1 && pool.snapshot().in_use == 0, "{:?}", pool.snapshot());
    let next = tokio::spawn({
        let pool = pool.clone();
        async move { pool.execute_unprepared("INSERT INTO counter VALUES (1, 1)").await }
    });
    eventually(LONG, "the next writer queues, rather than poll the file", async || pool.snapshot().waiting == 1).await;
    eventually(LONG, "it has ended", async || pool.snapshot().waiting == 0).await;
    assert_eq!(value(&pool, 1_000_000).await, Some(1));
    next.await.unwrap().expect("its turn has come");
}

/// SQLite may end a transaction by itself when the disk is full; what follows would then be committed piece by piece.
#[tokio::test]
async fn nothing_of_a_transaction_that_met_a_full_disk_stays() {
    let (pool, _database) = pool(Engine::Sqlite, |config| config.limit = 1).await;
    let ended = pool
        .run_tx("full", Class::Normal, |tx| async move {
            tx.execute_unprepared("INSERT INTO counter VALUES (1, 1)").await?;
            tx.execute_unprepared("PRAGMA max_page_count = 2").await?;
            let fill = "INSERT INTO counter WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i, i FROM n";
            tx.execute_unprepared(fill).await.expect_err("there is no room");
            let _ = tx.execute_unprepared("INSERT INTO counter VALUES (20000, 1)").await;
            Ok::<_, DbErr>(())
        })
        .await;
    ended.expect_err("it was not committed");
    assert_eq!((value(&pool, 1).await, value(&pool, 20_000).await), (None, None));
}
