//! `run_tx` and savepoints.

use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _,
    QueryFilter as _, TransactionSession as _, TransactionTrait as _,
};
use selvage_context::lease;
use selvage_pool::{Class, Tx};
use selvage_testkit::engines;

use crate::entity::{ActiveModel, Column, Entity, pool, value};

async fn insert(tx: &Tx, id: i32) -> Result<(), DbErr> {
    ActiveModel { id: Set(id), value: Set(0) }.insert(tx).await.map(drop)
}

#[tokio::test]
async fn what_was_committed_is_there_and_what_failed_is_not() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |_| {}).await;
        pool.run_tx("keep", Class::Critical, |tx| async move { insert(&tx, 1).await }).await.unwrap();
        let failed: Result<(), DbErr> = pool
            .run_tx("fail", Class::Normal, |tx| async move {
                insert(&tx, 2).await?;
                Err(DbErr::Custom("changed our mind".into()))
            })
            .await;
        assert_eq!(failed, Err(DbErr::Custom("changed our mind".into())));
        assert_eq!((value(&pool, 1).await, value(&pool, 2).await), (Some(0), None));
        let seen = pool.snapshot();
        assert_eq!((seen.transactions, seen.in_use), (1, 0));
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "SeaORM's own way is what is tested")]
async fn savepoints_are_on_the_same_connection() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| config.limit = 1).await;
        pool.run_tx("savepoints", Class::Normal, |tx| async move {
            insert(&tx, 1).await?;
            let kept = tx.begin().await?;
            insert(&kept, 2).await?;
            let inner = kept.begin().await?;
            insert(&inner, 3).await?;
            inner.rollback().await?;
            kept.commit().await?;
            let left = tx.begin().await?;
            insert(&left, 4).await?;
            drop(left);
            insert(&tx, 5).await
        })
        .await
        .unwrap();
        let mut there = Vec::new();
        for id in 1..=5 {
            there.push(value(&pool, id).await.is_some());
        }
        assert_eq!(there, [true, true, false, false, true]);

        let tx = pool.begin().await.unwrap();
        insert(&tx, 6).await.unwrap();
        tx.rollback().await.unwrap();
        let tx = pool.begin().await.unwrap();
        insert(&tx, 7).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((value(&pool, 6).await, value(&pool, 7).await), (None, Some(0)));
    }
}

/// What is within a savepoint ends with it; what is left of its handles means nothing any more.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "SeaORM's own way is what is tested")]
async fn a_savepoint_takes_those_within_it_along() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| config.limit = 1).await;
        pool.run_tx("left_within", Class::Normal, |tx| async move {
            let outer = tx.begin().await?;
            let inner = outer.begin().await?;
            insert(&inner, 1).await?;
            drop(inner);
            outer.rollback().await?;
            insert(&tx, 2).await
        })
        .await
        .expect("nothing is rolled back twice");
        pool.run_tx("left_over", Class::Normal, |tx| async move {
            let outer = tx.begin().await?;
            let rolled_back = outer.begin().await?;
            outer.rollback().await?;
            let outer = tx.begin().await?;
            let released = outer.begin().await?;
            insert(&released, 3).await?;
            drop(rolled_back);
            insert(&released, 4).await?;
            outer.commit().await?;
            drop(released);
            insert(&tx, 5).await
        })
        .await
        .expect("a handle that is left over means no other savepoint");
        let mut there = Vec::new();
        for id in 1..=5 {
            there.push(value(&pool, id).await.is_some());
        }
        assert_eq!(there, [false, true, true, true, true]);
    }
}

#[tokio::test]
async fn increments_that_collide_are_all_counted() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| config.max_wait = std::time::Duration::from_secs(30)).await;
        pool.run_tx("insert", Class::Normal, |tx| async move { insert(&tx, 1).await }).await.unwrap();
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    pool.run_tx("increment", Class::Normal, |tx| async move {
                        Entity::update_many()
                            .col_expr(Column::Value, Expr::col(Column::Value).add(1))
                            .filter(Column::Id.eq(1))
                            .exec(&tx)
                            .await
                    })
                    .await
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(value(&pool, 1).await, Some(32));
    }
}

/// Two transactions that take two rows in opposite order: PostgreSQL ends one of them, and it is done again.
#[tokio::test]
async fn a_deadlock_is_done_again() {
    let Some(engine) = engines().into_iter().find(|engine| *engine == selvage_testkit::Engine::Postgres) else {
        return;
    };
    let (pool, _database) = pool(engine, |config| config.max_wait = std::time::Duration::from_secs(30)).await;
    pool.run_tx("insert", Class::Normal, |tx| async move {
        insert(&tx, 1).await?;
        insert(&tx, 2).await
    })
    .await
    .unwrap();
    let meeting = tokio::sync::Barrier::new(2);
    let runs = AtomicU32::new(0);
    let both_ways = |first: i32, second: i32| {
        let (pool, meeting, runs) = (&pool, &meeting, &runs);
        let met = AtomicU32::new(0);
        async move {
            let met = &met;
            pool.run_tx("cross", Class::Normal, |tx| async move {
                runs.fetch_add(1, Ordering::SeqCst);
                let add = |id| {
                    Entity::update_many()
                        .col_expr(Column::Value, Expr::col(Column::Value).add(1))
                        .filter(Column::Id.eq(id))
                };
                add(first).exec(&tx).await?;
                // Only the first time round: the second time nobody is coming.
                if met.fetch_add(1, Ordering::SeqCst) == 0 {
                    meeting.wait().await;
                }
                add(second).exec(&tx).await
            })
            .await
        }
    };
    let (left, right) = tokio::join!(both_ways(1, 2), both_ways(2, 1));
    left.unwrap();
    right.unwrap();
    assert_eq!((value(&pool, 1).await, value(&pool, 2).await), (Some(2), Some(2)));
    assert_eq!((runs.load(Ordering::SeqCst), pool.snapshot().retries), (3, 1));
}

#[tokio::test]
async fn the_closure_is_known_to_hold_a_connection() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |_| {}).await;
        assert_eq!(lease::held(), 0);
        let held = pool.run_tx("look", Class::Normal, |_tx| async { Ok::<_, DbErr>(lease::held()) }).await.unwrap();
        assert_eq!((held, lease::held()), (1, 0));
        let stray = pool.run_tx("stray", Class::Normal, |tx| async move { Ok::<_, DbErr>(tx) }).await.unwrap();
        stray.execute_unprepared("SELECT 1").await.expect_err("the transaction has ended");
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
#[should_panic(expected = "while a database connection is held")]
async fn a_network_call_in_the_closure_is_refused() {
    let (pool, _database) = pool(selvage_testkit::Engine::Sqlite, |_| {}).await;
    let _ = pool
        .run_tx("call", Class::Normal, |_tx| async {
            lease::refuse_network_call("another service");
            Ok::<_, DbErr>(())
        })
        .await;
}

#[cfg(debug_assertions)]
#[tokio::test]
#[should_panic(expected = "a second connection was asked for")]
async fn a_second_connection_in_the_closure_is_refused() {
    let (pool, _database) = pool(selvage_testkit::Engine::Sqlite, |_| {}).await;
    let again = &pool;
    let _ = pool
        .run_tx("second", Class::Normal, |_tx| async move { again.execute_unprepared("SELECT 1").await.map(drop) })
        .await;
}
