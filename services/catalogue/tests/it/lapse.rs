//! Reservations past their time: only checkout's word ends them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait as _, Statement};
use selvage_boot::{Faults, Host, Life, grpc};
use selvage_catalogue::domain::stock::{Line, State};
use selvage_catalogue::store::{Adjusted, Put, Store};
use selvage_catalogue::{App, Peers, Settings};
use selvage_context::clock::Clock;
use selvage_pool::Pool;
use selvage_proto::checkout::v1::{BatchGetOrderStatesRequest, BatchGetOrderStatesResponse, OrderState, order};
use selvage_rpc::{Channel, InProcess, Target};
use selvage_testkit::{Engine, Tokens, engines, eventually};
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

/// A catalogue that asks this checkout every 20 ms, until the end of its life.
async fn serve(pool: Pool, clock: Clock, checkout: &Checkout) -> Life {
    let (way_in, incoming) = InProcess::pair();
    let (tokens, life) = (Tokens::new(&clock), Life::new());
    let mut services = grpc::Services::default();
    services.add(Checkout::NAME, |routes| {
        routes.add_service(checkout.clone());
    });
    let (routes, on) = (services.finish(&life).await.unwrap(), life.clone());
    tokio::spawn(async move { grpc::serve(routes, incoming, &on).await });
    let host = Host { clock, verifier: tokens.verifier(), life: life.clone(), token: None, faults: Faults::off() };
    let peers = Peers { checkout: Some(Channel::to(Target::InProcess(way_in))) };
    let settings = Settings { lapse_every: Duration::from_millis(20), ..Settings::default() };
    drop(App::new(pool, settings, peers, host).expect("an app"));
    life
}

#[tokio::test]
async fn a_reservation_past_its_time_lapses_only_by_checkouts_word() {
    let (store, pool, _database) = catalogue(Engine::Sqlite).await;
    let goods = product("goods", "Goods", "shirts", vec![variant("A", "M", "Ink", 100, 20)]);
    assert_eq!(store.product_create(&goods, 0).await.unwrap(), Put::Done);
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
    let life = serve(pool, clock, &checkout).await;

    // Checkout can't say: all stay.
    eventually(Duration::from_secs(20), "checkout is asked", async || *checkout.asked.lock().unwrap() >= 2).await;
    assert_eq!(available(&store).await, 10);

    *checkout.orders.lock().unwrap() = Some(orders.clone());
    eventually(Duration::from_secs(20), "five lapse", async || available(&store).await == 15).await;
    // What is alive got more time, and isn't asked about again.
    let overdue = async || store.reservation_list_overdue(now + 30_000, 100).await.unwrap().is_empty();
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

#[tokio::test]
async fn a_reservation_that_is_damaged_keeps_no_other_from_lapsing() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        let goods = product("goods", "Goods", "shirts", vec![variant("A", "M", "Ink", 100, 20)]);
        assert_eq!(store.product_create(&goods, 0).await.unwrap(), Put::Done);
        let clock = Clock::standing_at(1_800_000_000_000);
        let now = clock.now_ms();
        // Lines that can't be read, and lines that no stock was ever set aside for.
        let nonsense = if engine == Engine::Sqlite { "nonsense" } else { "[7]" };
        let mut damaged = Vec::new();
        for (at, lines) in [(1, nonsense), (2, "{}"), (3, r#"[{"sku": "A", "quantity": 99}]"#)] {
            let id = held(&store, now - 10_000 + at).await;
            let sql = format!("UPDATE reservations SET lines = '{lines}' WHERE id = $1");
            pool.execute_raw(Statement::from_sql_and_values(pool.backend(), sql, [id.into()])).await.unwrap();
            damaged.push(id);
        }
        let (sound, alive) = (held(&store, now - 1_000).await, held(&store, now - 1_000).await);
        assert_eq!(available(&store).await, 15);
        let checkout = Checkout::default();
        *checkout.orders.lock().unwrap() = Some([(alive.to_string(), order::State::Confirmed)].into());
        let life = serve(pool.clone(), clock.clone(), &checkout).await;
        eventually(Duration::from_secs(20), "the sound one lapses", async || available(&store).await == 16).await;
        let overdue = async |now| store.reservation_list_overdue(now, 100).await.unwrap();
        eventually(Duration::from_secs(20), "all were looked at", async || overdue(now).await.is_empty()).await;
        assert_eq!(store.stock_commit(sound).await.unwrap().unwrap().state, State::Released, "{engine:?}");
        // The one that is alive is asked about in a minute, and those that are damaged in an hour.
        assert_eq!(overdue(now + 60_001).await, [alive], "{engine:?}");
        life.drain().await.unwrap();
        let mut again = overdue(now + 3_600_001).await;
        again.retain(|id| *id != alive);
        again.sort();
        damaged.sort();
        assert_eq!(again, damaged, "{engine:?}");
    }
}

#[tokio::test]
async fn what_has_ended_is_forgotten_after_90_days_and_what_is_held_never() {
    const DAY_MS: i64 = 24 * 3600 * 1000;
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        let goods = product("goods", "Goods", "shirts", vec![variant("A", "M", "Ink", 100, 20)]);
        assert_eq!(store.product_create(&goods, 0).await.unwrap(), Put::Done);
        let count = async |table: &str| {
            let sql = format!("SELECT count(*) AS n FROM {table}");
            let row = pool.query_one_raw(Statement::from_string(pool.backend(), sql)).await.unwrap().unwrap();
            row.try_get::<i64>("", "n").unwrap()
        };
        let clock = Clock::standing_at(1_800_000_000_000);
        let now = clock.now_ms();
        let alive = held(&store, now - DAY_MS).await;
        let (committed, released) = (held(&store, now).await, held(&store, now).await);
        store.stock_commit(committed).await.unwrap().unwrap();
        store.stock_release(released, now).await.unwrap();
        store.stock_release(Uuid::now_v7(), now).await.unwrap();
        let adjusted = store.stock_adjust(Uuid::now_v7(), "A", 1, now).await.unwrap();
        assert!(matches!(adjusted, Adjusted::Done(_)));

        let checkout = Checkout::default();
        *checkout.orders.lock().unwrap() = Some([(alive.to_string(), order::State::Confirmed)].into());
        let life = serve(pool.clone(), clock.clone(), &checkout).await;
        // The order that is alive is asked about at each of these moments, and the purge of the look before is over then.
        let looks = async |days: i64| {
            for _ in 0..2 {
                clock.advance_ms(days * DAY_MS / 2);
                let before = *checkout.asked.lock().unwrap();
                let asked = async || *checkout.asked.lock().unwrap() > before;
                eventually(Duration::from_secs(20), "checkout is asked", asked).await;
            }
        };
        looks(88).await;
        assert_eq!((count("reservations").await, count("stock_adjustments").await), (4, 1), "{engine:?}");
        // Until then a cancelled order's goods come back.
        store.stock_release(committed, now).await.unwrap();
        assert_eq!(available(&store).await, 20, "{engine:?}: one of 21 is set aside");
        looks(6).await;
        assert_eq!((count("reservations").await, count("stock_adjustments").await), (1, 0), "{engine:?}");
        assert_eq!(store.stock_commit(alive).await.unwrap().unwrap().state, State::Committed);
        life.end();
    }
}

#[tokio::test]
async fn a_purge_takes_few_at_a_time() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        for _ in 0..5 {
            store.stock_release(Uuid::now_v7(), 9).await.unwrap();
        }
        for purged in [2, 2, 1, 0] {
            assert_eq!(store.stock_purge(10, 2).await.unwrap(), purged, "{engine:?}");
        }
    }
}
