//! A delivery service on a database of its own, served on a port, with the keys to it.

use std::time::Duration;

use selvage_boot::{Database, Faults, Host, Life, Service as _, Tuned, grpc};
use selvage_context::clock::Clock;
use selvage_delivery::domain::address::Address;
use selvage_delivery::domain::shipment::{Consignment, Speed};
use selvage_delivery::migration::Migrator;
use selvage_delivery::store::Store;
use selvage_delivery::{App, POOL, Settings};
use selvage_identity::Role;
use selvage_pool::{Config, Pool};
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_proto::delivery::v1::{self as proto, CreateShipmentRequest};
use selvage_rpc::{Channel, with_token};
use selvage_testkit::{Engine, Tokens};
use tonic::Request;
use uuid::Uuid;

/// Noon of some day.
pub(crate) const NOON: i64 = 1_795_521_600_000;
/// What the carrier takes from one state to the next; the clock is moved by it.
pub(crate) const STEP_MS: i64 = 1_000;

/// A store alone.
pub(crate) struct Shelf {
    pub(crate) store: Store,
    pub(crate) pool: Pool,
    _database: selvage_testkit::Database,
}

impl Shelf {
    pub(crate) async fn open(engine: Engine) -> Self {
        let kit = selvage_testkit::database(engine).await;
        let database = Database::at(kit.url());
        database.migrate::<Migrator>().await.unwrap();
        // Tests that race on a slow machine are not refused for the wait.
        let tune: fn(&mut Config) = |config| {
            (POOL.tune)(config);
            config.max_wait = Duration::from_secs(30);
        };
        let pool = database.open_apart(&Tuned { tune, ..POOL }, None).await.unwrap();
        Self { store: Store::new(pool.clone()), pool, _database: kit }
    }
}

/// The whole service.
pub(crate) struct Shop {
    pub(crate) clock: Clock,
    pub(crate) life: Life,
    pub(crate) client: DeliveryClient<Channel>,
    address: String,
    tokens: Tokens,
    shelf: Shelf,
}

impl Shop {
    /// Its database.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    pub(crate) async fn open(engine: Engine) -> Self {
        let shelf = Shelf::open(engine).await;
        let clock = Clock::standing_at(NOON);
        let tokens = Tokens::new(&clock);
        let life = Life::new();
        let host = Host {
            clock: clock.clone(),
            verifier: tokens.verifier(),
            life: life.clone(),
            token: None,
            faults: Faults::off(),
        };
        let step = Duration::from_millis(STEP_MS.unsigned_abs());
        let app = App::new(shelf.pool.clone(), Settings { carrier_step: step, ..Settings::default() }, host).unwrap();

        let mut services = grpc::Services::default();
        services.add(App::GRPC_NAME, |routes| app.add_to(routes));
        let routes = services.finish(&life).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = life.clone();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(async move { grpc::serve(routes, incoming, &serving).await.unwrap() });
        let client = DeliveryClient::new(Channel::to(address.parse().unwrap()));
        Self { address, clock, life, client, tokens, shelf }
    }

    /// A client with a connection of its own.
    pub(crate) fn connect(&self) -> DeliveryClient<Channel> {
        DeliveryClient::new(Channel::to(self.address.parse().unwrap()))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.shelf.store
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.shelf.pool
    }

    /// A request of `subject` in `role`.
    pub(crate) fn of<T>(&self, subject: &str, role: Role, message: T) -> Request<T> {
        with_token(&self.tokens.of(role, subject), message)
    }

    pub(crate) fn service<T>(&self, message: T) -> Request<T> {
        self.of("checkout", Role::Service, message)
    }

    /// Hands an order of `owner` to the carrier.
    pub(crate) async fn ship(&self, order_id: Uuid, owner: &str) -> proto::Shipment {
        let request = self.service(creation(order_id, owner));
        self.client.clone().create_shipment(request).await.unwrap().into_inner()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.life.end();
    }
}

pub(crate) fn creation(order_id: Uuid, owner: &str) -> CreateShipmentRequest {
    CreateShipmentRequest {
        order_id: order_id.to_string(),
        owner: owner.to_owned(),
        address: Some(proto_address()),
        speed: proto::Speed::Standard.into(),
        grams: 300,
    }
}

pub(crate) fn proto_address() -> proto::Address {
    let Address { recipient, lines, postal_code, city, country } = address();
    proto::Address { recipient, lines, postal_code, city, country }
}

fn address() -> Address {
    Address {
        recipient: "Ada Weber".into(),
        lines: vec!["Nikolaistraße 3".into()],
        postal_code: "04109".into(),
        city: "Leipzig".into(),
        country: "DE".into(),
    }
}

pub(crate) fn goods(order_id: Uuid) -> Consignment {
    Consignment { order_id, owner: "guest-1".into(), address: address(), speed: Speed::Standard, grams: 300 }
}
