use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use sea_orm_migration::MigratorTrait;
use selvage_context::clock::Clock;
use selvage_identity::{Issuer, ServiceToken, Verifier};
use selvage_pool::{Config, Pool};
use tonic::service::RoutesBuilder;

use crate::measured::MetricsListener;
use crate::tuning::{PoolFlags, Tuned};
use crate::{FaultPolicy, Faults, KeyFiles, Life, Operations, grpc, listen, read_issuer_key, read_trusted_keys};

/// What a caller has that names no time of its own: see the channels' default deadline.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// A service grows by instances. With two threads each answer of a database or of another service woke the other one: an
/// order took 133 system calls of checkout instead of 72, and a tenth more computing.
const THREADS: u8 = 1;

/// What surrounds a running service, in a process of its own or together with others.
#[derive(Clone, Debug)]
pub struct Host {
    /// The time.
    pub clock: Clock,
    /// The check of every call.
    pub verifier: Verifier,
    /// When to stop, and where background work is spawned.
    pub life: Life,
    /// The service's own token for calls that it makes by itself.
    pub token: Option<ServiceToken>,
    /// The switches with which admins may disturb the process.
    pub faults: Faults,
}

/// A gRPC service, to its main.
#[tonic::async_trait]
pub trait Service: Sized + Send + Sync + 'static {
    /// Its short name, "cart".
    const NAME: &'static str;
    /// Its name with the package, "selvage.cart.v1.Cart".
    const GRPC_NAME: &'static str;
    /// What its process is called in traces and metrics, "selvage-cart".
    const PROCESS: &'static str;
    /// The port it listens on unless told otherwise.
    const DEFAULT_PORT: u16;
    /// The port its metrics are at unless told otherwise.
    const METRICS_PORT: u16;
    /// Its own arguments, beside those that all services have.
    type Args: Args + Send + 'static;
    /// Its migrations.
    type Migrator: MigratorTrait;
    /// Its pools, the main one first.
    const POOLS: &'static [Tuned];
    /// The table that it writes to most: what the fault "lock hold" locks.
    const LOCKED_TABLE: &'static str;

    /// Wires it and starts its background work on `host.life`.
    async fn start(args: Self::Args, host: Host, database: &Database) -> anyhow::Result<Self>;

    /// Adds its server, behind `verifier`.
    fn add_to(&self, routes: &mut RoutesBuilder);
}

/// A service's database: an address from which pools are opened.
#[derive(Args, Clone)]
pub struct Database {
    /// The database, for example postgres://cart@localhost/cart or sqlite://cart.db. With a password, set it by the
    /// environment rather than as an argument, which other users can see
    #[arg(long, env = "SELVAGE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: String,
    #[command(flatten)]
    flags: PoolFlags,
    /// The pools that were opened; clones share them.
    #[arg(skip)]
    opened: Arc<Mutex<Vec<Pool>>>,
}

impl Database {
    /// The database at `url`, with the services' own tunings.
    pub fn at(url: impl Into<String>) -> Self {
        Self { database_url: url.into(), flags: PoolFlags::default(), opened: Arc::default() }
    }

    /// Opens a service's main pool, for requests that somebody waits for. What the user said on the command line wins over
    /// what the file of tunings says, and that over the service's own tuning.
    ///
    /// # Errors
    /// If the tuning makes no sense, said with its arithmetic, or the database doesn't answer.
    pub async fn open(&self, pool: &Tuned) -> anyhow::Result<Pool> {
        let mut config = self.tuned(pool)?;
        self.flags.apply_to_main(&mut config);
        config.request_deadline = Some(REQUEST_DEADLINE);
        self.open_tuned(config).await
    }

    /// Opens a pool beside the service's main one; `--pool-limit` and its like are not about it, but `limit` is.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_apart(&self, pool: &Tuned, limit: Option<u32>) -> anyhow::Result<Pool> {
        let mut config = self.tuned(pool)?;
        config.limit = limit.unwrap_or(config.limit);
        self.open_tuned(config).await
    }

    fn tuned(&self, pool: &Tuned) -> anyhow::Result<Config> {
        let mut config = pool.config(&self.database_url, None);
        self.flags.apply(&mut config)?;
        Ok(config)
    }

    async fn open_tuned(&self, config: Config) -> anyhow::Result<Pool> {
        let name = config.name.clone();
        let pool = Pool::open(config).await.with_context(|| format!("the pool '{name}' can't be opened"))?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(pool.clone());
        Ok(pool)
    }

    /// The pools that were opened, the main one first.
    pub(crate) fn pools(&self) -> Vec<Pool> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the pools that were opened: PostgreSQL hears a good-bye, SQLite puts its log back into the file. To be called
    /// when nothing uses them any more.
    pub async fn close(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        futures::future::join_all(opened.iter().map(Pool::close)).await;
    }

    /// The same with the main pool at `limit` connections, unless the user said otherwise.
    #[must_use]
    pub fn with_pool_limit(mut self, limit: u32) -> Self {
        self.flags.limit_unless_said(limit);
        self
    }

    /// Applies the migrations that are missing; returns how many.
    ///
    /// # Errors
    /// The first one that fails.
    pub async fn migrate<M: MigratorTrait>(&self) -> anyhow::Result<usize> {
        selvage_pool::migrate::up::<M>(&self.database_url).await.context("the database can't be migrated")
    }
}

#[derive(Parser)]
struct Cli<A: Args> {
    #[command(subcommand)]
    command: Command<A>,
}

#[derive(Subcommand)]
enum Command<A: Args> {
    /// Serve until a signal says stop
    Serve {
        /// The address to listen on [default: 127.0.0.1 and the service's port]
        #[arg(long, env = "SELVAGE_LISTEN", value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// Threads that do the work: one for each core that it may have for itself
        #[arg(long, env = "SELVAGE_THREADS", default_value_t = THREADS, value_parser = clap::value_parser!(u8).range(1..))]
        threads: u8,
        /// Whether admins may start faults (slow queries, held connections and the like) in this process: off or allow
        #[arg(long, env = "SELVAGE_FAULTS", value_name = "POLICY", default_value_t)]
        faults: FaultPolicy,
        #[command(flatten)]
        metrics: MetricsListener,
        #[command(flatten)]
        keys: KeyFiles,
        #[command(flatten)]
        database: Database,
        #[command(flatten)]
        own: A,
    },
    /// Bring the database's schema up to date, and end
    Migrate {
        #[command(flatten)]
        database: Database,
        /// Afterwards let this role read and write rows, and nothing more: the one that the service runs as, where another
        /// one owns the database (PostgreSQL)
        #[arg(long, env = "SELVAGE_GRANT_TO", value_name = "ROLE")]
        grant_to: Option<String>,
    },
}

/// The main of a service's own binary.
pub fn main<S: Service>() -> ExitCode {
    let command = Cli::<S::Args>::command().name(S::PROCESS).version(env!("CARGO_PKG_VERSION"));
    let cli = Cli::<S::Args>::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let threads = match &cli.command {
        Command::Serve { threads, .. } => *threads,
        Command::Migrate { .. } => THREADS,
    };
    crate::run(S::PROCESS, "info,sea_orm_migration=warn,sqlx=warn", Some(threads.into()), async move {
        match cli.command {
            Command::Migrate { database, grant_to } => {
                let applied = database.migrate::<S::Migrator>().await?;
                if let Some(role) = grant_to {
                    let granted = selvage_pool::migrate::grant(&database.database_url, &role).await;
                    granted.with_context(|| format!("the rights of '{role}' can't be granted"))?;
                }
                tracing::info!(applied, "the schema is up to date");
                Ok(())
            }
            Command::Serve { listen, faults, metrics, keys, database, own, .. } => {
                serve::<S>(listen, faults, &metrics, &keys, &database, own).await
            }
        }
    })
}

async fn serve<S: Service>(
    listen: Option<SocketAddr>,
    faults: FaultPolicy,
    metrics: &MetricsListener,
    keys: &KeyFiles,
    database: &Database,
    own: S::Args,
) -> anyhow::Result<()> {
    let clock = Clock::system();
    let token = match &keys.issuer_key {
        Some(path) => Some(ServiceToken::new(Issuer::new(read_issuer_key(path)?, clock.clone()), S::NAME)),
        None => None,
    };
    let verifier = Verifier::new(read_trusted_keys(&keys.trusted_keys)?, clock.clone());
    let life = Life::new();
    life.end_at_signal()?;

    let address = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], S::DEFAULT_PORT)));
    let listener = listen::tcp(address, "--listen").await?;
    metrics.serve(S::METRICS_PORT, &life).await?;
    let faults = Faults::new(faults, clock.clone());
    let host = Host { clock, verifier, life: life.clone(), token, faults };
    let mut operations = Operations::new(&host);
    let service = S::start(own, host, database).await?;
    operations.add(S::NAME, S::LOCKED_TABLE, database);
    let mut services = grpc::Services::default();
    services.add(S::GRPC_NAME, |routes| service.add_to(routes));
    operations.serve(&mut services);
    let routes = services.finish(&life).await?;

    tracing::info!(service = S::NAME, address = %listener.local_addr()?, "serving");
    let serving = async {
        let served = grpc::serve(routes, grpc::incoming(listener), &life).await;
        life.end();
        served
    };
    // Background work ends while the last calls do: both together take no longer than the longer of them.
    let draining = async {
        life.stopping().await;
        life.drain().await
    };
    let (served, drained) = tokio::join!(serving, draining);
    database.close().await;
    served.and(drained)
}
