//! Watching a parcel.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use selvage_delivery::domain::shipment::State as Kept;
use selvage_identity::Role;
use selvage_pool::{Class, StoreError, Tx};
use selvage_proto::delivery::v1::shipment::State;
use selvage_proto::delivery::v1::{CancelShipmentRequest, Shipment, TrackShipmentRequest};
use selvage_status::{reason, retry_after};
use selvage_testkit::{Engine, engines, eventually};
use tokio::sync::Barrier;
use tonic::{Code, Streaming};
use uuid::Uuid;

use crate::shop::{NOON, STEP_MS, Shop};

const BOUND: Duration = Duration::from_secs(10);

async fn watch(shop: &Shop, order: Uuid, owner: &str) -> Streaming<Shipment> {
    let request = TrackShipmentRequest { order_id: order.to_string() };
    shop.client.clone().track_shipment(shop.of(owner, Role::Guest, request)).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<Shipment>) -> Option<Shipment> {
    tokio::time::timeout(BOUND, stream.message()).await.expect("within its bound").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_see_every_state_and_then_the_end() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let (order, other) = (Uuid::now_v7(), Uuid::now_v7());
        shop.ship(order, "guest-1").await;
        let (mut one, mut two) = (watch(&shop, order, "guest-1").await, watch(&shop, order, "guest-1").await);
        for stream in [&mut one, &mut two] {
            assert_eq!(next(stream).await.unwrap().state(), State::LabelCreated);
        }
        // A parcel that nobody watches doesn't disturb.
        shop.ship(other, "guest-2").await;
        for (count, state) in [(2, State::InTransit), (3, State::OutForDelivery), (4, State::Delivered)] {
            shop.clock.advance_ms(STEP_MS);
            for stream in [&mut one, &mut two] {
                let seen = next(stream).await.unwrap();
                assert_eq!((seen.state(), seen.events.len()), (state, count), "{engine:?}");
            }
        }
        assert_eq!((next(&mut one).await, next(&mut two).await), (None, None), "{engine:?}");
        // Who comes late gets the last state and the end.
        let mut late = watch(&shop, order, "guest-1").await;
        assert_eq!(next(&mut late).await.unwrap().state(), State::Delivered);
        assert_eq!(next(&mut late).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_ends_the_stream() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order = Uuid::now_v7();
        shop.ship(order, "guest-1").await;
        let mut stream = watch(&shop, order, "guest-1").await;
        next(&mut stream).await.unwrap();
        let stop = CancelShipmentRequest { order_id: order.to_string() };
        shop.client.clone().cancel_shipment(shop.service(stop)).await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap().state(), State::Cancelled, "{engine:?}");
        assert_eq!(next(&mut stream).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_room_for_a_thousand_watchers() {
    let shop = Shop::open(Engine::Sqlite).await;
    let order = Uuid::now_v7();
    shop.ship(order, "guest-1").await;
    let request = || TrackShipmentRequest { order_id: order.to_string() };
    // A connection carries at most 256 streams.
    let mut streams = Vec::new();
    for _ in 0..5 {
        let client = shop.connect();
        for _ in 0..200 {
            let stream = client.clone().track_shipment(shop.of("guest-1", Role::Guest, request())).await.unwrap();
            streams.push(stream.into_inner());
        }
    }
    let track = async || shop.client.clone().track_shipment(shop.of("guest-1", Role::Guest, request())).await;
    let refused = track().await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_deref()), (Code::ResourceExhausted, Some("TOO_MANY_WATCHERS")));
    assert!(retry_after(&refused).is_some());
    // Who goes makes room.
    streams.pop();
    eventually(BOUND, "there is room again", async || track().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_process_ends_the_streams() {
    let shop = Shop::open(Engine::Sqlite).await;
    let order = Uuid::now_v7();
    shop.ship(order, "guest-1").await;
    let mut stream = watch(&shop, order, "guest-1").await;
    next(&mut stream).await.unwrap();
    shop.life.end();
    assert_eq!(next(&mut stream).await, None);
    assert!(shop.life.drain().await.is_ok());
}

/// Transactions commit in another order than that in which they got their events' ids.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_committed_late_is_not_passed_over() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let shop = Shop::open(Engine::Postgres).await;
    let (slow, quick) = (Uuid::now_v7(), Uuid::now_v7());
    let mut streams = Vec::new();
    for order in [slow, quick] {
        shop.ship(order, "guest-1").await;
        let mut stream = watch(&shop, order, "guest-1").await;
        assert_eq!(next(&mut stream).await.unwrap().state(), State::LabelCreated);
        streams.push(stream);
    }
    let (moved, may_commit) = (Barrier::new(2), Barrier::new(2));
    let late = shop.pool().run_tx("late_move", Class::Normal, |tx: Tx| {
        let (moved, may_commit) = (&moved, &may_commit);
        async move {
            let (state, number) = (Kept::InTransit.word(), Kept::InTransit.number());
            let sql = format!(
                "UPDATE shipments SET state = '{state}', next_move_at = NULL WHERE order_id = '{slow}';
                 INSERT INTO shipment_events (order_id, number, state, at, place)
                 VALUES ('{slow}', {number}, '{state}', {NOON}, 'x')"
            );
            tx.execute_unprepared(&sql).await?;
            moved.wait().await;
            may_commit.wait().await;
            Ok::<_, StoreError>(())
        }
    });
    let watcher = async {
        moved.wait().await;
        // The carrier passes over the one that is locked, and moves the other.
        shop.clock.advance_ms(STEP_MS);
        assert_eq!(next(&mut streams[1]).await.unwrap().state(), State::InTransit);
        may_commit.wait().await;
        assert_eq!(next(&mut streams[0]).await.unwrap().state(), State::InTransit);
    };
    let (committed, ()) = futures::join!(late, watcher);
    committed.unwrap();
}
