//! All services in one process. They talk through real gRPC channels, over memory instead of sockets.

use std::io::Write as _;
use std::net::IpAddr;

use selvage_boot::connections::Listener;
use selvage_boot::{
    Context, Database, FaultPolicy, Faults, Host, KeyFolder, Keys, Life, Process, Service, Together, grpc,
};
use selvage_cart::CartArgs;
use selvage_catalogue::CatalogueArgs;
use selvage_checkout::CheckoutArgs;
use selvage_delivery::DeliveryArgs;
use selvage_holders::HOLDERS;
use selvage_identity::{Role, ServiceToken};
use selvage_rpc::{Channel, InProcess, Target};

use crate::cli::{Command, OperationsAccess, Serve};
use crate::data::DataFolder;
use crate::{budget, import, pool, seed, token, trace};

/// Connections of each service's main pool: one process on one file needs few, and each costs a thread and some memory.
/// 4 × 0.7 ÷ 0.5 ms a read = 5,600 reads a second, beyond what one machine renders.
const POOL_LIMIT: u32 = 4;

/// The whole shop in one process.
pub(crate) struct House {
    databases: Vec<Database>,
}

impl Process for House {
    const NAME: &'static str = "selvage";
    const ABOUT: &'static str =
        "A clothing shop of small gRPC services. Without a command it serves the whole shop in this one process.";
    const PORT: Option<u16> = Some(8080);
    const CONNECTIONS: usize = selvage_web::CONNECTIONS;
    /// They are at `/metrics` of the shop's port.
    const METRICS_PORT: Option<u16> = None;
    /// One process serves everything: two threads do what a core each could, and idle ones cost memory.
    const THREADS: Option<u8> = Some(2);
    type Args = Serve;
    type Command = Command;

    async fn start(serve: Serve, mut context: Context) -> anyhow::Result<Self> {
        let pages = context.listener()?;
        let rpcs = match serve.grpc {
            Some(address) => Some(context.listen_to_grpc(address, "--grpc").await?),
            None => None,
        };
        let folder = DataFolder::open(&serve.data.data)?;
        // The catalogue's may be there alone, from an import.
        folder.tell_missing(&["cart", "delivery", "checkout"]);
        // Two lives: at a signal the pages end, and what they call only after them.
        let Context { clock, life, .. } = context;
        let behind = life.behind();
        let (key_folder, mut keys) = (folder.make_keys()?, Keys::new(clock.clone()));
        let address = pages.local_addr()?;
        let faults = serve.faults.unwrap_or_else(|| default_faults(address.ip(), &serve));
        let host = Host {
            verifier: keys.verifier(&key_folder.trusted_file())?,
            faults: Faults::new(faults, clock.clone()),
            life: behind.clone(),
            token: None,
            clock: clock.clone(),
        };
        let mut token = |holder: &'static str| -> anyhow::Result<Option<ServiceToken>> {
            Ok(Some(ServiceToken::new(keys.issuer(&key_folder.file(holder))?, holder)))
        };
        // Each pair of services has a connection of its own, as it would between processes.
        let (way_in, incoming) = InProcess::pair();
        let here = || Target::InProcess(way_in.clone());

        let mut services = Services {
            together: Together::new(&host).with_reflection(serve.reflection),
            host,
            folder: &folder,
            databases: Vec::new(),
        };
        let currency = serve.currency;
        let catalogue = CatalogueArgs {
            currency: currency.clone(),
            checkout: Some(here()),
            index: Some(folder.index()),
            seed: true,
        };
        services.start::<selvage_catalogue::App>(catalogue, token("catalogue")?).await?;
        services.start::<selvage_cart::App>(CartArgs::new(currency.clone(), here()), None).await?;
        let delivery = DeliveryArgs::new(currency.clone(), serve.carrier_step);
        services.start::<selvage_delivery::App>(delivery, None).await?;
        let mut checkout = CheckoutArgs::new(here(), here(), here());
        checkout.mail_folder = folder.mails();
        services.start::<selvage_checkout::App>(checkout, token("checkout")?).await?;
        let Services { together, databases, .. } = services;
        let routes = together.finish(&behind).await?;
        let (serving, on) = (routes.clone(), behind.clone());
        behind.run("services", async move { grpc::serve(serving, incoming, &on).await });

        let mut say = std::io::stdout();
        if let Some(listener) = rpcs {
            writeln!(say, "gRPC services at {}", listener.local_addr()?)?;
            let on = behind.clone();
            let incoming = grpc::incoming(listener, &behind);
            behind.run("grpc", async move { grpc::serve(routes, incoming, &on).await });
        }
        let (access, operations) = match serve.operations {
            OperationsAccess::Token => (selvage_web::Access::Token, "/ops".to_owned()),
            OperationsAccess::Link => {
                let (link, signed_by) =
                    (selvage_web::Link::new(rand::random()), key_folder.file_for(Role::Faults, None)?);
                let path = link.path();
                (selvage_web::Access::Link(link, keys.issuer(&signed_by)?), path)
            }
        };
        let channel = || Channel::to(here());
        let peers = selvage_web::Peers {
            catalogue: channel(),
            cart: channel(),
            checkout: channel(),
            delivery: channel(),
            operations: selvage_web::Operations {
                processes: vec![("shop".to_owned(), channel())],
                access,
                scaler: None,
            },
        };
        let settings = selvage_web::Settings {
            secure_cookies: serve.secure_cookies,
            currency: currency.to_string(),
            whole_shop: true,
            ..selvage_web::Settings::default()
        };
        let web = selvage_web::App::new(settings, peers, keys.issuer(&key_folder.file("web"))?, clock, life.clone());
        keys.run(&behind);
        serve_pages(pages, web, &life, behind);
        writeln!(
            say,
            "{}",
            where_operations_are(serve.operations, &address.to_string(), &operations, serve.secure_cookies)
        )?;
        writeln!(say, "The shop is open at http://{address}")?;
        say.flush()?;
        Ok(Self { databases })
    }

    async fn close(self) {
        for database in self.databases {
            database.close().await;
        }
    }

    async fn command(command: Command) -> anyhow::Result<()> {
        match command {
            Command::Import(import) => import::import(&import).await,
            Command::Seed(seed) => seed::seed(&seed).await,
            Command::Token(token) => token::print(&token),
            Command::Budget(budget) => budget::run(&budget),
            Command::Pool(pools) => pool::run(&pools).await,
            Command::Trace(trace) => trace::run(&trace).await,
            Command::Keys(keys) => KeyFolder::make(&keys.folder, &HOLDERS).map(drop),
        }
    }
}

/// The line that says how the operations page is opened. Behind https only the path is known: the address is the proxy's.
fn where_operations_are(access: OperationsAccess, address: &str, path: &str, is_behind_https: bool) -> String {
    let by = match access {
        OperationsAccess::Link => "Operations, by a link that works once",
        OperationsAccess::Token => "Operations",
    };
    let at = if is_behind_https { "your https address, and then ".to_owned() } else { format!("http://{address}") };
    format!("{by}: {at}{path}")
}

/// Serves the pages until the end of `life`, and ends what is behind them after that; before it, if that can't go on.
fn serve_pages(listener: Listener, web: selvage_web::App, life: &Life, behind: Life) {
    let (broken, pages_end) = (behind.stopping(), life.clone());
    tokio::spawn(async move {
        broken.await;
        pages_end.end();
    });
    let serving = life.clone();
    life.run("shop", async move {
        selvage_web::serve(listener, web, &serving).await;
        behind.drain().await
    });
}

/// Who tries the shop out at their own machine may disturb it; nobody else's shop is.
fn default_faults(pages: IpAddr, serve: &Serve) -> FaultPolicy {
    let is_own = pages.is_loopback() && serve.grpc.is_none_or(|address| address.ip().is_loopback());
    if is_own { FaultPolicy::Allow } else { FaultPolicy::Off }
}

/// The services as they come up, one after another.
struct Services<'a> {
    together: Together,
    host: Host,
    folder: &'a DataFolder,
    databases: Vec<Database>,
}

impl Services<'_> {
    /// Starts a service on a database of its own in the folder, with its schema brought up to date before.
    async fn start<S: Service>(&mut self, args: S::Args, token: Option<ServiceToken>) -> anyhow::Result<()> {
        let migrate = async |database: &Database| database.migrate::<S::Migrator>().await;
        let database = self.folder.database(S::NAME, migrate).await?.with_pool_limit(POOL_LIMIT);
        self.databases.push(database.clone());
        self.together.start::<S>(args, Host { token, ..self.host.clone() }, &database).await
    }
}
