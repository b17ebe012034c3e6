//! What the store promises, on both engines.

use std::collections::BTreeMap;

use futures::future::join_all;
use selvage_cart::domain::cart::{Cart, CartError, MAX_LINES};
use selvage_cart::store::{PURGE_BATCH, Refused, Store};
use selvage_testkit::engines;
use uuid::Uuid;

use crate::shop::{EXPIRY_MS, NOON, Shelf, at, sku};

async fn add(store: &Store, owner: &str, what: &str, quantity: i32, now_ms: i64) -> Cart {
    let what = sku(what);
    store.cart_change(owner, at(now_ms), None, |cart| cart.add(&what, quantity)).await.unwrap().unwrap().cart
}

fn totals(cart: &Cart) -> BTreeMap<&str, i32> {
    cart.lines().iter().map(|line| (line.sku.as_str(), line.quantity)).collect()
}

async fn kept(store: &Store, owner: &str, now_ms: i64) -> Cart {
    store.cart_get(owner, now_ms).await.unwrap().cart
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_reads_as_it_was_changed_in_its_order() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        assert_eq!(store.cart_get("guest-1", NOON).await.unwrap(), <_>::default());
        add(store, "guest-1", "B", 1, NOON).await;
        add(store, "guest-1", "A", 2, NOON).await;
        let added = add(store, "guest-1", "B", 3, NOON + 5).await;
        let read = store.cart_get("guest-1", NOON + 5).await.unwrap();
        assert_eq!((&read.cart, read.expire_at), (&added, Some(NOON + 5 + EXPIRY_MS)), "{engine:?}");
        assert_eq!(read.cart.lines().iter().map(|line| line.sku.as_str()).collect::<Vec<_>>(), ["B", "A"]);
        assert_eq!(totals(&read.cart), [("A", 2), ("B", 4)].into());
        assert_eq!(kept(store, "guest-2", NOON).await, Cart::default(), "another's cart is another");

        let updated = store.cart_change("guest-1", at(NOON + 6), None, |cart| cart.update(&sku("B"), 0)).await;
        assert_eq!(totals(&updated.unwrap().unwrap().cart), [("A", 2)].into());
        let emptied = store.cart_change("guest-1", at(NOON + 7), None, |_| Ok(Cart::default())).await.unwrap().unwrap();
        assert_eq!(emptied, <_>::default());
        assert_eq!(kept(store, "guest-1", NOON + 7).await, Cart::default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_additions_at_once_lose_nothing() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let kinds = ["A", "B", "C", "D"];
        join_all((0..32).map(|task| add(store, "guest-1", kinds[task % 4], 2, NOON))).await;
        assert_eq!(totals(&kept(store, "guest-1", NOON).await), kinds.map(|kind| (kind, 16)).into(), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_hold_in_a_race() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let added = join_all((0..MAX_LINES + 14).map(|task| async move {
            let what = sku(&format!("SKU-{task}"));
            store.cart_change("guest-1", at(NOON), None, |cart| cart.add(&what, 1)).await.unwrap()
        }))
        .await;
        let refused: Vec<_> = added.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert_eq!(refused.len(), 14, "{engine:?}");
        assert!(refused.iter().all(|refused| **refused == Refused::Cart(CartError::CartFull)));
        assert_eq!(kept(store, "guest-1", NOON).await.lines().len(), MAX_LINES);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_with_one_etag_one_is_told_to_look_again() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let etag = add(store, "guest-1", "A", 1, NOON).await.etag();
        let change = |quantity| {
            store.cart_change("guest-1", at(NOON), Some(&etag), move |cart| cart.update(&sku("A"), quantity))
        };
        let (one, two) = futures::join!(change(5), change(7));
        let (one, two) = (one.unwrap(), two.unwrap());
        let (kept_one, refused) = if one.is_ok() { (one, two) } else { (two, one) };
        assert_eq!(refused, Err(Refused::EtagMismatch), "{engine:?}");
        assert_eq!(kept(store, "guest-1", NOON).await, kept_one.unwrap().cart);
        // An empty cart has an etag as well.
        let none = Cart::default().etag();
        let first = store.cart_change("new", at(NOON), Some(&none), |cart| cart.add(&sku("A"), 1)).await;
        assert!(first.unwrap().is_ok());
    }
}

type Change = fn(&Cart) -> Result<Cart, CartError>;

/// As a client does whose answer was lost: the same change with the same etag.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_repeated_finds_what_it_did() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        add(store, "guest-1", "A", 1, NOON).await;
        add(store, "guest-1", "B", 1, NOON).await;
        let changes: [Change; 4] = [
            |cart| cart.update(&sku("A"), 5),
            |cart| cart.update(&sku("A"), 0),
            |cart| Ok(cart.remove(&sku("B"))),
            |_| Ok(Cart::default()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            if number == 3 {
                add(store, "guest-1", "C", 1, NOON).await;
            }
            let etag = kept(store, "guest-1", NOON).await.etag();
            let first = store.cart_change("guest-1", at(NOON), Some(&etag), change).await.unwrap().unwrap();
            let again = store.cart_change("guest-1", at(NOON), Some(&etag), change).await.unwrap().unwrap();
            assert_eq!(first, again, "{engine:?} {number}");
            assert_ne!(again.cart.etag(), etag);
        }
        // Not where it would change what another has done since.
        let etag = add(store, "guest-1", "A", 1, NOON).await.etag();
        add(store, "guest-1", "A", 1, NOON).await;
        for change in [changes[0], changes[1], changes[3]] {
            let refused = store.cart_change("guest-1", at(NOON), Some(&etag), change).await.unwrap();
            assert_eq!(refused, Err(Refused::EtagMismatch), "{engine:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_cart_is_empty_and_begins_anew() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        add(store, "guest-1", "A", 1, NOON).await;
        let end = NOON + EXPIRY_MS;
        assert_eq!(kept(store, "guest-1", end - 1).await.item_count(), 1);
        assert_eq!(kept(store, "guest-1", end).await.item_count(), 0, "{engine:?}");
        assert_eq!(totals(&add(store, "guest-1", "B", 1, end).await), [("B", 1)].into());
        assert_eq!(totals(&kept(store, "guest-1", end).await), [("B", 1)].into(), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_purge_takes_what_has_expired_in_batches_and_nothing_else() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let old = usize::try_from(PURGE_BATCH).unwrap() + 10;
        for number in 0..old {
            add(store, &format!("guest-{number}"), "A", 1, NOON).await;
        }
        add(store, "late", "A", 1, NOON + 1).await;
        store.cart_remove_ordered(Uuid::now_v7(), "late", &[(sku("B"), 1)], at(NOON + 1)).await.unwrap();
        let end = NOON + EXPIRY_MS;
        assert_eq!(store.cart_purge(end - 1, NOON).await.unwrap(), 0);
        assert_eq!(store.cart_purge(end, NOON).await.unwrap(), PURGE_BATCH, "{engine:?}");
        assert_eq!(store.cart_purge(end, NOON).await.unwrap(), 10);
        assert_eq!(kept(store, "late", end).await.item_count(), 1);
        assert_eq!(store.cart_purge(end, NOON + 2).await.unwrap(), 1, "the old removal");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_moves_everything_once() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        add(store, "guest-1", "A", 60, NOON).await;
        add(store, "guest-1", "B", 1, NOON).await;
        add(store, "ada", "A", 50, NOON).await;
        let merged = store.cart_merge("guest-1", "ada", at(NOON)).await.unwrap();
        assert_eq!(totals(&merged.cart), [("A", 99), ("B", 1)].into(), "{engine:?}");
        assert_eq!(store.cart_merge("guest-1", "ada", at(NOON)).await.unwrap(), merged);
        assert_eq!(kept(store, "guest-1", NOON).await.item_count(), 0);
        assert_eq!(kept(store, "ada", NOON).await, merged.cart);
        // With itself a cart stays what it is.
        assert_eq!(store.cart_merge("ada", "ada", at(NOON)).await.unwrap(), merged);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_in_both_directions_at_once_lose_and_double_nothing() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        add(store, "a", "A", 3, NOON).await;
        add(store, "b", "A", 4, NOON).await;
        let merges = (0..16).map(|task| async move {
            let (from, to) = if task % 2 == 0 { ("a", "b") } else { ("b", "a") };
            store.cart_merge(from, to, at(NOON)).await.unwrap()
        });
        join_all(merges).await;
        let sum = kept(store, "a", NOON).await.item_count() + kept(store, "b", NOON).await.item_count();
        assert_eq!(sum, 7, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_lines_leave_the_cart_once_however_often_it_is_asked() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        add(store, "guest-1", "A", 5, NOON).await;
        add(store, "guest-1", "B", 1, NOON).await;
        let (order, ordered) = (Uuid::now_v7(), [(sku("A"), 2), (sku("B"), 1), (sku("C"), 1)]);
        let asked = (0..8).map(|_| store.cart_remove_ordered(order, "guest-1", &ordered, at(NOON)));
        let first = join_all(asked).await.into_iter().filter(|answer| *answer.as_ref().unwrap()).count();
        assert_eq!(first, 1, "{engine:?}");
        assert_eq!(totals(&kept(store, "guest-1", NOON).await), [("A", 3)].into(), "{engine:?}");
        // The next order is another.
        assert!(store.cart_remove_ordered(Uuid::now_v7(), "guest-1", &ordered, at(NOON)).await.unwrap());
        assert_eq!(totals(&kept(store, "guest-1", NOON).await), [("A", 1)].into());
    }
}

/// What is left of a bag is what was put in since: here against a sum, line by line.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_added_after_an_order_stays() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        for (case, (ordered, since)) in [
            (vec![("A", 1)], vec![]),
            (vec![("A", 2), ("B", 1)], vec![("C", 1)]),
            (vec![("A", 2), ("B", 3), ("C", 1)], vec![("B", 1)]),
            (vec![("A", 1), ("B", 1)], vec![("A", 98), ("B", 1), ("D", 4)]),
        ]
        .into_iter()
        .enumerate()
        {
            let owner = format!("guest-{case}");
            for (what, quantity) in ordered.iter().chain(&since) {
                add(store, &owner, what, *quantity, NOON).await;
            }
            let before = kept(store, &owner, NOON).await;
            let bought: Vec<_> = ordered.iter().map(|(what, quantity)| (sku(what), *quantity)).collect();
            assert!(store.cart_remove_ordered(Uuid::now_v7(), &owner, &bought, at(NOON)).await.unwrap());
            let left = kept(store, &owner, NOON).await;
            assert_eq!(totals(&left), since.into_iter().collect(), "{engine:?} {case}");
            // Those that stay keep their places.
            let place = |cart: &Cart, what: &str| {
                cart.lines().iter().find(|line| line.sku.as_str() == what).map(|line| line.position)
            };
            for line in left.lines() {
                let what = line.sku.as_str();
                assert_eq!(place(&left, what), place(&before, what), "{engine:?} {case} {what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_a_bag_that_has_expired_since_leaves_nothing_of_it() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        add(store, "guest-1", "A", 5, NOON).await;
        let end = NOON + EXPIRY_MS;
        store.cart_remove_ordered(Uuid::now_v7(), "guest-1", &[(sku("A"), 2)], at(end)).await.unwrap();
        assert_eq!(kept(store, "guest-1", end).await, Cart::default(), "{engine:?}: an expired line is not revived");
        // The same SKU twice in one order counts twice.
        add(store, "guest-1", "B", 5, end).await;
        let twice = [(sku("B"), 2), (sku("B"), 2)];
        store.cart_remove_ordered(Uuid::now_v7(), "guest-1", &twice, at(end)).await.unwrap();
        assert_eq!(totals(&kept(store, "guest-1", end).await), [("B", 1)].into(), "{engine:?}");
    }
}
