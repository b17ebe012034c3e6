//! A payment provider that says no, says nothing, says it late or twice: an order is paid once or not at all.

use std::time::{Duration, Instant};

use selvage_checkout::Settings;
use selvage_faults::{Ask, Kind};
use selvage_proto::checkout::v1::order::{PaymentState, State};
use selvage_status::reason;
use selvage_testkit::{Engine, engines};
use tonic::Code;

use crate::shop::{Booked, Shop, paid_with};

/// The provider has 2 s to answer.
fn brisk() -> Settings {
    Settings { place_bound: Duration::from_secs(6), ..Settings::default() }
}

fn booked(state: &str, captured: i64) -> Option<Booked> {
    Some(Booked { state: state.into(), captured, refunded: 0 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_gives_the_stock_back() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        for (key, token) in [("1", "tok_declines"), ("2", "tok_of_somebody_else")] {
            let refused = shop.place("guest-1", paid_with(token, key)).await.unwrap_err();
            assert_eq!(reason(&refused).as_deref(), Some("PAYMENT_DECLINED"), "{engine:?}, {token}");
            let order_id = shop.orders("guest-1").await.remove(0).order_id;
            let declined = shop.settled(&order_id, State::Declined).await;
            assert_eq!(declined.payment_state(), PaymentState::Unspecified);
            assert_eq!(shop.peers.done(&order_id), ["ReserveStock", "ReleaseStock"], "{engine:?}");
            assert_eq!(shop.shelf.booked(&order_id).await, booked("declined", 0));
            let again = shop.place("guest-1", paid_with(token, key)).await.unwrap_err();
            assert_eq!(reason(&again).as_deref(), Some("PAYMENT_DECLINED"), "it stays declined");
        }
        // The same key with another card is another purchase.
        let other = shop.place("guest-1", paid_with("tok_succeeds", "1")).await.unwrap_err();
        assert_eq!(reason(&other).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
        assert_eq!((shop.orders("guest-1").await.len(), shop.mails()), (2, 0), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_arrives_twice_is_booked_once() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order_id = shop.place("guest-1", paid_with("tok_answers_twice", "1")).await.unwrap().order_id;
        let settled = shop.settled(&order_id, State::Confirmed).await;
        assert_eq!(settled.payment_state(), PaymentState::Captured);
        assert_eq!(shop.shelf.booked(&order_id).await, booked("approved", 8380), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_asked_for_by_the_orders_id() {
    let shop = Shop::with(Engine::Sqlite, brisk()).await;
    let (lost, never) = futures::join!(
        shop.place("guest-1", paid_with("tok_times_out", "1")),
        shop.place("guest-2", paid_with("tok_never_arrives", "1")),
    );
    // The provider had approved: nothing is undone blind.
    let order_id = lost.unwrap().order_id;
    assert_eq!(shop.settled(&order_id, State::Confirmed).await.payment_state(), PaymentState::Captured);
    assert_eq!(shop.shelf.booked(&order_id).await, booked("approved", 8380));

    // The provider had never heard of it, and should it hear yet, it will refuse.
    assert_eq!(reason(&never.unwrap_err()).as_deref(), Some("ORDER_UNDONE"));
    let order_id = shop.orders("guest-2").await.remove(0).order_id;
    assert_eq!(shop.settled(&order_id, State::Undone).await.payment_state(), PaymentState::Voided);
    assert_eq!(shop.peers.done(&order_id), ["ReserveStock", "ReleaseStock"]);
    assert_eq!(shop.shelf.booked(&order_id).await, booked("voided", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_provider_is_still_at_it_stays_pending_until_the_sweep_knows() {
    for engine in engines() {
        let shop = Shop::with(engine, brisk()).await;
        let purchase = || paid_with("tok_answers_late", "1");
        let unknown = shop.place("guest-1", purchase()).await.unwrap_err();
        assert_eq!((unknown.code(), reason(&unknown).as_deref()), (Code::Aborted, Some("STILL_PLACING")), "{engine:?}");
        let order_id = shop.orders("guest-1").await.remove(0).order_id;
        assert_eq!(shop.order(&order_id).await.state(), State::Pending);
        assert_eq!(shop.shelf.backlog().await, (0, 0), "nothing is undone while it may still be paid");
        // Past the provider's 5 s and the attempt's time.
        shop.clock.advance_ms(12_000);
        assert_eq!(shop.settled(&order_id, State::Confirmed).await.payment_state(), PaymentState::Captured);
        assert_eq!(shop.place("guest-1", purchase()).await.unwrap().order_id, order_id, "{engine:?}");
        assert_eq!(shop.shelf.booked(&order_id).await, booked("approved", 8380));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_a_fault_touches_charges_nobody_or_takes_its_time() {
    let shop = Shop::with(Engine::Sqlite, brisk()).await;
    let minute = Duration::from_secs(60);
    let failing = shop.faults.start(Ask::new(Kind::DependencyFailing, "payment", minute)).unwrap();
    shop.place("guest-1", paid_with("tok_succeeds", "1")).await.unwrap_err();
    let order_id = shop.orders("guest-1").await.remove(0).order_id;
    assert_eq!(shop.shelf.booked(&order_id).await, None, "no request reached it");
    shop.faults.end(failing.id).unwrap();
    let delay = Some(Duration::from_millis(400));
    shop.faults.start(Ask { delay, ..Ask::new(Kind::DependencySlow, "payment", minute) }).unwrap();
    let began = Instant::now();
    let order_id = shop.place("guest-2", paid_with("tok_succeeds", "1")).await.unwrap().order_id;
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    let settled = shop.settled(&order_id, State::Confirmed).await;
    assert_eq!(settled.payment_state(), PaymentState::Captured);
}
