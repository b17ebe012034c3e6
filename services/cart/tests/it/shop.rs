//! A cart service on a database of its own, served on a port, with the keys to it.

use std::time::Duration;

use selvage_boot::{Database, Faults, Host, Life, Service as _, Tuned, grpc};
use selvage_cart::domain::cart::Sku;
use selvage_cart::migration::Migrator;
use selvage_cart::store::{Moment, Store};
use selvage_cart::{App, POOL, Peers, Settings};
use selvage_context::clock::Clock;
use selvage_identity::Role;
use selvage_pool::{Config, Pool};
use selvage_proto::cart::v1::cart_client::CartClient;
use selvage_rpc::{Channel, with_token};
use selvage_testkit::{Engine, Tokens};
use tokio::net::TcpListener;
use tonic::Request;
use tonic::server::NamedService as _;

use crate::scripted::Scripted;

/// Noon of some day.
pub(crate) const NOON: i64 = 1_795_521_600_000;
/// How long a cart is kept.
pub(crate) const EXPIRY_MS: i64 = 3_600_000;

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
    pub(crate) client: CartClient<Channel>,
    pub(crate) tokens: Tokens,
    pub(crate) shelf: Shelf,
    life: Life,
}

impl Shop {
    /// With a catalogue that can't be reached.
    pub(crate) async fn open(engine: Engine) -> Self {
        Self::with(engine, None).await
    }

    /// With a catalogue that answers as it was told.
    pub(crate) async fn with(engine: Engine, catalogue: Option<Scripted>) -> Self {
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        // A port that was free a moment ago: nobody listens there.
        let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
        let answering = if catalogue.is_some() { &address } else { &nobody };
        let peers = Peers { catalogue: Channel::to(answering.parse().unwrap()) };
        let expiry = Duration::from_millis(EXPIRY_MS.unsigned_abs());
        let app = App::new(shelf.pool.clone(), Settings { expiry, ..Settings::default() }, peers, host).unwrap();

        let mut services = grpc::Services::default();
        services.add(App::GRPC_NAME, |routes| app.add_to(routes));
        if let Some(catalogue) = catalogue {
            let server = tokens.verifier().guard(catalogue);
            services.add(Scripted::NAME, |routes| {
                routes.add_service(server);
            });
        }
        let routes = services.finish(&life).await.unwrap();
        let serving = life.clone();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(async move { grpc::serve(routes, incoming, &serving).await.unwrap() });
        Self { client: CartClient::new(Channel::to(address.parse().unwrap())), tokens, shelf, life }
    }

    /// A request of `subject` in `role`.
    pub(crate) fn of<T>(&self, subject: &str, role: Role, message: T) -> Request<T> {
        with_token(&self.tokens.of(role, subject), message)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.life.end();
    }
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

/// A change at `now_ms`.
pub(crate) fn at(now_ms: i64) -> Moment {
    Moment { now_ms, expire_at: now_ms + EXPIRY_MS }
}
