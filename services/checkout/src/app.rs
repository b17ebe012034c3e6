use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use selvage_boot::{Database, Host, Service, Tally, Tuned};
use selvage_outbox::{DEFAULT_LEASE, Kick, Relay};
use selvage_pool::{Config, Pool};
use selvage_proto::cart::v1::cart_client::CartClient;
use selvage_proto::catalogue::v1::catalogue_client::CatalogueClient;
use selvage_proto::checkout::v1::checkout_server::CheckoutServer;
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_rpc::Channel;
use tokio::sync::Semaphore;
use tonic::service::RoutesBuilder;
use uuid::Uuid;

use crate::args::CheckoutArgs;
use crate::grpc::Server;
use crate::mail::Mailer;
use crate::migration::Migrator;
use crate::payment::{Observed, Provider, TestProvider};
use crate::peers::Shop;
use crate::saga::{AT_ONCE, Follow, Placing, Sweeper};
use crate::store::{Store, meter};

/// The largest request: an order's is below 4 KiB.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// What can be set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long placing an order may take; below the 30 s that any rpc may.
    pub place_bound: Duration,
    /// How many orders may be placed at once; more are refused.
    pub place_at_once: usize,
    /// How long stock is set aside, seconds.
    pub hold_seconds: i32,
    /// How long the relay's claim on an order lasts.
    pub relay_lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            place_bound: Duration::from_secs(20),
            place_at_once: AT_ONCE,
            hold_seconds: 900,
            relay_lease: DEFAULT_LEASE,
        }
    }
}

/// What faults and metrics call the payment provider.
const PAYMENT: &str = "payment";

/// The services that checkout calls; each channel bears checkout's own token.
pub struct Peers {
    /// The cart service.
    pub cart: Channel,
    /// The catalogue service.
    pub catalogue: Channel,
    /// The delivery service.
    pub delivery: Channel,
}

/// Checkout's pools.
#[derive(Clone)]
pub struct Pools {
    /// For orders.
    pub orders: Pool,
    /// For the relay, apart, so that a shop that is busy taking orders still ships them.
    pub relay: Pool,
    /// For the test provider's books: somebody else's database, but for trying out.
    pub provider: Pool,
}

impl Pools {
    /// Opens them, tuned; the relay's at `relay_limit` if that is said.
    ///
    /// # Errors
    /// If the database doesn't answer, or what the user set makes no sense.
    pub async fn open(database: &Database, relay_limit: Option<u32>) -> anyhow::Result<Self> {
        Ok(Self {
            orders: database.open(&ORDERS).await?,
            relay: database.open_apart(&RELAY, relay_limit).await?,
            provider: database.open_apart(&PROVIDER, None).await?,
        })
    }
}

/// The pool for orders.
pub const ORDERS: Tuned = Tuned { name: "checkout", tune: orders_tuning };
/// The relay's. 50 orders a second, each with its mail two claims, two looks and two settlings of 4, 1 and 4 ms, use
/// 50 × 0.018 s = 0.9 connections; at 0.7 utilisation and with twice the use time under stress 0.9 × 2 ÷ 0.7 = 2.6: 3.
pub const RELAY: Tuned = Tuned { name: "checkout-relay", tune: |config| (config.floor, config.limit) = (Some(1), 3) };
/// The test provider's. 50 orders a second with two statements of 2 ms each use 50 × 0.004 s ÷ 0.7 = 0.3 connections: 2.
pub const PROVIDER: Tuned =
    Tuned { name: "checkout-provider", tune: |config| (config.floor, config.limit) = (Some(1), 2) };

/// 50 orders a second, each two transactions of about 4 ms and a look of 1 ms, use 50 × 0.009 s = 0.45 connections; at
/// 0.7 utilisation and with tenfold use time under stress 0.45 × 10 ÷ 0.7 ≈ 6.4: 8. Callers have at least 5 s in all, which
/// is more than 1 s of waiting + 2 s for a statement.
fn orders_tuning(config: &mut Config) {
    config.limit = 8;
    config.max_wait = Duration::from_secs(1);
    config.statement_timeout = Duration::from_secs(2);
}

/// The checkout service.
pub struct App {
    server: CheckoutServer<Server>,
    host: Host,
}

impl App {
    /// Wires it, and starts relay and sweep.
    pub fn new(pools: Pools, mailer: Arc<dyn Mailer>, settings: Settings, peers: Peers, host: Host) -> Self {
        let shop = Shop {
            cart: CartClient::new(peers.cart),
            catalogue: CatalogueClient::new(peers.catalogue),
            delivery: DeliveryClient::new(peers.delivery),
        };
        let provider = TestProvider::new(pools.provider, host.clock.clone());
        let provider = Arc::new(provider.disturbed_by(host.faults.dependency(PAYMENT)));
        let provider: Arc<dyn Provider> = Arc::new(Observed::new(provider));
        let kick = Kick::default();
        let placing = Placing {
            store: Store::new(pools.orders),
            shop: shop.clone(),
            provider: provider.clone(),
            clock: host.clock.clone(),
            kick: kick.clone(),
            bound: settings.place_bound,
            hold_seconds: settings.hold_seconds,
            room: Arc::new(Semaphore::new(settings.place_at_once)),
            life: host.life.clone(),
        };
        let follow =
            Follow { store: Store::new(pools.relay.clone()), shop, provider, mailer, clock: host.clock.clone() };
        let relay = Relay::new(pools.relay, follow, host.clock.clone(), kick).with_lease(settings.relay_lease);
        host.life.spawn("relay", relay.run(host.life.clone()));
        host.life.spawn("orders", meter::watch(placing.store.clone(), host.clock.clone(), host.life.clone()));
        host.life.spawn("sweep", Sweeper(placing.clone()).run(host.life.clone()));
        let server = CheckoutServer::new(Server { placing, new_id: Uuid::now_v7 });
        Self { server: server.max_decoding_message_size(MAX_REQUEST_BYTES), host }
    }
}

#[tonic::async_trait]
impl Service for App {
    const NAME: &'static str = "checkout";
    const GRPC_NAME: &'static str = "selvage.checkout.v1.Checkout";
    const PROCESS: &'static str = "selvage-checkout";
    const ABOUT: &'static str = "Orders and payments of the Selvage shop.";
    const DEFAULT_PORT: u16 = 50053;
    const METRICS_PORT: u16 = 9466;
    type Args = CheckoutArgs;
    type Migrator = Migrator;
    const POOLS: &'static [Tuned] = &[ORDERS, RELAY, PROVIDER];
    const LOCKED_TABLE: &'static str = "orders";
    const TALLIES: &'static [Tally] = &[
        Tally { title: "Orders", attribute: "state", now: "selvage_orders", reached: "selvage_orders_changed_total" },
        Tally { title: "Orders that stand still", attribute: "", now: "selvage_orders_standing", reached: "" },
    ];

    async fn start(args: CheckoutArgs, host: Host, database: &Database) -> anyhow::Result<Self> {
        let token = host.token.clone().context("checkout calls other services and needs --issuer-key")?;
        let channel = |target| Channel::to(target).with_service_token(token.clone());
        let peers = Peers {
            cart: channel(args.cart.clone()),
            catalogue: channel(args.catalogue.clone()),
            delivery: channel(args.delivery.clone()),
        };
        let (mailer, settings) = (args.mailer()?, args.settings());
        let pools = Pools::open(database, args.relay_pool_limit).await?;
        let called = Channel::are_known([&peers.cart, &peers.catalogue, &peers.delivery]);
        host.life.awaits("the addresses of cart, catalogue and delivery", called).await;
        Ok(Self::new(pools, mailer, settings, peers, host))
    }

    fn add_to(&self, routes: &mut RoutesBuilder) {
        routes.add_service(self.host.verifier.guard(self.server.clone()));
    }
}
