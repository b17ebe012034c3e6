//! All services in one process. They talk through real gRPC channels, over memory instead of sockets.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use selvage_boot::{Database, FaultPolicy, Faults, Host, Life, Operations, Service, grpc, listen};
use selvage_context::clock::Clock;
use selvage_identity::{Issuer, Role, ServiceToken, Verifier};
use selvage_rpc::{Channel, InProcess, Target};

use crate::cli::{OperationsAccess, Serve};
use crate::data::DataFolder;

/// Connections of each service's main pool: one process on one file needs few, and each costs a thread and some memory.
/// 4 × 0.7 ÷ 0.5 ms a read = 5,600 reads a second, beyond what one machine renders.
const POOL_LIMIT: u32 = 4;

/// Serves until a signal says stop.
pub(crate) async fn serve(serve: &Serve) -> anyhow::Result<()> {
    // Two lives: at a signal the pages end, and what they call only after them.
    let (life, behind) = (Life::new(), Life::new());
    life.end_at_signal()?;
    // Ports first: whoever starts a second shop by mistake learns it before anything is touched.
    let pages = listen::tcp(serve.listen, "--listen").await?;
    let rpcs = match serve.grpc {
        Some(address) => Some(listen::tcp(address, "--grpc").await?),
        None => None,
    };
    let folder = DataFolder::open(&serve.data.data)?;
    let services = Services::start(&folder, serve, &behind, &life).await?;
    let mut say = std::io::stdout();
    if let Some(listener) = rpcs {
        writeln!(say, "gRPC services at {}", listener.local_addr()?)?;
        let (routes, on) = (services.routes.clone(), behind.clone());
        behind.spawn("grpc", async move {
            if let Err(error) = grpc::serve(routes, grpc::incoming(listener), &on).await {
                tracing::error!(error = %error, "the gRPC listener failed");
            }
        });
    }
    writeln!(say, "Operations at http://{}/ops", pages.local_addr()?)?;
    writeln!(say, "The shop is open at http://{}", pages.local_addr()?)?;
    say.flush()?;
    // What is behind the pages ends after them, unless it can't go on.
    let (broken, pages_end) = (behind.stopping(), life.clone());
    tokio::spawn(async move {
        broken.await;
        pages_end.end();
    });
    selvage_web::serve(pages, services.web, &life).await?;
    let drained = life.drain().await;
    let drained = behind.drain().await.and(drained);
    for database in services.databases {
        database.close().await;
    }
    drained
}

/// Who tries the shop out at their own machine may disturb it; nobody else's shop is.
fn default_faults(serve: &Serve) -> FaultPolicy {
    let is_own = serve.listen.ip().is_loopback() && serve.grpc.is_none_or(|address| address.ip().is_loopback());
    if is_own { FaultPolicy::Allow } else { FaultPolicy::Off }
}

struct Services {
    routes: tonic::service::Routes,
    web: selvage_web::App,
    databases: Vec<Database>,
}

impl Services {
    async fn start(folder: &DataFolder, serve: &Serve, life: &Life, web_life: &Life) -> anyhow::Result<Self> {
        let (clock, keys) = (Clock::system(), folder.keys()?);
        let verifier = Verifier::new(keys.trusted()?, clock.clone());
        let faults = Faults::new(serve.faults.unwrap_or_else(|| default_faults(serve)), clock.clone());
        let host = |token| Host {
            clock: clock.clone(),
            verifier: verifier.clone(),
            life: life.clone(),
            token,
            faults: faults.clone(),
        };
        let mut operations = Operations::new(&host(None));
        let service_token = |name: &'static str| -> anyhow::Result<ServiceToken> {
            Ok(ServiceToken::new(Issuer::new(keys.of(name)?, clock.clone()), name))
        };
        // Each pair of services has a connection of its own, as it would between processes.
        let (way_in, incoming) = InProcess::pair();
        let channel = || Channel::to(Target::InProcess(way_in.clone()));
        let mut databases = Vec::new();
        let mut database_of = |name: &str| {
            let database = folder.database(name).with_pool_limit(POOL_LIMIT);
            databases.push(database.clone());
            database
        };

        let database = database_of("catalogue");
        database.migrate::<selvage_catalogue::migration::Migrator>().await?;
        let peers =
            selvage_catalogue::Peers { checkout: Some(channel().with_service_token(service_token("catalogue")?)) };
        let pool = database.open(&selvage_catalogue::POOL).await?;
        operations.add(selvage_catalogue::App::NAME, selvage_catalogue::App::LOCKED_TABLE, &database);
        let currency = || serve.currency.to_string();
        let settings = selvage_catalogue::Settings { currency: currency(), ..selvage_catalogue::Settings::default() };
        let catalogue = selvage_catalogue::App::new(pool, settings, peers, host(None));
        let planted = catalogue.seed_if_empty().await?;
        if planted > 0 {
            tracing::info!(products = planted, "the shop was empty and has been stocked");
        }

        let database = database_of("cart");
        database.migrate::<selvage_cart::migration::Migrator>().await?;
        let pool = database.open(&selvage_cart::POOL).await?;
        operations.add(selvage_cart::App::NAME, selvage_cart::App::LOCKED_TABLE, &database);
        let peers = selvage_cart::Peers { catalogue: channel() };
        let settings = selvage_cart::Settings { currency: currency(), ..selvage_cart::Settings::default() };
        let cart = selvage_cart::App::new(pool, settings, peers, host(None))?;

        let database = database_of("delivery");
        database.migrate::<selvage_delivery::migration::Migrator>().await?;
        let pool = database.open(&selvage_delivery::POOL).await?;
        operations.add(selvage_delivery::App::NAME, selvage_delivery::App::LOCKED_TABLE, &database);
        let settings = selvage_delivery::Settings {
            carrier_step: serve.carrier_step.duration(),
            currency: currency(),
            ..selvage_delivery::Settings::default()
        };
        let delivery = selvage_delivery::App::new(pool, settings, host(None))?;

        let database = database_of("checkout");
        database.migrate::<selvage_checkout::migration::Migrator>().await?;
        let pools = selvage_checkout::Pools::open(&database, None).await?;
        operations.add(selvage_checkout::App::NAME, selvage_checkout::App::LOCKED_TABLE, &database);
        let mails = selvage_checkout::mail::Folder::open(&folder.mails()).context("the folder for mails")?;
        let token = service_token("checkout")?;
        let own = || channel().with_service_token(token.clone());
        let peers = selvage_checkout::Peers { cart: own(), catalogue: own(), delivery: own() };
        let settings = selvage_checkout::Settings::default();
        let checkout = selvage_checkout::App::new(pools, Arc::new(mails), settings, peers, host(None));

        let mut services = grpc::Services::default();
        services.add(selvage_catalogue::App::GRPC_NAME, |routes| catalogue.add_to(routes));
        services.add(selvage_cart::App::GRPC_NAME, |routes| cart.add_to(routes));
        services.add(selvage_checkout::App::GRPC_NAME, |routes| checkout.add_to(routes));
        services.add(selvage_delivery::App::GRPC_NAME, |routes| delivery.add_to(routes));
        operations.serve(&mut services);
        let routes = services.finish(life).await?;
        let (serving, on) = (routes.clone(), life.clone());
        life.spawn("services", async move {
            if let Err(error) = grpc::serve(serving, incoming, &on).await {
                tracing::error!(error = %error, "the services failed");
            }
        });

        let access = match serve.operations {
            OperationsAccess::Token => selvage_web::Access::Token,
            OperationsAccess::Loopback => {
                selvage_web::Access::Loopback(Issuer::new(keys.for_role(Role::Admin)?, clock.clone()))
            }
        };
        let peers = selvage_web::Peers {
            catalogue: channel(),
            cart: channel(),
            checkout: channel(),
            delivery: channel(),
            operations: selvage_web::Operations { processes: vec![("shop".to_owned(), channel())], access },
        };
        let settings =
            selvage_web::Settings { currency: currency(), whole_shop: true, ..selvage_web::Settings::default() };
        let web = selvage_web::App::new(settings, peers, keys.of("web")?, clock.clone(), web_life.clone());
        Ok(Self { routes, web, databases })
    }
}
