//! What follows from an order: parcels, mails, cancellations, refunds; peers that are away, and what they never do.

use base64::Engine as _;
use selvage_identity::Role;
use selvage_proto::cart::v1::OrderedLine;
use selvage_proto::checkout::v1::order::{PaymentState, State};
use selvage_proto::checkout::v1::{DeadLetter, ListDeadLettersRequest, PlaceOrderRequest, RetryDeadLetterRequest};
use selvage_status::{Error, reason};
use selvage_testkit::{Engine, engines, eventually};
use tonic::{Response, Status};

use crate::shop::{Booked, PATIENCE, Shop, purchase};

const ALL_DONE: [&str; 4] = ["ReserveStock", "CommitStock", "CreateShipment", "RemoveOrderedLines"];

async fn place(shop: &Shop, key: &str) -> String {
    shop.place("guest-1", purchase(key)).await.unwrap().order_id
}

async fn dead_letters(shop: &Shop, page_size: i32, page_token: String) -> (Vec<DeadLetter>, String) {
    let request = shop.of("ops", Role::Admin, ListDeadLettersRequest { page_size, page_token });
    let page = shop.client.clone().list_dead_letters(request).await.unwrap().into_inner();
    (page.dead_letters, page.next_page_token)
}

async fn retry(shop: &Shop, message_id: &str) -> Result<DeadLetter, Status> {
    let request = shop.of("ops", Role::Admin, RetryDeadLetterRequest { message_id: message_id.into() });
    shop.client.clone().retry_dead_letter(request).await.map(Response::into_inner)
}

fn refunded(amount: i64) -> Option<Booked> {
    Some(Booked { state: "approved".into(), captured: amount, refunded: amount })
}

/// A mail's text, of whichever encoding.
fn text(mail: &str) -> String {
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    if head.to_lowercase().contains("base64") {
        let bytes = base64::engine::general_purpose::STANDARD.decode(body.replace("\r\n", "")).unwrap();
        return String::from_utf8(bytes).unwrap();
    }
    body.replace("=\r\n", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_order_is_taken_paid_shipped_written_about_and_out_of_the_cart() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order_id = place(&shop, "1").await;
        let settled = shop.settled(&order_id, State::Confirmed).await;
        assert_eq!(settled.payment_state(), PaymentState::Captured, "{engine:?}");
        assert_eq!(shop.peers.done(&order_id), ALL_DONE, "{engine:?}: each once and in sequence");
        for method in &ALL_DONE {
            assert_eq!(shop.peers.callers(method), ["checkout".to_owned()].into(), "{method}");
        }
        let parcel = shop.peers.script().parcel.take().unwrap();
        assert_eq!((parcel.owner.as_str(), parcel.grams, parcel.address), ("guest-1", 750, settled.address.clone()));
        let cleared = shop.peers.script().cleared.take().unwrap();
        let lines = [("HOX-INK-M", 2), ("HOX-INK-L", 1)];
        let lines = lines.map(|(sku, quantity)| OrderedLine { sku: sku.into(), quantity });
        assert_eq!((cleared.owner.as_str(), cleared.lines.as_slice()), ("guest-1", &lines[..]));

        let mail = shop.mail(&order_id, "confirmed").unwrap();
        let has = |head: String| assert!(mail.contains(&head), "{engine:?}: no {head} in\n{mail}");
        has("To: ada@example.org\r\n".into());
        has(format!("Subject: Thank you for order {}\r\n", settled.number));
        has(format!("Message-ID: <{order_id}.confirmed@selvage>\r\n"));
        let text = text(&mail);
        assert!(text.contains("Hello Ada Weber,") && text.contains("Total: 83.80 EUR"), "{text}");
        assert_eq!(shop.mails(), 1, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_taken_as_a_buyer_gets_a_mail() {
    let shop = Shop::open(Engine::Sqlite).await;
    let strange = [
        "o'hara+shirts@mail.example.org",
        "\"a b\"@example.org",
        "\"<ada>\"@example.org",
        "ådå@exämple.org",
        "ada@[127.0.0.1]",
        "!#$%&*-/=?^_`{|}~@example.org",
    ];
    let mut taken = 0;
    for (number, email) in strange.iter().enumerate() {
        let request = PlaceOrderRequest { email: (*email).into(), ..purchase(&number.to_string()) };
        if let Ok(order) = shop.place("guest-1", request).await {
            taken += 1;
            eventually(PATIENCE, &format!("a mail to {email}"), async || {
                assert_eq!(shop.shelf.failed(&order.order_id).await, None, "{email}");
                shop.mail(&order.order_id, "confirmed").is_some()
            })
            .await;
        }
    }
    assert!(taken >= 2, "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_away_is_asked_again_and_nothing_is_done_twice_or_out_of_turn() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        shop.peers.refuse("CreateShipment", Status::unavailable("away"));
        let order_id = place(&shop, "1").await;
        for (failures, pause_ms) in [(1, 1_000), (2, 2_000), (3, 4_000)] {
            shop.failed_and_waits(&order_id, failures, pause_ms).await;
            assert_eq!(shop.peers.done(&order_id), ALL_DONE[..2], "{engine:?}");
            assert_eq!(shop.mail(&order_id, "confirmed"), None, "what comes after waits");
            if failures == 3 {
                shop.peers.answer("CreateShipment");
            }
            shop.clock.advance_ms(pause_ms * 5 / 4);
        }
        let settled = shop.settled(&order_id, State::Confirmed).await;
        assert_eq!(settled.payment_state(), PaymentState::Captured);
        assert_eq!(shop.peers.done(&order_id), ALL_DONE, "{engine:?}");
        assert!(shop.mail(&order_id, "confirmed").is_some());
        assert_eq!(shop.shelf.booked(&order_id).await.unwrap().captured, 8380);
        assert_eq!(shop.dead_letters().await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_refuses_for_good_an_admin_sees_and_retries() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        shop.peers.refuse("CommitStock", Error::precondition("RESERVATION_RELEASED", "it was given back"));
        let stuck = [place(&shop, "1").await, place(&shop, "2").await];
        eventually(PATIENCE, "both are given up", async || shop.shelf.backlog().await.1 == 2).await;
        shop.peers.answer("CommitStock");
        // They hold up nobody but themselves.
        let other = place(&shop, "3").await;
        eventually(PATIENCE, "another's mail", async || shop.mail(&other, "confirmed").is_some()).await;
        for order_id in &stuck {
            assert_eq!(shop.order(order_id).await.payment_state(), PaymentState::Authorised, "{engine:?}");
            assert_eq!(shop.peers.done(order_id), ["ReserveStock"], "{engine:?}");
        }
        let (first, next) = dead_letters(&shop, 1, String::new()).await;
        let (second, end) = dead_letters(&shop, 1, next).await;
        assert_eq!((first.len(), second.len(), end.as_str()), (1, 1, ""), "{engine:?}");
        let letters = [&first[0], &second[0]];
        assert_eq!(letters.map(|letter| letter.order_id.clone()), stuck, "{engine:?}: the oldest first");
        for letter in letters {
            assert_eq!((letter.topic.as_str(), letter.attempts), ("commit_stock", 1));
            assert!(letter.last_error.contains("it was given back"), "{letter:?}");
            let retried = retry(&shop, &letter.message_id).await.unwrap();
            assert_eq!((&retried.message_id, retried.attempts), (&letter.message_id, 0));
        }
        for order_id in &stuck {
            let settled = shop.settled(order_id, State::Confirmed).await;
            assert_eq!(settled.payment_state(), PaymentState::Captured, "{engine:?}");
            assert_eq!(shop.peers.done(order_id), ALL_DONE, "{engine:?}");
        }
        assert_eq!(shop.dead_letters().await, []);
        let gone = retry(&shop, &letters[0].message_id).await.unwrap_err();
        assert_eq!(gone.code(), tonic::Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_stopped_in_time_is_undone_and_its_money_given_back() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order_id = place(&shop, "1").await;
        shop.settled(&order_id, State::Confirmed).await;
        shop.peers.silence("CancelShipment");
        assert_eq!(shop.cancel(&order_id).await.unwrap().state(), State::Cancelling, "{engine:?}");
        // Asking again changes nothing, and an admin can't refund at the same time.
        assert_eq!(shop.cancel(&order_id).await.unwrap().state(), State::Cancelling);
        assert_eq!(reason(&shop.refund(&order_id).await.unwrap_err()).as_deref(), Some("WRONG_STATE"));
        shop.peers.answer("CancelShipment");
        let settled = shop.settled(&order_id, State::Cancelled).await;
        assert_eq!(settled.payment_state(), PaymentState::PaymentRefunded, "{engine:?}");
        assert_eq!(shop.peers.done(&order_id)[4..], ["CancelShipment", "ReleaseStock"], "{engine:?}");
        assert_eq!(shop.shelf.booked(&order_id).await, refunded(8380));
        let mail = shop.mail(&order_id, "cancelled").unwrap();
        assert!(mail.contains(&format!("Subject: Order {} is cancelled\r\n", settled.number)));
        assert_eq!(shop.mails(), 2);
        assert_eq!(shop.cancel(&order_id).await.unwrap(), settled, "{engine:?}");
        assert_eq!(reason(&shop.refund(&order_id).await.unwrap_err()).as_deref(), Some("WRONG_STATE"));
        assert_eq!(shop.place("guest-1", purchase("1")).await.unwrap(), settled, "the key is still this order's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_has_left_is_not_stopped() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order_id = place(&shop, "1").await;
        shop.settled(&order_id, State::Confirmed).await;
        shop.peers.refuse("CancelShipment", Error::precondition("SHIPMENT_ON_ITS_WAY", "it is on its way"));
        assert_eq!(shop.cancel(&order_id).await.unwrap().state(), State::Cancelling);
        let settled = shop.settled(&order_id, State::Confirmed).await;
        assert_eq!(settled.payment_state(), PaymentState::Captured, "{engine:?}");
        assert_eq!(shop.peers.done(&order_id), ALL_DONE, "{engine:?}");
        assert!(shop.mail(&order_id, "on-its-way").is_some(), "{engine:?}");
        assert_eq!(shop.mail(&order_id, "cancelled"), None);
        // It can still be refunded when it has come back.
        shop.refund(&order_id).await.unwrap();
        shop.settled(&order_id, State::Refunded).await;
        assert_eq!(shop.shelf.booked(&order_id).await, refunded(8380));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_waits_its_turn_behind_what_was_to_be_done_before() {
    let shop = Shop::open(Engine::Sqlite).await;
    shop.peers.refuse("CommitStock", Status::unavailable("away"));
    let order_id = place(&shop, "1").await;
    shop.failed_and_waits(&order_id, 1, 1_000).await;
    assert_eq!(shop.cancel(&order_id).await.unwrap().state(), State::Cancelling);
    shop.peers.answer("CommitStock");
    shop.clock.advance_ms(1_250);
    let settled = shop.settled(&order_id, State::Cancelled).await;
    assert_eq!(settled.payment_state(), PaymentState::PaymentRefunded);
    let done = shop.peers.done(&order_id);
    assert_eq!(
        (&done[..4], &done[4..]),
        (&ALL_DONE.map(Into::into)[..], &["CancelShipment", "ReleaseStock"].map(Into::into)[..])
    );
    assert_eq!(shop.shelf.booked(&order_id).await, refunded(8380));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_gives_money_back_once() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order_id = place(&shop, "1").await;
        // Right behind the order: what was to be done before is done before.
        let asked = shop.refund(&order_id).await.unwrap();
        assert!(matches!(asked.state(), State::Refunding | State::Refunded), "{engine:?}: {asked:?}");
        let settled = shop.settled(&order_id, State::Refunded).await;
        assert_eq!(settled.payment_state(), PaymentState::PaymentRefunded, "{engine:?}");
        assert_eq!(shop.refund(&order_id).await.unwrap(), settled);
        assert_eq!(shop.shelf.booked(&order_id).await, refunded(8380));
        assert!(text(&shop.mail(&order_id, "refunded").unwrap()).contains("83.80 EUR back to your card"));
        assert_eq!(shop.peers.done(&order_id), ALL_DONE, "{engine:?}: a refund is no cancellation");
        assert_eq!(reason(&shop.cancel(&order_id).await.unwrap_err()).as_deref(), Some("WRONG_STATE"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_never_placed_is_neither_cancelled_nor_refunded() {
    let shop = Shop::open(Engine::Sqlite).await;
    let declined = PlaceOrderRequest { payment_token: "tok_declines".into(), ..purchase("1") };
    assert!(shop.place("guest-1", declined).await.is_err());
    let order_id = shop.orders("guest-1").await.remove(0).order_id;
    let refused = [shop.cancel(&order_id).await.unwrap_err(), shop.refund(&order_id).await.unwrap_err()];
    assert!(refused.iter().all(|status| reason(status).as_deref() == Some("WRONG_STATE")), "{refused:?}");
    shop.settled(&order_id, State::Declined).await;
    assert_eq!(shop.mails(), 0);
}
