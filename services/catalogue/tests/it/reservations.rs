//! Stock set aside, taken, and given back.

use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, Statement};
use selvage_catalogue::domain::stock::{Line, State};
use selvage_catalogue::store::{Adjusted, Put, Refused, Store};
use selvage_pool::Pool;
use selvage_testkit::engines;
use uuid::Uuid;

use crate::goods::{catalogue, product, variant};

fn lines(lines: &[(&str, i32)]) -> Vec<Line> {
    lines.iter().map(|(sku, quantity)| Line { sku: (*sku).into(), quantity: *quantity }).collect()
}

async fn stocked(store: &Store, stock: &[(&str, i32)]) {
    let variants = stock.iter().map(|(sku, stock)| variant(sku, sku, "Ink", 100, *stock)).collect();
    assert_eq!(store.product_create(&product("goods", "Goods", "shirts", variants), 0).await.unwrap(), Put::Done);
}

/// Stock on hand and reserved.
async fn shelf(pool: &Pool, sku: &str) -> (i32, i32) {
    let sql = format!("SELECT stock, reserved FROM variants WHERE sku = '{sku}'");
    let row = pool.query_one_raw(Statement::from_string(pool.backend(), sql)).await.unwrap().unwrap();
    (row.try_get("", "stock").unwrap(), row.try_get("", "reserved").unwrap())
}

#[tokio::test]
async fn all_lines_are_set_aside_or_none() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        stocked(&store, &[("A", 5), ("B", 1)]).await;
        let id = Uuid::now_v7();
        let refused = store.stock_reserve(id, &lines(&[("B", 1), ("A", 2), ("A", 4), ("X", 1)]), 1).await.unwrap();
        assert_eq!(refused, Err(Refused::Short(vec![("A".into(), Some(5)), ("X".into(), None)])));
        assert_eq!((shelf(&pool, "A").await, shelf(&pool, "B").await), ((5, 0), (1, 0)));

        // The refused id is free again.
        let held = store.stock_reserve(id, &lines(&[("B", 1), ("A", 2), ("A", 1)]), 9).await.unwrap().unwrap();
        assert_eq!((held.state, held.lines.as_slice()), (State::Held, lines(&[("A", 3), ("B", 1)]).as_slice()));
        assert_eq!((shelf(&pool, "A").await, shelf(&pool, "B").await), ((5, 3), (1, 1)));
        // Once more is the same reservation; other lines are not.
        let again = store.stock_reserve(id, &lines(&[("A", 3), ("B", 1)]), 99).await.unwrap().unwrap();
        assert_eq!(again, held);
        let other = store.stock_reserve(id, &lines(&[("A", 1)]), 9).await.unwrap();
        assert_eq!(other, Err(Refused::OtherLines));
        assert_eq!(shelf(&pool, "A").await, (5, 3));
    }
}

#[tokio::test]
async fn every_step_is_idempotent_and_undone_by_release() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        stocked(&store, &[("A", 5)]).await;
        let id = Uuid::now_v7();
        assert_eq!(store.stock_commit(id).await.unwrap(), None, "there is none yet");
        store.stock_reserve(id, &lines(&[("A", 2)]), 9).await.unwrap().unwrap();
        for _ in 0..2 {
            assert_eq!(store.stock_commit(id).await.unwrap().unwrap().state, State::Committed);
            assert_eq!(shelf(&pool, "A").await, (3, 0));
        }
        for _ in 0..2 {
            assert_eq!(store.stock_release(id, 9).await.unwrap().state, State::Released);
            assert_eq!(shelf(&pool, "A").await, (5, 0), "goods of a cancelled order are on the shelf again");
        }
        // Whoever repeats the commit, for its answer was lost, is told that it was done; and nothing is taken again.
        for _ in 0..2 {
            let again = store.stock_commit(id).await.unwrap().unwrap();
            assert_eq!((again.state, again.was_committed), (State::Released, true), "{engine:?}");
            assert_eq!(shelf(&pool, "A").await, (5, 0));
        }

        // Released before it was taken: it can't be had any more, and whoever wants it learns that each time.
        let lapsed = Uuid::now_v7();
        store.stock_reserve(lapsed, &lines(&[("A", 2)]), 9).await.unwrap().unwrap();
        store.stock_release(lapsed, 9).await.unwrap();
        for _ in 0..2 {
            let refused = store.stock_commit(lapsed).await.unwrap().unwrap();
            assert_eq!((refused.state, refused.was_committed), (State::Released, false), "{engine:?}");
        }
        assert_eq!(shelf(&pool, "A").await, (5, 0));

        // Given back before it came: it comes to nothing.
        let late = Uuid::now_v7();
        store.stock_release(late, 9).await.unwrap();
        let came = store.stock_reserve(late, &lines(&[("A", 2)]), 9).await.unwrap().unwrap();
        assert_eq!(came.state, State::Released);
        assert_eq!(shelf(&pool, "A").await, (5, 0));
    }
}

#[tokio::test]
async fn sixty_four_race_for_ten() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        stocked(&store, &[("TEN", 10), ("MANY", 1000)]).await;
        let store = Arc::new(store);
        let tasks: Vec<_> = (0..64)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    // In either order of lines: none waits for another in a circle.
                    let wanted = if number % 2 == 0 { [("TEN", 1), ("MANY", 1)] } else { [("MANY", 1), ("TEN", 1)] };
                    store.stock_reserve(Uuid::now_v7(), &lines(&wanted), 9).await.unwrap().is_ok()
                })
            })
            .collect();
        let mut held = 0;
        for task in tasks {
            held += i32::from(task.await.unwrap());
        }
        assert_eq!(held, 10);
        assert_eq!((shelf(&pool, "TEN").await, shelf(&pool, "MANY").await), ((10, 10), (1000, 10)));
    }
}

/// Many at once do whatever comes to their minds, by a fixed list of numbers; what is set aside never exceeds the shelf,
/// and in the end is what the reservations say.
#[tokio::test]
async fn whatever_happens_at_once_the_shelf_agrees_with_the_reservations() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        stocked(&store, &[("A", 40), ("B", 40)]).await;
        let ids: Arc<Vec<Uuid>> = Arc::new((0..12).map(|_| Uuid::now_v7()).collect());
        let store = Arc::new(store);
        let workers: Vec<_> = (0..8_u64)
            .map(|worker| {
                let (store, ids) = (store.clone(), ids.clone());
                tokio::spawn(async move {
                    let mut state = worker.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                    for _ in 0..40 {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        let id = ids[(state % 12) as usize];
                        match state >> 40 & 3 {
                            0 | 1 => drop(store.stock_reserve(id, &lines(&[("A", 3), ("B", 5)]), 9).await.unwrap()),
                            2 => drop(store.stock_commit(id).await.unwrap()),
                            _ => drop(store.stock_release(id, 9).await.unwrap()),
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        let count = async |state: &str| {
            let sql = format!("SELECT count(*) AS n FROM reservations WHERE state = '{state}'");
            let row = pool.query_one_raw(Statement::from_string(pool.backend(), sql)).await.unwrap().unwrap();
            i32::try_from(row.try_get::<i64>("", "n").unwrap()).unwrap()
        };
        let (held, committed) = (count("held").await, count("committed").await);
        assert_eq!(shelf(&pool, "A").await, (40 - 3 * committed, 3 * held));
        assert_eq!(shelf(&pool, "B").await, (40 - 5 * committed, 5 * held));
    }
}

/// Given back while it comes: whichever is first, nothing stays set aside.
#[tokio::test]
async fn a_release_that_meets_its_reservation_ends_it() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        stocked(&store, &[("A", 500)]).await;
        for _ in 0..60 {
            let id = Uuid::now_v7();
            let (wanted, store, late) = (lines(&[("A", 2)]), store.clone(), store.clone());
            let reserving = tokio::spawn(async move { store.stock_reserve(id, &wanted, 9).await.unwrap() });
            let released = late.stock_release(id, 9).await.unwrap();
            assert_eq!(released.state, State::Released);
            let reserved = reserving.await.unwrap().unwrap();
            // It was held for a moment, or came too late.
            assert!(matches!(reserved.state, State::Held | State::Released));
        }
        assert_eq!(shelf(&pool, "A").await, (500, 0));
    }
}

/// Statements: the id, each SKU once; the state, each SKU; what it was, the state, each SKU.
#[tokio::test]
async fn each_step_takes_few_statements() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        stocked(&store, &[("A", 9), ("B", 9), ("C", 9)]).await;
        let id = Uuid::now_v7();
        let mut before = pool.snapshot().statements;
        let mut since = || {
            let now = pool.snapshot().statements;
            now - std::mem::replace(&mut before, now)
        };
        store.stock_reserve(id, &lines(&[("A", 1), ("B", 1), ("C", 1), ("A", 1)]), 9).await.unwrap().unwrap();
        assert_eq!(since(), 1 + 3);
        store.stock_commit(id).await.unwrap().unwrap();
        assert_eq!(since(), 1 + 3);
        store.stock_release(id, 9).await.unwrap();
        assert_eq!(since(), 2 + 3);
        store.stock_release(Uuid::now_v7(), 9).await.unwrap();
        assert_eq!(since(), 2, "an unknown one is looked for and remembered");
        store.variant_list(&["A".into(), "C".into(), "X".into()]).await.unwrap();
        assert_eq!(since(), 1, "products come with their variants");
        store.product_get("goods").await.unwrap().unwrap();
        assert_eq!(since(), 1);
        store.category_list().await.unwrap();
        assert_eq!(since(), 2);
    }
}

#[tokio::test]
async fn an_adjustment_counts_once_and_never_below_what_is_set_aside() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        stocked(&store, &[("A", 5)]).await;
        store.stock_reserve(Uuid::now_v7(), &lines(&[("A", 3)]), 9).await.unwrap().unwrap();
        let request = Uuid::now_v7();
        for _ in 0..2 {
            let Adjusted::Done(variant) = store.stock_adjust(request, "A", 4, 1).await.unwrap() else { panic!() };
            assert_eq!((variant.variant.stock, variant.available), (9, 6));
        }
        assert_eq!(store.stock_adjust(request, "A", 5, 1).await.unwrap(), Adjusted::OtherRequest);
        assert_eq!(store.stock_adjust(Uuid::now_v7(), "A", -7, 1).await.unwrap(), Adjusted::OutOfBounds);
        assert_eq!(store.stock_adjust(Uuid::now_v7(), "A", 999_999, 1).await.unwrap(), Adjusted::OutOfBounds);
        assert_eq!(store.stock_adjust(Uuid::now_v7(), "X", 1, 1).await.unwrap(), Adjusted::Missing);
        assert_eq!(shelf(&pool, "A").await, (9, 3));
    }
}
