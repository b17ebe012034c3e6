//! A future that is dropped gives everything back, wherever it stood.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbErr};
use selvage_pool::{Class, Pool};
use selvage_testkit::{Engine, engines, eventually};

use crate::entity::{pool, value};

const LIMIT: u32 = 2;

/// Polls `work` `times` times, with room for the other side to answer in between, then drops it. `true` if it was done.
async fn dropped_after<F: Future>(work: F, times: usize) -> bool {
    let mut work = pin!(work);
    for _ in 0..times {
        let mut context = Context::from_waker(Waker::noop());
        if work.as_mut().poll(&mut context).is_ready() {
            return true;
        }
        // Not waiting for a condition: whatever moment this hits is one at which a caller may go away.
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    false
}

async fn is_whole(pool: &Pool) {
    let what = "all slots are free after a drop";
    eventually(Duration::from_secs(10), what, async || pool.snapshot().in_use == 0).await;
    let all = (0..LIMIT).map(|_| pool.execute_unprepared("SELECT 1"));
    for result in futures::future::join_all(all).await {
        result.expect("each slot serves");
    }
    assert!(pool.snapshot().open <= LIMIT, "{:?}", pool.snapshot());
}

async fn dropped_everywhere<F: Future>(engine: Engine, work: impl Fn(Pool) -> F) -> (Pool, selvage_testkit::Database) {
    let (pool, database) = pool(engine, |config| {
        config.limit = LIMIT;
        config.max_wait = Duration::from_secs(10);
    })
    .await;
    // Up to where it is done a few times in a row: every await point was hit by then.
    let (mut times, mut done) = (0, 0);
    while done < 5 && times < 400 {
        done = if dropped_after(work(pool.clone()), times).await { done + 1 } else { 0 };
        is_whole(&pool).await;
        times += 1;
    }
    assert!(done >= 5, "it never came to its end in {times} polls");
    (pool, database)
}

#[tokio::test]
async fn a_statement_may_be_dropped_anywhere() {
    for engine in engines() {
        dropped_everywhere(engine, |pool| async move { pool.execute_unprepared("SELECT 1; SELECT 2").await }).await;
    }
}

#[tokio::test]
async fn a_transaction_may_be_dropped_anywhere_and_is_whole_or_not_there() {
    for engine in engines() {
        let (pool, _database) = dropped_everywhere(engine, |pool| async move {
            pool.run_tx("two_rows", Class::Normal, |tx| async move {
                let both = "INSERT INTO counter SELECT coalesce(max(id), 0) + 1, 0 FROM counter";
                tx.execute_unprepared(both).await?;
                tx.execute_unprepared(both).await?;
                Ok::<_, DbErr>(())
            })
            .await
        })
        .await;
        let mut rows = 0;
        while value(&pool, rows + 1).await.is_some() {
            rows += 1;
        }
        assert!(rows >= 2 && rows % 2 == 0, "{rows} rows: half a transaction was committed");
    }
}
