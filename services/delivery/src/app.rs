//! Wiring.

use std::time::Duration;

use anyhow::ensure;
use selvage_boot::{Database, Host, Service, Tuned};
use selvage_pool::{Config, Pool};
use selvage_proto::delivery::v1::delivery_server::DeliveryServer;
use tonic::service::RoutesBuilder;

use crate::args::{DeliveryArgs, Step};
use crate::carrier;
use crate::grpc::Server;
use crate::migration::Migrator;
use crate::store::Store;
use crate::tracking::Tracking;

/// The longest request: an address of five texts of 100 characters, up to four bytes each, with room.
const MAX_REQUEST: usize = 16 * 1024;

/// What an operator of the shop decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shop's currency, ISO 4217.
    pub currency: String,
    /// From which price of the goods on standard delivery is free, in minor units; not negative.
    pub free_delivery_from: i64,
    /// How long the carrier takes from one state to the next, 100 ms to 30 days.
    pub carrier_step: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { currency: "EUR".to_owned(), free_delivery_from: 7500, carrier_step: Duration::from_secs(6 * 3600) }
    }
}

/// The delivery service.
#[derive(Clone, Debug)]
pub struct App {
    server: Server,
    host: Host,
}

impl App {
    /// Wires the service, and starts its carrier and its watch over tracked shipments.
    ///
    /// # Errors
    /// If a setting is out of its bounds.
    pub fn new(pool: Pool, settings: Settings, host: Host) -> anyhow::Result<Self> {
        let (shortest, longest) = Step::BOUNDS;
        ensure!(
            (shortest..=longest).contains(&settings.carrier_step),
            "the carrier takes {shortest:?} to {longest:?} from one state to the next, not {:?}",
            settings.carrier_step
        );
        ensure!(settings.free_delivery_from >= 0, "a price from which delivery is free can't be negative");
        let store = Store::new(pool);
        host.life.spawn("carrier", carrier::run(store.clone(), settings.carrier_step, host.clone()));
        let tracking = Tracking::start(store.clone(), &host);
        let server = Server::new(store, tracking, settings, &host);
        Ok(Self { server, host })
    }
}

/// The tuning of the service's pool. Making a shipment is begin, two statements and commit: four round trips of 0.5 ms
/// and 2 ms to make it durable, 4 ms; reading one takes 1 ms. One process at 100 orders and 300 readings a second:
/// (100 × 4 ms + 300 × 1 ms) ÷ 0.7 = 1 connection; the carrier and the watch over tracked shipments may hold one each
/// at the same time, and one more is room for a burst: 4. A statement that takes a hundred times its time is given up,
/// and 1 s of waiting + 2 s for it
/// are less than the 5 s that a caller has.
fn tune(config: &mut Config) {
    config.limit = 4;
    config.max_wait = Duration::from_secs(1);
    config.statement_timeout = Duration::from_secs(2);
}

/// The service's pool.
pub const POOL: Tuned = Tuned { name: "delivery", tune };

#[tonic::async_trait]
impl Service for App {
    const NAME: &'static str = "delivery";
    const GRPC_NAME: &'static str = "selvage.delivery.v1.Delivery";
    const PROCESS: &'static str = "selvage-delivery";
    const ABOUT: &'static str = "Shipments of the Selvage shop, and their way.";
    const DEFAULT_PORT: u16 = 50054;
    const METRICS_PORT: u16 = 9467;
    type Args = DeliveryArgs;
    type Migrator = Migrator;
    const POOLS: &'static [Tuned] = &[POOL];
    const LOCKED_TABLE: &'static str = "shipments";

    async fn start(args: DeliveryArgs, host: Host, database: &Database) -> anyhow::Result<Self> {
        let pool = database.open(&POOL).await?;
        let settings = Settings {
            currency: args.currency.as_str().to_owned(),
            free_delivery_from: args.free_delivery_from,
            carrier_step: args.carrier_step.duration(),
        };
        Self::new(pool, settings, host)
    }

    fn add_to(&self, routes: &mut RoutesBuilder) {
        let server = DeliveryServer::new(self.server.clone()).max_decoding_message_size(MAX_REQUEST);
        routes.add_service(self.host.verifier.guard(server));
    }
}
