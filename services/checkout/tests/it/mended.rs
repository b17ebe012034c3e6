//! What a review found: what must not hold up, repeat or hide what else there is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use selvage_boot::{Faults, Host, Life, grpc};
use selvage_checkout::domain::order::State as Stored;
use selvage_checkout::mail::{Mail, MailError, Mailer};
use selvage_checkout::store::{Change, Inserted};
use selvage_checkout::{App, Peers, Settings};
use selvage_identity::Role;
use selvage_proto::checkout::v1::order::{PaymentState, State};
use selvage_proto::checkout::v1::{BatchGetOrderStatesRequest, ListOrdersRequest, Order};
use selvage_rpc::Channel;
use selvage_status::{Error, field_violations, reason, retry_after};
use selvage_testkit::{Engine, engines, eventually};
use tokio::net::TcpListener;
use tonic::server::NamedService as _;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::orders::order;
use crate::scripted::{Peer, Scripted};
use crate::shop::{NOON, PATIENCE, Shelf, Shop, purchase};

#[derive(Clone, Copy)]
enum Weather {
    Fair,
    /// The server is away.
    Away,
    /// The server takes no mail to the buyer, ever.
    Refuses,
}

/// A mailer that does as it is told.
struct Post {
    weather: Mutex<Weather>,
    /// The ids of the mails that it was given, and whether it sent them.
    seen: Mutex<Vec<(String, bool)>>,
}

#[tonic::async_trait]
impl Mailer for Post {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let weather = *self.weather.lock().unwrap();
        self.seen.lock().unwrap().push((mail.id, matches!(weather, Weather::Fair)));
        match weather {
            Weather::Fair => Ok(()),
            Weather::Away => Err(MailError::Later("away".into())),
            Weather::Refuses => Err(MailError::Refused("no such user".into())),
        }
    }
}

impl Post {
    /// Of an order, the occasions that it was asked to write about.
    fn asked(&self, order_id: &str) -> Vec<String> {
        self.of(order_id, |_| true)
    }

    fn sent(&self, order_id: &str) -> Vec<String> {
        self.of(order_id, |sent| sent)
    }

    fn of(&self, order_id: &str, which: impl Fn(bool) -> bool) -> Vec<String> {
        let (seen, head) = (self.seen.lock().unwrap(), format!("{order_id}."));
        let ids = seen.iter().filter(|(_, sent)| which(*sent)).filter_map(|(id, _)| id.strip_prefix(&head));
        ids.map(|rest| rest.trim_end_matches("@selvage").to_owned()).collect()
    }
}

/// The shop with another relay in the place of its own, which sends by `Post`.
async fn with_post(shop: &Shop, weather: Weather) -> (Arc<Post>, Life) {
    assert!(shop.background.drain().await.is_ok());
    let (post, life) = (Arc::new(Post { weather: weather.into(), seen: Mutex::default() }), Life::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut services = grpc::Services::default();
    add::<0>(&mut services, shop);
    add::<1>(&mut services, shop);
    add::<2>(&mut services, shop);
    let (routes, serving) = (services.finish(&life).await.unwrap(), life.clone());
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(async move { grpc::serve(routes, incoming, &serving).await.unwrap() });
    let peer = || Channel::to(address.parse().unwrap()).with_service_token(shop.tokens.service("checkout"));
    let peers = Peers { cart: peer(), catalogue: peer(), delivery: peer() };
    let host = Host {
        clock: shop.clock.clone(),
        verifier: shop.tokens.verifier(),
        life: life.clone(),
        token: None,
        faults: Faults::off(),
    };
    drop(App::new(shop.shelf.pools.clone(), post.clone(), Settings::default(), peers, host));
    (post, life)
}

fn add<const SERVICE: usize>(services: &mut grpc::Services, shop: &Shop) {
    let peer = shop.tokens.verifier().guard(Peer::<SERVICE>(Scripted::clone(&shop.peers)));
    services.add(Peer::<SERVICE>::NAME, |routes| {
        routes.add_service(peer);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_takes_no_mail_gets_goods_and_money_all_the_same() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let (post, life) = with_post(&shop, Weather::Refuses).await;
        let order_id = shop.place("guest-1", purchase("1")).await.unwrap().order_id;
        let settled = shop.settled(&order_id, State::Confirmed).await;
        assert_eq!(settled.payment_state(), PaymentState::Captured, "{engine:?}");
        assert_eq!(shop.peers.done(&order_id).last().unwrap(), "RemoveOrderedLines", "{engine:?}");
        shop.refund(&order_id).await.unwrap();
        let settled = shop.settled(&order_id, State::Refunded).await;
        assert_eq!(settled.payment_state(), PaymentState::PaymentRefunded, "{engine:?}");
        assert_eq!(post.asked(&order_id), ["confirmed", "refunded"], "{engine:?}: each once");
        life.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_that_cannot_be_sent_hold_up_nothing_but_each_other() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let (post, life) = with_post(&shop, Weather::Away).await;
        let order_id = shop.place("guest-1", purchase("1")).await.unwrap().order_id;
        eventually(PATIENCE, "only the mail waits", async || {
            shop.shelf.backlog().await == (1, 0) && !post.asked(&order_id).is_empty()
        })
        .await;
        assert_eq!(shop.peers.done(&order_id).last().unwrap(), "RemoveOrderedLines", "{engine:?}");
        shop.cancel(&order_id).await.unwrap();
        eventually(PATIENCE, "it is cancelled", async || {
            let order = shop.order(&order_id).await;
            let back = order.payment_state() == PaymentState::PaymentRefunded;
            order.state() == State::Cancelled && back && shop.shelf.backlog().await == (2, 0)
        })
        .await;
        // All its attempts but one are behind it. It is the one that isn't under the order's own key.
        let last = "UPDATE outbox_messages SET attempts = 15 WHERE topic = 'mail_confirmed' AND \"key\" <> $1";
        shop.shelf.run(last, order_id.parse().unwrap()).await;
        shop.clock.advance_ms(75_000);
        eventually(PATIENCE, "it is given up", async || shop.shelf.backlog().await == (1, 1)).await;
        assert!(post.asked(&order_id).iter().all(|occasion| occasion == "confirmed"), "{engine:?}: in order");
        let letter = shop.dead_letters().await.remove(0);
        assert_eq!((&letter.order_id, letter.topic.as_str()), (&order_id, "mail_confirmed"), "{engine:?}");

        *post.weather.lock().unwrap() = Weather::Fair;
        assert_eq!(shop.discard(Role::Admin, &letter.message_id).await.unwrap(), letter, "{engine:?}");
        shop.settled(&order_id, State::Cancelled).await;
        assert_eq!(post.sent(&order_id), ["cancelled"], "{engine:?}");
        life.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_discarded_by_admins_and_what_waits_behind_it_is_done() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        shop.peers.refuse("CommitStock", Error::precondition("RESERVATION_RELEASED", "it was given back"));
        let order_id = shop.place("guest-1", purchase("1")).await.unwrap().order_id;
        eventually(PATIENCE, "it is given up", async || shop.shelf.backlog().await.1 == 1).await;
        let letter = shop.dead_letters().await.remove(0);
        for role in [Role::Guest, Role::Customer, Role::Service] {
            let refused = shop.discard(role, &letter.message_id).await.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied);
        }
        for wrong in ["", "x", "1.5"] {
            let refused = shop.discard(Role::Admin, wrong).await.unwrap_err();
            assert_eq!(field_violations(&refused)[0].0, "message_id", "{wrong:?}");
        }
        // Not one that waits, nor one that never was.
        let behind = (letter.message_id.parse::<i64>().unwrap() + 1).to_string();
        for missing in [&behind, "-1"] {
            assert_eq!(shop.discard(Role::Admin, missing).await.unwrap_err().code(), Code::NotFound, "{engine:?}");
        }
        assert_eq!(shop.discard(Role::Admin, &letter.message_id).await.unwrap(), letter, "{engine:?}");
        let settled = shop.settled(&order_id, State::Confirmed).await;
        assert_eq!(settled.payment_state(), PaymentState::Captured, "{engine:?}");
        assert_eq!(shop.peers.done(&order_id), ["ReserveStock", "CreateShipment", "RemoveOrderedLines"], "{engine:?}");
        let gone = shop.discard(Role::Admin, &letter.message_id).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_is_asked_to_stop_a_parcel_once_and_the_buyer_written_to_once() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order_id = shop.place("guest-1", purchase("1")).await.unwrap().order_id;
        shop.settled(&order_id, State::Confirmed).await;
        shop.peers.refuse("CancelShipment", Error::precondition("SHIPMENT_ON_ITS_WAY", "it is on its way"));
        shop.cancel(&order_id).await.unwrap();
        let settled = shop.settled(&order_id, State::Confirmed).await;
        assert!(shop.mail(&order_id, "on-its-way").is_some(), "{engine:?}");
        for _ in 0..3 {
            let refused = shop.cancel(&order_id).await.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition, "{engine:?}");
            assert_eq!(reason(&refused).as_deref(), Some("TOO_LATE_TO_CANCEL"), "{engine:?}");
            assert_eq!(shop.shelf.backlog().await, (0, 0), "{engine:?}");
        }
        assert_eq!(shop.order(&order_id).await, settled, "{engine:?}: nothing has changed");
        assert_eq!((shop.peers.asked("CancelShipment"), shop.mails()), (1, 2), "{engine:?}");
        // The same key is still this order's, and its stock is still taken.
        assert_eq!(shop.place("guest-1", purchase("1")).await.unwrap(), settled, "{engine:?}");
        let states = BatchGetOrderStatesRequest { order_ids: vec![order_id.clone()] };
        let states = shop.client.clone().batch_get_order_states(shop.of("catalogue", Role::Service, states)).await;
        assert_eq!(states.unwrap().into_inner().orders[0].state(), State::Confirmed, "{engine:?}");
        shop.refund(&order_id).await.unwrap();
        shop.settled(&order_id, State::Refunded).await;
        assert_eq!(reason(&shop.cancel(&order_id).await.unwrap_err()).as_deref(), Some("WRONG_STATE"));
    }
}

const HOUR_MS: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_order_is_passed_over_and_hides_no_other() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let mut ids = Vec::new();
        for number in 0..9 {
            let what = order("guest-1", &number.to_string());
            let made = store.order_insert(&what, NOON + 10, NOON + number).await.unwrap();
            assert!(matches!(made, Inserted::New));
            ids.push(what.id);
        }
        // All kinds of damage, at the list's beginning, amid it and at its end.
        shelf.run("UPDATE orders SET lines = '{}' WHERE id = $1", ids[8]).await;
        shelf.run("UPDATE orders SET payment = 'shells' WHERE id = $1", ids[4]).await;
        shelf.run("UPDATE orders SET address = '[]' WHERE id = $1", ids[5]).await;
        shelf.run("UPDATE orders SET refusal = '{\"reason\": \"whim\"}' WHERE id = $1", ids[0]).await;
        if engine == Engine::Sqlite {
            // Its columns take anything, and so what isn't even JSON, or a number.
            shelf.run("UPDATE orders SET lines = 'nonsense' WHERE id = $1", ids[8]).await;
            shelf.run("UPDATE orders SET grams = 'many' WHERE id = $1", ids[5]).await;
        }
        let sound = [7, 6, 3, 2, 1].map(|index: usize| ids[index]);
        for size in 1..=10 {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = store.order_list("guest-1", after, size).await.unwrap();
                let Some(last) = page.last() else { break };
                after = Some((last.created_at, last.what.id));
                seen.extend(page.iter().map(|order| order.what.id));
                assert!(seen.len() <= sound.len(), "{engine:?}, pages of {size}");
            }
            assert_eq!(seen, sound, "{engine:?}, pages of {size}");
        }
        let claimed = store.order_claim_interrupted(NOON + 11, NOON + 1_000, 32).await.unwrap();
        let mut claimed: Vec<_> = claimed.into_iter().map(|order| order.what.id).collect();
        claimed.sort_unstable();
        assert_eq!(claimed, [1, 2, 3, 6, 7].map(|index: usize| ids[index]), "{engine:?}");
        // Those that are damaged are looked at again in an hour, and taken up if somebody has mended them.
        let claim = async |now| {
            let claimed = store.order_claim_interrupted(now, now + 24 * HOUR_MS, 32).await.unwrap();
            claimed.into_iter().map(|order| order.what.id).collect::<Vec<_>>()
        };
        assert_eq!(claim(NOON + 1_001).await.len(), 5, "{engine:?}");
        shelf.run("UPDATE orders SET payment = 'none' WHERE id = $1", ids[4]).await;
        assert!(claim(NOON + HOUR_MS).await.is_empty(), "{engine:?}: not yet");
        assert_eq!(claim(NOON + HOUR_MS + 12).await, [ids[4]], "{engine:?}");

        // The same of those that stand still.
        shelf.run("UPDATE orders SET state = 'cancelling', attempt_until = 0 WHERE id <> $1", ids[1]).await;
        let standing = store.order_claim_standing(NOON + 100, NOON + HOUR_MS, 32).await.unwrap();
        let mut standing: Vec<_> = standing.into_iter().map(|order| order.what.id).collect();
        standing.sort_unstable();
        assert_eq!(standing, [2, 3, 4, 6, 7].map(|index: usize| ids[index]), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_a_newer_versions_state_exists_and_is_left_alone() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order_id = shop.place("guest-1", purchase("1")).await.unwrap().order_id;
        shop.settled(&order_id, State::Confirmed).await;
        let id: Uuid = order_id.parse().unwrap();
        shop.shelf.run("UPDATE orders SET state = 'altered' WHERE id = $1", id).await;
        let states = BatchGetOrderStatesRequest { order_ids: vec![order_id.clone(), Uuid::now_v7().to_string()] };
        let states = shop.client.clone().batch_get_order_states(shop.of("catalogue", Role::Service, states)).await;
        let states = states.unwrap().into_inner().orders;
        let told: Vec<_> = states.iter().map(|order| (&order.order_id, order.state())).collect();
        assert_eq!(told, [(&order_id, State::Unspecified)], "{engine:?}: it isn't unheard of");
        assert_eq!(shop.order(&order_id).await.state(), State::Unspecified, "{engine:?}");
        assert_eq!(shop.orders("guest-1").await.len(), 1, "{engine:?}");
        for refused in [shop.cancel(&order_id).await, shop.refund(&order_id).await] {
            assert_eq!(reason(&refused.unwrap_err()).as_deref(), Some("WRONG_STATE"), "{engine:?}");
        }
        let unknown = (Stored::Confirmed, Stored::Refunding);
        assert!(!shop.shelf.store.order_advance(id, unknown, &Change::default(), NOON).await.unwrap());
        let list = shop.of("guest-1", Role::Guest, ListOrdersRequest::default());
        assert!(shop.client.clone().list_orders(list).await.is_ok(), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_the_same_order_even_while_the_cart_is_away() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order_id = shop.place("guest-1", purchase("1")).await.unwrap().order_id;
        let settled = shop.settled(&order_id, State::Confirmed).await;
        shop.peers.refuse("GetCart", Status::unavailable("away"));
        assert_eq!(shop.place("guest-1", purchase("1")).await.unwrap(), settled, "{engine:?}");
        let new = shop.place("guest-1", purchase("2")).await.unwrap_err();
        assert_eq!(new.code(), Code::Unavailable, "{engine:?}");
        assert_eq!(shop.orders("guest-1").await.len(), 1, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_beyond_what_is_placed_at_once_are_refused_and_those_within_are_finished() {
    let shop = Shop::with(Engine::Sqlite, Settings { place_at_once: 2, ..Settings::default() }).await;
    shop.peers.silence("ReserveStock");
    let at_it = async || {
        let both = futures::future::join(shop.place("guest-1", purchase("1")), shop.place("guest-1", purchase("2")));
        let asked = eventually(PATIENCE, "both are being placed", async || shop.peers.asked("ReserveStock") == 2);
        tokio::select! {
            answers = both => panic!("nobody could have answered: {answers:?}"),
            () = asked => {}
        }
    };
    at_it().await;
    // Whoever asked for them has gone, but they hold their places.
    let refused = shop.place("guest-1", purchase("3")).await.unwrap_err();
    assert_eq!((refused.code(), retry_after(&refused)), (Code::ResourceExhausted, Some(Duration::from_secs(1))));
    assert_eq!((shop.orders("guest-1").await.len(), shop.peers.asked("GetCart")), (2, 2), "nothing came of it");
    // Nor does the process end without them.
    let mut drained = std::pin::pin!(shop.background.drain());
    assert!(tokio::time::timeout(Duration::from_millis(300), drained.as_mut()).await.is_err());
    shop.peers.answer("ReserveStock");
    assert!(drained.await.is_ok());
    let states: Vec<_> = shop.orders("guest-1").await.iter().map(Order::state).collect();
    assert_eq!(states, [State::Confirmed; 2]);
    assert!(shop.place("guest-1", purchase("3")).await.is_ok(), "there is room again");
}
