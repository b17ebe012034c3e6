//! Orders that a crash left pending: the sweep asks the provider, and then confirms or undoes.

use selvage_checkout::domain::order::NewOrder;
use selvage_checkout::payment::{Authorise, Provider as _};
use selvage_checkout::store::Inserted;
use selvage_identity::Role;
use selvage_proto::checkout::v1::CancelOrderRequest;
use selvage_proto::checkout::v1::order::{PaymentState, State};
use selvage_status::{Error, reason};
use selvage_testkit::{Engine, engines, eventually};
use tonic::Status;

use crate::orders::order;
use crate::shop::{NOON, PATIENCE, Shop};

/// What a crash left behind: an order whose payment was asked for with `token`, and whose attempt was to end then.
async fn left_behind(shop: &Shop, key: &str, token: Option<&str>, attempt_until: i64) -> String {
    let what: NewOrder = order("guest-1", key);
    if let Some(token) = token {
        let (amount, currency) = (what.amounts.total, what.amounts.currency.clone());
        let request = Authorise { order_id: what.id, amount, currency, token: token.into() };
        shop.provider.authorise(request).await.unwrap();
    }
    // Last, for the sweep may come at any time.
    assert!(matches!(shop.shelf.store.order_insert(&what, attempt_until, NOON - 60_000).await.unwrap(), Inserted::New));
    what.id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_knows_decides() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let paid = left_behind(&shop, "1", Some("tok_succeeds"), NOON - 1).await;
        let declined = left_behind(&shop, "2", Some("tok_declines"), NOON - 1).await;
        let unpaid = left_behind(&shop, "3", None, NOON - 1).await;
        let at_it = left_behind(&shop, "4", None, NOON).await;

        let settled = shop.settled(&paid, State::Confirmed).await;
        assert_eq!(settled.payment_state(), PaymentState::Captured, "{engine:?}");
        let all = ["ReserveStock", "CommitStock", "CreateShipment", "RemoveOrderedLines"];
        assert_eq!(shop.peers.done(&paid), all, "{engine:?}");
        assert!(shop.mail(&paid, "confirmed").is_some());
        assert_eq!(shop.shelf.booked(&paid).await.unwrap().captured, 7380);

        shop.settled(&declined, State::Declined).await;
        assert_eq!(shop.peers.done(&declined), ["ReleaseStock"], "{engine:?}");
        let settled = shop.settled(&unpaid, State::Undone).await;
        assert_eq!(settled.payment_state(), PaymentState::Voided, "{engine:?}");
        assert_eq!(shop.peers.done(&unpaid), ["ReleaseStock"], "{engine:?}");
        // Should the crashed attempt's request arrive yet, it is refused.
        assert_eq!(shop.shelf.booked(&unpaid).await.unwrap().state, "voided");

        // Whoever places this one may go on.
        assert_eq!(shop.order(&at_it).await.state(), State::Pending, "{engine:?}");
        let cancel = shop.of("guest-1", Role::Guest, CancelOrderRequest { order_id: at_it.clone() });
        let refused = shop.client.clone().cancel_order(cancel).await.unwrap_err();
        assert_eq!(reason(&refused).as_deref(), Some("WRONG_STATE"));
        shop.clock.advance_ms(1);
        shop.settled(&at_it, State::Undone).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_crash_left_is_taken_up_together() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let mut left = Vec::new();
        for number in 0..24 {
            left.push(left_behind(&shop, &number.to_string(), Some("tok_succeeds"), NOON).await);
        }
        // At once: while one is in a transaction, another asks the provider and a third the catalogue.
        shop.clock.advance_ms(1);
        for order_id in &left {
            let settled = shop.settled(order_id, State::Confirmed).await;
            assert_eq!(settled.payment_state(), PaymentState::Captured, "{engine:?}");
            assert_eq!(shop.shelf.booked(order_id).await.unwrap().captured, 7380);
        }
        assert_eq!((shop.peers.asked("ReserveStock"), shop.mails()), (24, 24), "{engine:?}: each once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_without_stock_goes_back() {
    let shop = Shop::open(Engine::Sqlite).await;
    let undone_by = [
        Error::precondition("RESERVATION_RELEASED", "it was given back"),
        Error::precondition("OUT_OF_STOCK", "too little").violated("HOX-INK-M", "is sold out"),
    ];
    for (number, refusal) in undone_by.into_iter().enumerate() {
        shop.peers.refuse("ReserveStock", refusal);
        let order_id = left_behind(&shop, &number.to_string(), Some("tok_succeeds"), NOON - 1).await;
        assert_eq!(shop.settled(&order_id, State::Undone).await.payment_state(), PaymentState::Voided);
        assert_eq!(shop.peers.done(&order_id), ["ReleaseStock"]);
        assert_eq!(shop.shelf.booked(&order_id).await.unwrap().state, "voided");
    }
    shop.peers.answer("ReserveStock");
    shop.peers.script().held_until = NOON + 59_999;
    let order_id = left_behind(&shop, "lapsing", Some("tok_succeeds"), NOON - 1).await;
    assert_eq!(shop.settled(&order_id, State::Undone).await.payment_state(), PaymentState::Voided);
    assert_eq!(shop.peers.done(&order_id), ["ReserveStock", "ReleaseStock"]);
    assert_eq!(shop.mails(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_known_now_stays_pending_and_is_taken_up_again() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        shop.peers.refuse("ReserveStock", Status::unavailable("away"));
        let order_id = left_behind(&shop, "1", Some("tok_succeeds"), NOON - 1).await;
        let asked = async || shop.peers.asked("ReserveStock") >= 3;
        eventually(PATIENCE, "the catalogue is asked, and asked again", asked).await;
        assert_eq!(shop.order(&order_id).await.state(), State::Pending, "{engine:?}");
        assert_eq!(shop.shelf.backlog().await, (0, 0), "{engine:?}: nothing is undone");
        shop.peers.answer("ReserveStock");
        // The claim of the sweep that failed keeps others off for as long as an attempt may take.
        shop.clock.advance_ms(24_001);
        let settled = shop.settled(&order_id, State::Confirmed).await;
        assert_eq!(settled.payment_state(), PaymentState::Captured, "{engine:?}");
        assert_eq!(shop.shelf.booked(&order_id).await.unwrap().captured, 7380);
    }
}
