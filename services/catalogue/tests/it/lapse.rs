//! Reservations past their time: only checkout's word ends them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use selvage_boot::{Host, Life, grpc};
use selvage_catalogue::domain::stock::{Line, State};
use selvage_catalogue::store::Store;
use selvage_catalogue::{App, Peers, Settings};
use selvage_context::clock::Clock;
use selvage_proto::checkout::v1::{BatchGetOrderStatesRequest, BatchGetOrderStatesResponse, OrderState, order};
use selvage_rpc::{Channel, InProcess, Target};
use selvage_testkit::{Engine, Tokens, eventually};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::goods::{catalogue, product, variant};

/// A checkout that knows the orders it was told of, or none at all and answers nothing. The real one decides such states
/// by a whole order's life; here each is wanted at a word.
#[derive(Clone, Default)]
struct Checkout {
    orders: Arc<Mutex<Option<BTreeMap<String, order::State>>>>,
    asked: Arc<Mutex<usize>>,
}

impl NamedService for Checkout {
    const NAME: &'static str = "selvage.checkout.v1.Checkout";
}

impl tower::Service<http::Request<Body>> for Checkout {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answers = self.clone();
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/selvage.checkout.v1.Checkout/BatchGetOrderStates");
            Ok(Grpc::new(ProstCodec::default()).unary(answers, request).await)
        })
    }
}

impl UnaryService<BatchGetOrderStatesRequest> for Checkout {
    type Response = BatchGetOrderStatesResponse;
    type Future = Ready<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<BatchGetOrderStatesRequest>) -> Self::Future {
        *self.asked.lock().unwrap() += 1;
        let Some(orders) = self.orders.lock().unwrap().clone() else {
            return ready(Err(Status::internal("out of order")));
        };
        let known = request.into_inner().order_ids.into_iter().filter_map(|order_id| {
            let state = orders.get(&order_id).copied()?;
            Some(OrderState { order_id, state: state.into() })
        });
        ready(Ok(Response::new(BatchGetOrderStatesResponse { orders: known.collect() })))
    }
}

async fn held(store: &Store, expires_at: i64) -> Uuid {
    let id = Uuid::now_v7();
    let lines = [Line { sku: "A".into(), quantity: 1 }];
    store.stock_reserve(id, &lines, expires_at).await.unwrap().unwrap();
    id
}

async fn available(store: &Store) -> i32 {
    store.product_get("goods").await.unwrap().unwrap().available[0]
}

#[tokio::test]
async fn a_reservation_past_its_time_lapses_only_by_checkouts_word() {
    let (store, pool, _database) = catalogue(Engine::Sqlite).await;
    let goods = product("goods", "Goods", "shirts", vec![variant("A", "M", "Ink", 100, 20)]);
    store.product_create(&goods, 0).await.unwrap();
    let clock = Clock::system();
    let now = clock.now_ms();
    let states = [
        order::State::Pending,
        order::State::Confirmed,
        order::State::Cancelling,
        order::State::Refunding,
        order::State::OutOfStock,
        order::State::Declined,
        order::State::Undone,
        order::State::Cancelled,
    ];
    let mut orders = BTreeMap::new();
    for state in states {
        orders.insert(held(&store, now - 1_000).await.to_string(), state);
    }
    let unknown = held(&store, now - 1_000).await;
    let young = held(&store, now + 3_600_000).await;
    assert_eq!(available(&store).await, 10);

    let checkout = Checkout::default();
    let (way_in, incoming) = InProcess::pair();
    let (tokens, life) = (Tokens::new(&clock), Life::new());
    let mut services = grpc::Services::default();
    services.add(Checkout::NAME, |routes| {
        routes.add_service(checkout.clone());
    });
    let (routes, on) = (services.finish(&life).await.unwrap(), life.clone());
    tokio::spawn(async move { grpc::serve(routes, incoming, &on).await });
    let host = Host { clock, verifier: tokens.verifier(), life: life.clone(), token: None };
    let peers = Peers { checkout: Some(Channel::to(Target::InProcess(way_in))) };
    let settings = Settings { lapse_every: Duration::from_millis(20), ..Settings::default() };
    let _app = App::new(pool, settings, peers, host);

    // Checkout can't say: all stay.
    eventually(Duration::from_secs(20), "checkout is asked", async || *checkout.asked.lock().unwrap() >= 2).await;
    assert_eq!(available(&store).await, 10);

    *checkout.orders.lock().unwrap() = Some(orders.clone());
    eventually(Duration::from_secs(20), "five lapse", async || available(&store).await == 15).await;
    // What is alive got more time, and isn't asked about again.
    let overdue = async || store.reservations_overdue(now + 30_000, 100).await.unwrap().is_empty();
    eventually(Duration::from_secs(20), "the living get more time", overdue).await;
    assert_eq!(available(&store).await, 15);
    for (id, state) in &orders {
        let id: Uuid = id.parse().unwrap();
        let lives = store.stock_commit(id).await.unwrap().unwrap().state == State::Committed;
        let should = matches!(
            state,
            order::State::Pending | order::State::Confirmed | order::State::Cancelling | order::State::Refunding
        );
        assert_eq!(lives, should, "{state:?}");
    }
    assert_eq!(store.stock_commit(unknown).await.unwrap().unwrap().state, State::Released);
    assert_eq!(store.stock_commit(young).await.unwrap().unwrap().state, State::Committed);
    life.end();
}
