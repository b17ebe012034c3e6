//! Placing an order, up to its confirmation or its refusal.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use selvage_checkout::domain::number;
use selvage_proto::cart::v1::cart_line::Availability;
use selvage_proto::checkout::v1::order::{PaymentState, State};
use selvage_proto::checkout::v1::{Order, PlaceOrderRequest};
use selvage_proto::delivery::v1::Speed;
use selvage_status::{Error, precondition_subjects, reason, retry_after};
use selvage_testkit::{Engine, engines, eventually};
use tonic::{Code, Status};

use crate::scripted::euro;
use crate::shop::{NOON, PATIENCE, Shop, purchase};

/// Why an order was refused.
fn why(answer: Result<Order, Status>) -> String {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    reason(&status).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_what_the_buyer_saw() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let request =
            PlaceOrderRequest { speed: Speed::Express.into(), expected_total: Some(euro(8980)), ..purchase("1") };
        let order = shop.place("guest-1", request.clone()).await.unwrap();
        assert_eq!((order.state(), order.payment_state()), (State::Confirmed, PaymentState::Authorised), "{engine:?}");
        assert_eq!((&order.email, &order.address), (&request.email, &request.address));
        assert_eq!(
            (order.speed(), order.number.clone()),
            (Speed::Express, number::of(order.order_id.parse().unwrap()))
        );
        let amounts = order.amounts.clone().unwrap();
        assert_eq!(
            (amounts.subtotal, amounts.delivery, amounts.total),
            (Some(euro(7990)), Some(euro(990)), Some(euro(8980)))
        );
        let lines: Vec<_> = order
            .lines
            .iter()
            .map(|line| (line.sku.as_str(), line.quantity, line.line_total.clone().unwrap()))
            .collect();
        assert_eq!(lines, [("HOX-INK-M", 2, euro(6990)), ("HOX-INK-L", 1, euro(1000))]);
        assert_eq!(order.create_time.unwrap().seconds, NOON / 1000);
        // What was answered is what is stored, whatever the relay has done to it since.
        let stored = shop.order(&order.order_id).await;
        let answered = Order { payment_state: stored.payment_state, update_time: stored.update_time, ..order };
        assert_eq!(stored, answered, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_costs_three_statements_and_one_of_the_provider() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        // Without relay and sweep nobody else uses the pools.
        assert!(shop.background.drain().await.is_ok());
        let counts = || {
            let (orders, provider) = (shop.shelf.pools.orders.snapshot(), shop.shelf.pools.provider.snapshot());
            [orders.statements, orders.transactions, provider.statements]
        };
        let before = counts();
        let order_id = shop.place("guest-1", purchase("1")).await.unwrap().order_id;
        let placed = counts();
        let used: Vec<_> = placed.iter().zip(before).map(|(after, before)| after - before).collect();
        // The order is inserted, by itself; it is advanced, with its messages in one go; the provider books.
        assert_eq!(used, [3, 1, 1], "{engine:?}");
        assert_eq!(shop.shelf.backlog().await, (5, 0), "{engine:?}");
        assert_eq!(shop.peers.done(&order_id), ["ReserveStock"], "what follows is the relay's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_the_buyer_saw_it_is_no_order() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let place = async |request| why(shop.place("guest-1", request).await);
        for expected in [euro(8379), euro(8381), euro(0)] {
            let request = PlaceOrderRequest { expected_total: Some(expected), ..purchase("1") };
            assert_eq!(place(request).await, "PRICE_CHANGED", "{engine:?}");
        }
        let mut dollars = purchase("1");
        dollars.expected_total.as_mut().unwrap().currency = "USD".into();
        assert_eq!(place(dollars).await, "PRICE_CHANGED");
        let stale = PlaceOrderRequest { cart_etag: "2".into(), ..purchase("1") };
        assert_eq!(place(stale).await, "CART_CHANGED");
        shop.peers.refuse("QuoteDelivery", Error::precondition("COUNTRY_NOT_SERVED", "not there"));
        assert_eq!(place(purchase("1")).await, "COUNTRY_NOT_SERVED");
        shop.peers.answer("QuoteDelivery");

        let cart = shop.peers.script().cart.clone();
        for (availability, available, why) in
            [(Availability::Insufficient, 1, "only 1 left"), (Availability::Withdrawn, 0, "is sold out")]
        {
            {
                let line = &mut shop.peers.script().cart.lines[0];
                (line.availability, line.available) = (availability.into(), available);
            }
            let refused = shop.place("guest-1", purchase("1")).await.unwrap_err();
            assert_eq!(reason(&refused).as_deref(), Some("OUT_OF_STOCK"));
            assert_eq!(precondition_subjects(&refused), [("HOX-INK-M".to_owned(), why.to_owned())]);
        }
        shop.peers.script().cart.lines.clear();
        assert_eq!(place(purchase("1")).await, "CART_EMPTY");
        shop.peers.script().cart = cart;

        // Nothing was written, set aside or booked; the same key may still become an order.
        assert_eq!((shop.orders("guest-1").await.len(), shop.peers.asked("ReserveStock")), (0, 0), "{engine:?}");
        let order = shop.place("guest-1", purchase("1")).await.unwrap();
        assert_eq!(order.state(), State::Confirmed, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_one_purchase_even_after_it_emptied_the_cart() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let first = shop.place("guest-1", purchase("1")).await.unwrap();
        let settled = shop.settled(&first.order_id, State::Confirmed).await;
        assert_eq!(shop.place("guest-1", purchase("1")).await.unwrap(), settled, "{engine:?}");
        shop.peers.script().cart.lines.clear();
        assert_eq!(shop.place("guest-1", purchase("1")).await.unwrap(), settled, "{engine:?}");
        let other = PlaceOrderRequest { email: "bob@example.org".into(), ..purchase("1") };
        assert_eq!(why(shop.place("guest-1", other).await), "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(shop.peers.asked("ReserveStock"), 1);
        assert_eq!(shop.orders("guest-1").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_calls_at_once_with_one_key_are_one_order() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let answers = join_all((0..16).map(|_| shop.place("guest-1", purchase("1")))).await;
        let mut ids = BTreeSet::new();
        for answer in answers {
            match answer {
                Ok(order) => drop(ids.insert(order.order_id)),
                Err(status) => {
                    assert_eq!((status.code(), reason(&status).as_deref()), (Code::Aborted, Some("STILL_PLACING")));
                    assert!(retry_after(&status).is_some());
                }
            }
        }
        assert_eq!(ids.len(), 1, "{engine:?}");
        assert_eq!((shop.orders("guest-1").await.len(), shop.peers.asked("ReserveStock")), (1, 1), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_call_is_in_flight_a_second_one_is_told_to_come_back() {
    let shop = Shop::open(Engine::Sqlite).await;
    shop.peers.silence("ReserveStock");
    let waiting = async {
        eventually(PATIENCE, "the first is setting stock aside", async || shop.peers.asked("ReserveStock") == 1).await;
        let second = shop.place("guest-1", purchase("1")).await.unwrap_err();
        let other = PlaceOrderRequest { cart_etag: "3".into(), email: "b@example.org".into(), ..purchase("1") };
        let reused = why(shop.place("guest-1", other).await);
        let seen = shop.orders("guest-1").await.remove(0);
        shop.peers.answer("ReserveStock");
        (second, reused, seen)
    };
    let (first, (second, reused, seen)) = futures::join!(shop.place("guest-1", purchase("1")), waiting);
    assert_eq!((second.code(), reason(&second).as_deref()), (Code::Aborted, Some("STILL_PLACING")));
    assert_eq!((reused.as_str(), seen.state()), ("IDEMPOTENCY_KEY_REUSED", State::Pending));
    assert_eq!(seen.payment_state(), PaymentState::Unspecified);
    assert_eq!(first.unwrap().order_id, seen.order_id);
    assert_eq!(shop.place("guest-1", purchase("1")).await.unwrap().order_id, seen.order_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn placing_goes_on_when_its_caller_has_gone() {
    let shop = Shop::open(Engine::Sqlite).await;
    shop.peers.silence("ReserveStock");
    let asked = eventually(PATIENCE, "stock is being set aside", async || shop.peers.asked("ReserveStock") == 1);
    tokio::select! {
        answer = shop.place("guest-1", purchase("1")) => panic!("nobody could have answered: {answer:?}"),
        () = asked => {}
    }
    // On the same connection, so behind the word that nobody waits any more.
    let order_id = shop.orders("guest-1").await.remove(0).order_id;
    shop.peers.answer("ReserveStock");
    let settled = shop.settled(&order_id, State::Confirmed).await;
    assert_eq!(settled.payment_state(), PaymentState::Captured);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_stock_leaves_no_payment() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let short = Error::precondition("OUT_OF_STOCK", "too little").violated("HOX-INK-M", "only 1 left");
        shop.peers.refuse("ReserveStock", short);
        let refused = shop.place("guest-1", purchase("1")).await.unwrap_err();
        assert_eq!(reason(&refused).as_deref(), Some("OUT_OF_STOCK"));
        assert_eq!(precondition_subjects(&refused), [("HOX-INK-M".to_owned(), "only 1 left".to_owned())]);
        let order = shop.orders("guest-1").await.remove(0);
        assert_eq!(
            (order.state(), order.payment_state()),
            (State::OutOfStock, PaymentState::Unspecified),
            "{engine:?}"
        );
        assert_eq!(shop.shelf.booked(&order.order_id).await, None, "{engine:?}");
        assert_eq!(shop.shelf.backlog().await, (0, 0), "there is nothing to undo");
        // For ever, even when there is stock again.
        shop.peers.answer("ReserveStock");
        let again = shop.place("guest-1", purchase("1")).await.unwrap_err();
        assert_eq!((again.code(), precondition_subjects(&again)), (refused.code(), precondition_subjects(&refused)));
        assert!(shop.place("guest-1", purchase("2")).await.is_ok());
        assert_eq!((shop.peers.asked("ReleaseStock"), shop.peers.done(&order.order_id).len()), (0, 0), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_that_would_lapse_within_a_minute_is_not_confirmed() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        shop.peers.script().held_until = NOON + 59_999;
        assert_eq!(why(shop.place("guest-1", purchase("1")).await), "RESERVATION_LAPSED");
        let order_id = shop.orders("guest-1").await.remove(0).order_id;
        let undone = shop.settled(&order_id, State::Undone).await;
        assert_eq!(undone.payment_state(), PaymentState::Voided, "{engine:?}");
        let booked = shop.shelf.booked(&order_id).await.unwrap();
        assert_eq!((booked.state.as_str(), booked.captured), ("voided", 0), "{engine:?}");
        assert_eq!(shop.peers.done(&order_id), ["ReserveStock", "ReleaseStock"]);
        assert_eq!(why(shop.place("guest-1", purchase("1")).await), "RESERVATION_LAPSED");
        assert_eq!(shop.mails(), 0);

        shop.peers.script().held_until = NOON + 60_000;
        assert_eq!(shop.place("guest-1", purchase("2")).await.unwrap().state(), State::Confirmed, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_that_is_silent_or_broken_may_have_set_stock_aside() {
    let shop = Shop::open(Engine::Sqlite).await;
    shop.peers.silence("ReserveStock");
    let began = std::time::Instant::now();
    assert_eq!(why(shop.place("guest-1", purchase("1")).await), "ORDER_UNDONE");
    assert!(began.elapsed() >= Duration::from_secs(4), "it was waited for");
    shop.peers.answer("ReserveStock");
    let broken = Error::internal("a disk");
    shop.peers.refuse("ReserveStock", broken);
    assert_eq!(why(shop.place("guest-1", purchase("2")).await), "ORDER_UNDONE");
    shop.peers.refuse("ReserveStock", Error::precondition("RESERVATION_RELEASED", "it was given back"));
    assert_eq!(why(shop.place("guest-1", purchase("3")).await), "ORDER_UNDONE");
    for order in shop.orders("guest-1").await {
        let undone = shop.settled(&order.order_id, State::Undone).await;
        assert_eq!(undone.payment_state(), PaymentState::Unspecified);
        assert_eq!(shop.peers.done(&order.order_id).last().unwrap(), "ReleaseStock");
        assert_eq!(shop.shelf.booked(&order.order_id).await, None, "no payment was tried");
    }
    assert_eq!((shop.orders("guest-1").await.len(), shop.mails()), (3, 0));
    // The refusal is the key's for ever.
    shop.peers.answer("ReserveStock");
    assert_eq!(why(shop.place("guest-1", purchase("2")).await), "ORDER_UNDONE");
}
