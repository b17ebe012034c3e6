//! The same key twice, other content under it, and a payment provider that answers twice, late, or never.

use std::time::Duration;

use selvage_proto::checkout::v1::order::State;
use selvage_status::reason;
use selvage_testkit::{Engine, engines, eventually};
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::ledger::Ledger;
use selvage_tests::shop::Separate;
use tonic::Code;

const LONG: Duration = Duration::from_secs(60);

struct Shop {
    shop: Separate,
    clients: Clients,
    ledger: Ledger,
}

async fn shop() -> Option<Shop> {
    if !engines().contains(&Engine::Postgres) {
        return None;
    }
    let shop = Separate::start(Engine::Postgres, async |_| None).await;
    let clients = Clients::new(|name| shop.channel(name));
    let [catalogue, _, checkout, delivery] = &shop.databases;
    let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;
    clients.stock(&shop.tokens(), "KEYED", 100).await;
    Some(Shop { shop, clients, ledger })
}

impl Shop {
    async fn buyer(&self) -> Buyer {
        let buyer = Buyer::new(&self.clients, &self.shop.tokens());
        buyer.add("KEYED", 2).await.expect("the bag takes it");
        buyer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_one_purchase_for_ever() {
    let Some(shop) = shop().await else { return };
    let buyer = shop.buyer().await;
    let intent = buyer.intent("the-same-key-0001", "tok_succeeds").await.unwrap();

    // Twice at once: one is placed, the other is told to wait, or told of the same order.
    let (left, right) = tokio::join!(buyer.place(intent.clone()), buyer.place(intent.clone()));
    let orders: Vec<_> = [left, right]
        .into_iter()
        .filter_map(|outcome| match outcome {
            Ok(order) => Some(order.order_id),
            Err(status) => {
                assert_eq!(status.code(), Code::Aborted, "{status:?}");
                None
            }
        })
        .collect();
    assert!(!orders.is_empty() && orders.iter().all(|id| *id == orders[0]), "{orders:?}");

    shop.ledger.settled(LONG).await;
    // Later, with the bag emptied by the order itself, the same key still means that order.
    assert_eq!(buyer.place(intent.clone()).await.expect("the same order").order_id, orders[0]);
    let mut other = intent.clone();
    other.email = "somebody.else@example.org".into();
    let refused = buyer.place(other).await.expect_err("the key is used");
    assert_eq!(reason(&refused).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"), "{refused:?}");

    // A key is its owner's alone: somebody else's is another purchase.
    let stranger = shop.buyer().await;
    let theirs = stranger.intent("the-same-key-0001", "tok_succeeds").await.unwrap();
    let theirs = stranger.place(theirs).await.expect("their own order");
    assert_ne!(theirs.order_id, orders[0]);
    assert_eq!(stranger.order(&orders[0]).await.expect_err("not theirs to see").code(), Code::NotFound);
    shop.ledger.settled(LONG).await;
    assert_eq!(shop.ledger.orders("confirmed").await, 2);
    shop.ledger.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_purchase_stays_declined_and_holds_nothing() {
    let Some(shop) = shop().await else { return };
    let buyer = shop.buyer().await;
    let intent = buyer.intent("declined-key-0001", "tok_declines").await.unwrap();
    for _ in 0..2 {
        let refused = buyer.place(intent.clone()).await.expect_err("the card is no good");
        assert_eq!(reason(&refused).as_deref(), Some("PAYMENT_DECLINED"), "{refused:?}");
    }
    shop.ledger.settled(LONG).await;
    assert_eq!(shop.ledger.stock("KEYED").await, (100, 0));
    // The bag is still packed, and another card buys it.
    let again = buyer.intent("declined-key-0002", "tok_succeeds").await.unwrap();
    buyer.place(again).await.expect("a good card");
    shop.ledger.settled(LONG).await;
    assert_eq!(shop.ledger.stock("KEYED").await, (98, 0));
    shop.ledger.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_provider_does_an_order_is_paid_once_or_not_at_all() {
    let Some(shop) = shop().await else { return };
    for (card, at_once, fate) in [
        ("tok_answers_twice", true, State::Confirmed),
        // The answer is lost; asked by the order's id the provider says yes.
        ("tok_times_out", true, State::Confirmed),
        // The answer is lost and the provider is still at it: the caller is told to ask again, and in the end it is placed.
        ("tok_answers_late", false, State::Confirmed),
        // The provider never heard of it.
        ("tok_never_arrives", true, State::Undone),
    ] {
        let buyer = shop.buyer().await;
        let intent = buyer.intent(&format!("{card}-0000000"), card).await.unwrap();
        let first = buyer.place(intent.clone()).await;
        if !at_once {
            let status = first.expect_err("nobody knows yet");
            assert_eq!((status.code(), reason(&status).as_deref()), (Code::Aborted, Some("STILL_PLACING")), "{card}");
        }
        let settled = async || match buyer.place(intent.clone()).await {
            Ok(order) => order.state() == fate,
            Err(status) => match reason(&status).as_deref() {
                Some("ORDER_UNDONE") => fate == State::Undone,
                Some("STILL_PLACING") => false,
                _ => panic!("{card}: {status:?}"),
            },
        };
        eventually(LONG, card, settled).await;
    }
    shop.ledger.settled(LONG).await;
    assert_eq!((shop.ledger.orders("confirmed").await, shop.ledger.orders("undone").await), (3, 1));
    assert_eq!(shop.ledger.stock("KEYED").await, (94, 0));
    shop.ledger.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_order_is_shipped_and_arrives() {
    let Some(shop) = shop().await else { return };
    let buyer = shop.buyer().await;
    let intent = buyer.intent("arriving-key-0001", "tok_succeeds").await.unwrap();
    let order = buyer.place(intent).await.expect("placed");
    eventually(LONG, "the parcel is delivered", async || match buyer.shipment(&order.order_id).await {
        Ok(shipment) => shipment.events.len() == 4,
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status:?}");
            false
        }
    })
    .await;
    let left = shop.clients.cart.clone();
    let request = selvage_rpc::with_token(buyer.token(), selvage_proto::cart::v1::GetCartRequest {});
    assert_eq!(left.clone().get_cart(request).await.unwrap().into_inner().item_count, 0, "the bag is empty again");
}
