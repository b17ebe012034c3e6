//! Orders that stand still: how they are counted, and how they are taken up.

use selvage_checkout::domain::order::{NewOrder, PaymentState, State, is_at_rest};
use selvage_checkout::payment::{Authorise, Provider as _};
use selvage_checkout::store::{Inserted, MOST_STANDING};
use selvage_identity::Role;
use selvage_outbox::{Outgoing, Waiting};
use selvage_proto::checkout::v1::order::{PaymentState as ApiPayment, State as ApiState};
use selvage_status::Error;
use selvage_testkit::{engines, eventually};
use uuid::Uuid;

use crate::orders::order;
use crate::shop::{Booked, NOON, PATIENCE, Shelf, Shop};

/// An order that has been in this state, with its payment in that one, since `NOON`.
async fn in_state(shelf: &Shelf, state: State, payment: PaymentState) -> Uuid {
    let id = order("guest-1", "").id;
    let what = NewOrder { id, ..order("guest-1", &id.to_string()) };
    assert!(matches!(shelf.store.order_insert(&what, NOON, NOON).await.unwrap(), Inserted::New));
    let (state, payment) = (state.word(), payment.word());
    shelf.run(&format!("UPDATE orders SET state = '{state}', payment = '{payment}' WHERE id = $1"), id).await;
    id
}

/// A message under `key`, written at `NOON`.
async fn message(shelf: &Shelf, key: Uuid, topic: &'static str) {
    let message = Outgoing { key, topic, payload: Vec::new() };
    let pool = &shelf.pools.orders;
    pool.run_tx("enqueue", selvage_pool::Class::Normal, |tx| {
        let message = message.clone();
        async move { selvage_outbox::enqueue(&tx, NOON, [message]).await }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_counts_those_that_the_domain_says_are_not_at_rest() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        for state in State::ALL {
            for payment in PaymentState::ALL {
                let id = in_state(&shelf, state, payment).await;
                let counted = shelf.store.order_count_standing(NOON + 1).await.unwrap();
                assert_eq!(counted == 1, !is_at_rest(state, payment), "{engine:?}: {state:?}, {payment:?}");
                assert_eq!(
                    shelf.store.order_count_standing(NOON).await.unwrap(),
                    0,
                    "{engine:?}: it hasn't stood for long"
                );
                shelf.run("DELETE FROM orders WHERE id = $1", id).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_message_waits_stands_still_however_it_looks_and_is_counted_once() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let id = in_state(&shelf, State::Confirmed, PaymentState::Captured).await;
        // A mail has a key of its own, and no order stands still for it.
        message(&shelf, Uuid::from_u128(id.as_u128() ^ (1 << 63)), "mail_confirmed").await;
        assert_eq!(shelf.store.order_count_standing(NOON + 1).await.unwrap(), 0, "{engine:?}");
        message(&shelf, id, "create_shipment").await;
        message(&shelf, id, "clear_cart").await;
        assert_eq!(shelf.store.order_count_standing(NOON).await.unwrap(), 0, "{engine:?}");
        assert_eq!(shelf.store.order_count_standing(NOON + 1).await.unwrap(), 1, "{engine:?}");
        shelf.run("UPDATE orders SET state = 'cancelling' WHERE id = $1", id).await;
        assert_eq!(shelf.store.order_count_standing(NOON + 1).await.unwrap(), 1, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_a_thousand_are_counted() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let id = in_state(&shelf, State::Cancelling, PaymentState::Captured).await;
        let columns = "fingerprint, number, state, payment, refusal, lines, amounts, email, address, speed, grams, \
                       attempt_until, created_at, updated_at";
        let new_id = if engine == selvage_testkit::Engine::Postgres { "gen_random_uuid()" } else { "randomblob(16)" };
        let copies = format!(
            "WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < {}) \
             INSERT INTO orders (id, owner, idempotency_key, {columns}) \
             SELECT {new_id}, owner, 'copy-' || n, {columns} FROM orders, copies WHERE id = $1",
            MOST_STANDING + 5
        );
        shelf.run(&copies, id).await;
        assert_eq!(shelf.store.order_count_standing(NOON + 1).await.unwrap(), MOST_STANDING, "{engine:?}");
    }
}

const MINUTE: i64 = 60_000;

/// An order that has stood still in `state` for an hour, its money taken, with these messages, of which the first is a dead
/// letter.
async fn standing(shop: &Shop, state: State, messages: &[&'static str]) -> String {
    let order_id = standing_until(shop, state, messages, NOON - 60 * MINUTE).await;
    // The sweep may have looked at this moment already; it looks again when it is ten seconds later.
    shop.clock.advance_ms(10_000);
    order_id
}

/// The same, which the sweep leaves alone until `attempt_until`.
async fn standing_until(shop: &Shop, state: State, messages: &[&'static str], attempt_until: i64) -> String {
    let what = order("guest-1", &Uuid::now_v7().to_string());
    let (amount, currency) = (what.amounts.total, what.amounts.currency.clone());
    let token = "tok_succeeds".to_owned();
    shop.provider.authorise(Authorise { order_id: what.id, amount, currency, token }).await.unwrap();
    shop.provider.capture(what.id).await.unwrap();
    // The order last, and at once as it is to be: relay and sweep may come at any time.
    for (turn, topic) in messages.iter().enumerate() {
        let sql = format!(
            "INSERT INTO outbox_messages (number, \"key\", topic, payload, created_at, next_at, attempts, dead, last_error) \
             VALUES ({turn}, $1, '{topic}', '', {NOON}, {NOON}, 1, {}, 'FailedPrecondition: the shipment was cancelled')",
            if turn == 0 { "TRUE" } else { "FALSE" }
        );
        shop.shelf.run(&sql, what.id).await;
    }
    let (now, state) = (shop.clock.now_ms(), state.word());
    assert!(matches!(shop.shelf.store.order_insert(&what, now + MINUTE, now).await.unwrap(), Inserted::New));
    let since = now - 60 * MINUTE;
    let sql = format!(
        "UPDATE orders SET state = '{state}', payment = 'captured', attempt_until = {attempt_until}, updated_at = {since} WHERE id = $1"
    );
    shop.shelf.run(&sql, what.id).await;
    what.id.to_string()
}

fn refunded() -> Option<Booked> {
    Some(Booked { state: "approved".into(), captured: 7380, refunded: 7380 })
}

/// What a crash left behind before the rule held that a parcel which was cancelled since is answered as the first time: the
/// order cancelling for ever behind a dead letter, the money kept.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_kept_its_money_behind_a_dead_letter_is_mended_by_the_upgrade() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let messages = ["create_shipment", "mail_confirmed", "clear_cart", "cancel_shipment"];
        let order_id = standing(&shop, State::Cancelling, &messages).await;
        let settled = shop.settled(&order_id, ApiState::Cancelled).await;
        assert_eq!(settled.payment_state(), ApiPayment::PaymentRefunded, "{engine:?}");
        let done = ["CreateShipment", "RemoveOrderedLines", "CancelShipment", "ReleaseStock"];
        assert_eq!(shop.peers.done(&order_id), done, "{engine:?}");
        assert_eq!(shop.shelf.booked(&order_id).await, refunded(), "{engine:?}");
        assert!(shop.mail(&order_id, "cancelled").is_some());
        assert_eq!(shop.shelf.store.order_count_standing(i64::MAX).await.unwrap(), 0, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_somebody_must_look_at_stays_one_and_is_tried_again_after_growing_pauses() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        shop.peers.refuse("CreateShipment", Error::precondition("COUNTRY_NOT_SERVED", "nothing goes there"));
        let order_id = standing(&shop, State::Cancelling, &["create_shipment", "cancel_shipment"]).await;
        let tried = async |times| {
            let what = format!("{engine:?}: it was tried {times} times, and is dead again");
            eventually(PATIENCE, &what, async || {
                shop.peers.asked("CreateShipment") == times && shop.shelf.backlog().await == (1, 1)
            })
            .await;
        };
        tried(1).await;
        // Not before an hour is over: this is its last moment, in which the sweep takes up another.
        let next = shop.shelf.store.order_get(order_id.parse().unwrap()).await.unwrap().unwrap().attempt_until;
        shop.clock.advance_ms(next - 10_000 - shop.clock.now_ms());
        let other = standing(&shop, State::Cancelling, &[]).await;
        eventually(PATIENCE, "the sweep has looked", async || shop.peers.asked("CancelShipment") == 1).await;
        assert_eq!(shop.order(&other).await.order_id, other);
        assert_eq!(shop.peers.asked("CreateShipment"), 1, "{engine:?}");
        shop.clock.advance_ms(10_000);
        tried(2).await;
        // It is listed all the while, and its order counted.
        let letters = shop.dead_letters().await;
        assert_eq!((letters.len(), letters[0].order_id.as_str()), (1, order_id.as_str()), "{engine:?}");
        assert!(letters[0].last_error.contains("nothing goes there"));
        assert_eq!(shop.shelf.store.order_count_standing(shop.clock.now_ms()).await.unwrap(), 1, "{engine:?}");
        // What was in its way is mended, and so is the order, the next time.
        shop.peers.answer("CreateShipment");
        shop.clock.advance_ms(60 * MINUTE + 10_000);
        shop.settled(&order_id, ApiState::Cancelled).await;
        assert_eq!(shop.shelf.booked(&order_id).await, refunded(), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_messages_are_gone_is_given_those_that_its_state_asks_for() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let cancelling = standing(&shop, State::Cancelling, &[]).await;
        let refunding = standing(&shop, State::Refunding, &[]).await;
        let cancelled = standing(&shop, State::Cancelled, &[]).await;
        for (order_id, state) in
            [(&cancelling, ApiState::Cancelled), (&refunding, ApiState::Refunded), (&cancelled, ApiState::Cancelled)]
        {
            eventually(PATIENCE, "its money went back", async || {
                let order = shop.order(order_id).await;
                order.state() == state && order.payment_state() == ApiPayment::PaymentRefunded
            })
            .await;
            assert_eq!(shop.shelf.booked(order_id).await, refunded(), "{engine:?}");
        }
        eventually(PATIENCE, "nothing waits", async || shop.shelf.backlog().await == (0, 0)).await;
        assert_eq!(shop.peers.done(&cancelling), ["CancelShipment", "ReleaseStock"], "{engine:?}");
        assert_eq!(shop.peers.done(&refunding), [""; 0], "{engine:?}");
        assert_eq!(shop.peers.done(&cancelled), ["ReleaseStock"], "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_stands_still_is_claimed_by_one_and_left_alone_once_it_has_changed() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let standing = in_state(&shelf, State::Cancelling, PaymentState::Captured).await;
        for (state, payment) in [(State::Pending, PaymentState::None), (State::Confirmed, PaymentState::Captured)] {
            in_state(&shelf, state, payment).await;
        }
        let now = NOON + 20 * MINUTE;
        assert!(store.order_claim_standing(NOON, now, 32).await.unwrap().is_empty(), "{engine:?}: not for long enough");
        assert!(store.order_claim_standing(NOON + 1, NOON, 32).await.unwrap().is_empty(), "{engine:?}: not yet");
        let claimed = store.order_claim_standing(NOON + 1, now, 32).await.unwrap();
        assert_eq!(claimed.iter().map(|order| order.what.id).collect::<Vec<_>>(), [standing], "{engine:?}");
        // After as long again as it has stood, and not before.
        assert!(store.order_claim_standing(NOON + 1, NOON + 40 * MINUTE, 32).await.unwrap().is_empty(), "{engine:?}");
        let again = store.order_claim_standing(NOON + 1, NOON + 40 * MINUTE + 1, 32).await.unwrap();
        assert_eq!(again.len(), 1, "{engine:?}");

        let messages = [Outgoing { key: standing, topic: "cancel_shipment", payload: Vec::new() }];
        let take_up = async |order| store.order_take_up(order, &messages, now).await.unwrap();
        assert_eq!(take_up(&again[0]).await, Waiting::Nothing, "{engine:?}");
        assert_eq!(shelf.backlog().await, (1, 0), "{engine:?}");
        assert_eq!(take_up(&again[0]).await, Waiting::Relay, "{engine:?}: it has what it was given");
        assert_eq!(shelf.backlog().await, (1, 0), "{engine:?}");
        shelf.run("DELETE FROM outbox_messages WHERE \"key\" = $1", standing).await;
        shelf.run("UPDATE orders SET state = 'cancelled' WHERE id = $1", standing).await;
        assert_eq!(take_up(&again[0]).await, Waiting::Nothing, "{engine:?}");
        assert_eq!(shelf.backlog().await, (0, 0), "{engine:?}: it isn't in that state any more");
    }
}

/// Nobody will do it, so nothing waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_discarded_message_was_to_bring_about_is_said_of_the_order() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        shop.peers.refuse("CancelShipment", Error::precondition("SOMETHING", "it can't"));
        for (topic, state, becomes, payment) in [
            ("refund_payment", State::Refunding, ApiState::Refunded, ApiPayment::PaymentRefunded),
            ("cancel_shipment", State::Cancelling, ApiState::Confirmed, ApiPayment::Captured),
            ("capture_payment", State::Confirmed, ApiState::Confirmed, ApiPayment::Voided),
            ("create_shipment", State::Confirmed, ApiState::Confirmed, ApiPayment::Captured),
        ] {
            let order_id = standing_until(&shop, state, &[topic], i64::MAX).await;
            eventually(PATIENCE, "it is a dead letter", async || shop.shelf.backlog().await == (0, 1)).await;
            let letter = shop.dead_letters().await.remove(0);
            shop.discard(Role::Admin, &letter.message_id).await.unwrap();
            let settled = shop.settled(&order_id, becomes).await;
            assert_eq!(settled.payment_state(), payment, "{engine:?}: {topic}");
            assert_eq!(shop.mail(&order_id, "on-its-way").is_some(), topic == "cancel_shipment", "{engine:?}: {topic}");
            assert_eq!(shop.shelf.booked(&order_id).await.unwrap().refunded, 0, "{engine:?}: nothing was done");
        }
    }
}
