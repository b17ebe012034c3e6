//! The purge among many carts, and carts that are damaged.

use sea_orm::ConnectionTrait as _;
use selvage_cart::domain::cart::Cart;
use selvage_cart::store::PURGE_BATCH;
use selvage_testkit::{Engine, engines, many, shortest, times};

use crate::shop::{NOON, Shelf, at, sku};

const HOUR_MS: i64 = 3_600_000;

/// Writes down up to `limit` carts that expire, and removals that are remembered until, `at`, an expression of the number `n`.
async fn plant(shelf: &Shelf, engine: Engine, at: &str, limit: u64) {
    let (id, numbers) = (engine.random_id(), engine.numbers());
    for sql in [
        format!(
            "INSERT INTO carts (owner, expire_at, previous_expire_at, updated_at) \
             SELECT 'guest-' || CAST({at} AS TEXT) || '-' || n || '-' || {}, {at}, 1, 1 FROM {numbers} LIMIT {limit}",
            if engine == Engine::Sqlite { "hex(randomblob(8))" } else { "gen_random_uuid()" }
        ),
        format!("INSERT INTO cart_removals (order_id, removed_at) SELECT {id}, {at} FROM {numbers} LIMIT {limit}"),
    ] {
        shelf.pool.execute_unprepared(&sql).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_as_long_among_many_carts_as_among_few() {
    for engine in engines() {
        let (mut idle, mut busy) = (Vec::new(), Vec::new());
        for crowded in [false, true] {
            let shelf = Shelf::open(engine).await;
            let purge = async |expected| assert_eq!(shelf.store.cart_purge(NOON, NOON).await.unwrap(), expected);
            for _ in 0..if crowded { times() } else { 0 } {
                plant(&shelf, engine, &format!("{NOON} + {HOUR_MS} + n"), 20_000).await;
            }
            idle.push(shortest(async || purge(0).await).await);
            plant(&shelf, engine, &format!("{NOON} - {HOUR_MS} - n"), 30 * PURGE_BATCH).await;
            busy.push(shortest(async || purge(2 * PURGE_BATCH).await).await);
        }
        for (what, took) in [("a look", idle), ("a purge", busy)] {
            assert!(took[1] < took[0] * 5, "{engine:?}: {what} takes {took:?} among few and {} more", many());
        }
    }
}

/// Only SQLite takes what isn't an id for one: PostgreSQL's columns keep to their types.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_goes_on_beside_a_row_whose_key_is_damaged() {
    let shelf = Shelf::open(Engine::Sqlite).await;
    for sql in [
        "INSERT INTO cart_removals (order_id, removed_at) VALUES ('nonsense', 1)",
        "INSERT INTO carts (owner, expire_at, previous_expire_at, updated_at) VALUES (x'00ff', 1, 1, 1)",
    ] {
        shelf.pool.execute_unprepared(sql).await.unwrap();
    }
    plant(&shelf, Engine::Sqlite, "n + 1", 5).await;
    assert_eq!(shelf.store.cart_purge(NOON, NOON).await.unwrap(), 10);
    assert_eq!(shelf.store.cart_purge(NOON, NOON).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_line_is_left_out_of_its_cart_which_can_be_changed_all_the_same() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let add =
            async |what| store.cart_change("guest-1", at(NOON), None, |cart| cart.add(&sku(what), 1)).await.unwrap();
        add("A").await.unwrap();
        add("B").await.unwrap();
        shelf.pool.execute_unprepared("UPDATE cart_lines SET sku = 'no SKU' WHERE sku = 'A'").await.unwrap();
        let skus = |cart: &Cart| cart.lines().iter().map(|line| line.sku.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(skus(&store.cart_get("guest-1", NOON).await.unwrap().cart), ["B"], "{engine:?}");
        let changed = add("C").await.unwrap();
        assert_eq!(skus(&changed.cart), ["B", "C"], "{engine:?}");
        assert_eq!(store.cart_get("guest-1", NOON).await.unwrap(), changed, "{engine:?}");
        assert_eq!(skus(&store.cart_merge("guest-1", "ada", at(NOON)).await.unwrap().cart), ["B", "C"], "{engine:?}");
    }
}
