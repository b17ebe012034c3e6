use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use selvage_boot::{Database, Host, Service, Tuned};
use selvage_pool::{Config, Pool};
use selvage_proto::catalogue::v1::catalogue_server::CatalogueServer;
use selvage_proto::checkout::v1::checkout_client::CheckoutClient;
use selvage_rpc::Channel;
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::service::RoutesBuilder;

use crate::answer_cache::{AnswerCache, Counts};
use crate::args::CatalogueArgs;
use crate::grpc::{CachedReads, CachingService, Server};
use crate::index::{Index, Keeper};
use crate::lapse::Lapse;
use crate::meter;
use crate::migration::Migrator;
use crate::store::{Changes, Store};
use crate::trim;

/// The largest request: a product with 200 variants and a long description takes some 60 KiB.
const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// What can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// ISO 4217: the shop's one currency.
    pub currency: String,
    /// How often reservations past their time are looked for.
    pub lapse_every: Duration,
    /// Memory for cached answers, in bytes; 0 caches none.
    ///
    /// A product of 30 variants and its key take 3 KiB, a page of 24 in a listing 6 KiB: of the default, 48 MiB, two thirds
    /// hold 10,000 products, and the rest 2,700 pages of listings.
    pub cache_bytes: u64,
    /// Where the index is kept; `None` for a temporary folder of its own, from which it is made anew at each start.
    pub index: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            currency: "EUR".into(),
            lapse_every: Duration::from_secs(10),
            cache_bytes: 48 * 1024 * 1024,
            index: None,
        }
    }
}

/// The services that the catalogue calls.
#[derive(Debug, Default)]
pub struct Peers {
    /// Checkout, with the catalogue's own token; without it no reservation lapses.
    pub checkout: Option<Channel>,
}

/// The pool's tuning: 1,000 reads a second that memory doesn't answer, of one statement at 1 ms, use 1,000 × 0.001 s = 1
/// connection; with four times the use time under stress and 0.7 utilisation 1 × 4 ÷ 0.7 ≈ 5.7, and two for reservations
/// beside them: 8.
/// Callers have 5 s in all, pages and services alike: 1 s of waiting + 2 s for a statement < 5 s.
fn tune(config: &mut Config) {
    config.limit = 8;
    config.max_wait = Duration::from_secs(1);
    config.statement_timeout = Duration::from_secs(2);
}

/// The service's pool.
pub const POOL: Tuned = Tuned { name: "catalogue", tune };

/// The catalogue service.
pub struct App {
    server: CatalogueServer<Server>,
    cached: Option<Arc<CachedReads>>,
    store: Store,
    index: Index,
    host: Host,
}

impl App {
    /// Wires it, and starts the ending of reservations past their time.
    ///
    /// # Errors
    /// If the index's folder can't be used.
    pub fn new(pool: Pool, settings: Settings, peers: Peers, host: Host) -> anyhow::Result<Self> {
        let store = Store::new(pool, settings.currency);
        let temporary = match settings.index {
            None => Some(tempfile::tempdir().context("there is no folder for the index; say one with --index")?),
            Some(_) => None,
        };
        let folder =
            settings.index.as_deref().or_else(|| temporary.as_ref().map(TempDir::path)).unwrap_or(Path::new("."));
        let (index, writer) = Index::open(folder)?;
        match peers.checkout {
            Some(channel) => {
                let checkout = CheckoutClient::new(channel);
                let lapse = Lapse { store: store.clone(), checkout, clock: host.clock.clone() };
                host.life.spawn("lapse", lapse.run(host.life.clone(), settings.lapse_every));
            }
            None => tracing::info!("without --checkout, reservations past their time stay until checkout ends them"),
        }
        if !store.has_one_writer() {
            host.life.spawn("trim", trim::run(store.clone(), host.life.clone()));
        }
        meter::observe_index(&index);
        let keeper = Keeper::new(store.clone(), writer);
        let (changes, stopping) = (store.changes().clone(), host.life.stopping());
        host.life.spawn("index", async move {
            tokio::select! {
                () = keeper.run(changes) => {}
                () = stopping => {}
            }
            // Nobody writes there any more.
            drop(temporary);
        });
        let server = Arc::new(Server { store: store.clone(), index: index.clone(), clock: host.clock.clone() });
        let cached = (settings.cache_bytes > 0).then(|| {
            host.life.spawn("follow", store.clone().follow(host.life.stopping()));
            let cache =
                |bytes| AnswerCache::new(bytes, store.cache_max_age_ms(), store.changes().clone(), host.clock.clone());
            let listings = settings.cache_bytes / 3;
            let (server, products) = (server.clone(), cache(settings.cache_bytes - listings));
            let cached = Arc::new(CachedReads { server, products, listings: cache(listings) });
            meter::observe(&cached);
            meter::observe_changes(store.changes());
            cached
        });
        let server = CatalogueServer::from_arc(server).max_decoding_message_size(MAX_REQUEST_BYTES);
        Ok(Self { server, cached, store, index, host })
    }

    /// How often GetProduct and ListProducts were answered from their caches, in this order; `None` without caches.
    pub fn cache_counts(&self) -> Option<[&Counts; 2]> {
        self.cached.as_ref().map(|cached| [cached.products.counts(), cached.listings.counts()])
    }

    /// Waits until listings and searches can be answered.
    pub async fn ready(&self) {
        self.index.ready().await;
    }

    /// Waits until listings and searches show what is committed by now.
    pub async fn shows_all(&self) {
        self.index.has_all_until(Instant::now()).await;
    }

    /// The changes of products that this process follows.
    pub fn changes(&self) -> &Changes {
        self.store.changes()
    }

    /// Plants the default products if there are none; returns how many.
    ///
    /// # Errors
    /// If the database fails; what was planted until then is kept, and planting again goes on from there.
    pub async fn seed_if_empty(&self) -> anyhow::Result<usize> {
        crate::plant_seed(&self.store, self.host.clock.now_ms()).await.context("the default products can't be planted")
    }
}

#[tonic::async_trait]
impl Service for App {
    const NAME: &'static str = "catalogue";
    const GRPC_NAME: &'static str = "selvage.catalogue.v1.Catalogue";
    const PROCESS: &'static str = "selvage-catalogue";
    const ABOUT: &'static str = "Products, prices and stock of the Selvage shop.";
    const DEFAULT_PORT: u16 = 50051;
    const METRICS_PORT: u16 = 9464;
    type Args = CatalogueArgs;
    type Migrator = Migrator;
    const POOLS: &'static [Tuned] = &[POOL];
    const LOCKED_TABLE: &'static str = "variants";

    async fn start(args: CatalogueArgs, host: Host, database: &Database) -> anyhow::Result<Self> {
        let peers = match args.checkout {
            Some(target) => {
                let token = host.token.clone().context("--checkout is called with a token and needs --issuer-key")?;
                Peers { checkout: Some(Channel::to(target).with_service_token(token)) }
            }
            None => Peers::default(),
        };
        let pool = database.open(&POOL).await?;
        let settings = Settings { currency: args.currency.to_string(), index: args.index, ..Settings::default() };
        let app = Self::new(pool, settings, peers, host)?;
        if args.seed {
            let planted = app.seed_if_empty().await?;
            tracing::info!(planted, "the default products are there");
            if planted > 0 {
                app.host.life.awaits("the index has the default products", app.shows_all()).await;
            }
        }
        app.host.life.awaits("the index of products is made", app.ready()).await;
        Ok(app)
    }

    fn add_to(&self, routes: &mut RoutesBuilder) {
        let (rest, verifier) = (self.server.clone(), &self.host.verifier);
        match self.cached.clone() {
            Some(cached) => {
                let service = CachingService { cached, rest, max_request_bytes: MAX_REQUEST_BYTES };
                routes.add_service(verifier.guard(service));
            }
            None => drop(routes.add_service(verifier.guard(rest))),
        }
    }
}
