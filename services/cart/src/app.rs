//! Wiring.

use std::time::Duration;

use anyhow::ensure;
use selvage_boot::{Database, Host, Service, Tuned};
use selvage_pool::{Config, Pool};
use selvage_proto::cart::v1::cart_server::CartServer;
use selvage_rpc::Channel;
use tonic::service::RoutesBuilder;

use crate::args::CartArgs;
use crate::catalogue::Catalogue;
use crate::grpc::Server;
use crate::migration::Migrator;
use crate::purge;
use crate::store::Store;

/// The longest request: 50 ordered lines of under 100 bytes each, or a token of 1 KiB, with room.
const MAX_REQUEST: usize = 64 * 1024;
/// A cart may be kept for a year at the most.
const LONGEST_EXPIRY: Duration = Duration::from_secs(365 * 24 * 3600);

/// What an operator of the shop decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a cart that nobody touches is kept, from a second to a year.
    pub expiry: Duration,
    /// The shop's currency, ISO 4217.
    pub currency: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { expiry: Duration::from_secs(30 * 24 * 3600), currency: "EUR".to_owned() }
    }
}

/// The services that this one calls.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The catalogue; called with the caller's own token.
    pub catalogue: Channel,
}

/// The cart service.
#[derive(Clone, Debug)]
pub struct App {
    server: Server,
    host: Host,
}

impl App {
    /// Wires the service and starts its purge of expired carts.
    ///
    /// # Errors
    /// If a setting is out of its bounds.
    pub fn new(pool: Pool, settings: Settings, peers: Peers, host: Host) -> anyhow::Result<Self> {
        ensure!(
            (Duration::from_secs(1)..=LONGEST_EXPIRY).contains(&settings.expiry),
            "a cart can be kept for a second to 365 days, not for {:?}",
            settings.expiry
        );
        let store = Store::new(pool);
        host.life.spawn("purge", purge::run(store.clone(), host.clone()));
        let catalogue = Catalogue::new(peers.catalogue, settings.currency.clone());
        let server = Server::new(store, catalogue, settings, &host);
        Ok(Self { server, host })
    }
}

/// The tuning of the service's pool. A change is begin, three statements and commit: five round trips of 0.5 ms and
/// 2 ms to make it durable, 4.5 ms; reading a cart takes 1 ms. One process at 300 changes and 600 readings a second:
/// (300 × 4.5 ms + 600 × 1 ms) ÷ 0.7 = 2.8 connections, so 4 leave room for a burst. A statement that takes a hundred
/// times its time is given up, and 1 s of waiting + 2 s for it are less than the 5 s that a caller has.
fn tune(config: &mut Config) {
    config.limit = 4;
    config.max_wait = Duration::from_secs(1);
    config.statement_timeout = Duration::from_secs(2);
}

/// The service's pool.
pub const POOL: Tuned = Tuned { name: "cart", tune };

#[tonic::async_trait]
impl Service for App {
    const NAME: &'static str = "cart";
    const GRPC_NAME: &'static str = "selvage.cart.v1.Cart";
    const PROCESS: &'static str = "selvage-cart";
    const ABOUT: &'static str = "The bags of the Selvage shop.";
    const DEFAULT_PORT: u16 = 50052;
    const METRICS_PORT: u16 = 9465;
    type Args = CartArgs;
    type Migrator = Migrator;
    const POOLS: &'static [Tuned] = &[POOL];
    const LOCKED_TABLE: &'static str = "carts";

    async fn start(args: CartArgs, host: Host, database: &Database) -> anyhow::Result<Self> {
        let pool = database.open(&POOL).await?;
        let settings = Settings { expiry: args.expiry(), currency: args.currency.as_str().to_owned() };
        let peers = Peers { catalogue: Channel::to(args.catalogue) };
        host.life.awaits("the address of catalogue", Channel::are_known([&peers.catalogue])).await;
        Self::new(pool, settings, peers, host)
    }

    fn add_to(&self, routes: &mut RoutesBuilder) {
        let server = CartServer::new(self.server.clone()).max_decoding_message_size(MAX_REQUEST);
        routes.add_service(self.host.verifier.guard(server));
    }
}
