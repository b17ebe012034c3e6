use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum, value_parser};
use sea_orm_migration::MigratorTrait;
use selvage_context::clock::Clock;
use selvage_identity::{ServiceToken, Verifier};
use selvage_pool::migrate::Role;
use tonic::service::{Routes, RoutesBuilder};

use crate::broker::{self, BrokerArgs};
use crate::process::LOG;
use crate::tuning::Tuned;
use crate::{
    Address, Context, Database, FaultPolicy, Faults, KeyFiles, Keys, Life, Operations, Process, Schema, Tally, grpc,
    tuning,
};

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
    /// The switches with which the process can be disturbed.
    pub faults: Faults,
}

/// A gRPC service with a database. [`Stored`] makes a process of it.
#[tonic::async_trait]
pub trait Service: Sized + Send + Sync + 'static {
    /// Its short name, "cart".
    const NAME: &'static str;
    /// Its name with the package, "selvage.cart.v1.Cart".
    const GRPC_NAME: &'static str;
    /// What its process is called in traces and metrics, "selvage-cart".
    const PROCESS: &'static str;
    /// What it is, in a sentence, for `--help`.
    const ABOUT: &'static str;
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
    /// What it counts of its own, to be told to who looks after the process.
    const TALLIES: &'static [Tally] = &[];

    /// Wires it, opens its pools on `database`, and starts its background work on `host.life`, in this order: what is
    /// wrong with the arguments is said before a database is waited for.
    async fn start(args: Self::Args, host: Host, database: &Database) -> anyhow::Result<Self>;

    /// Adds its server, behind the verifier of its host.
    fn add_to(&self, routes: &mut RoutesBuilder);
}

/// Services that are served together, with the operations of their process.
pub struct Together {
    services: grpc::Services,
    operations: Operations,
}

impl Together {
    /// None yet, in the process that `host` speaks of.
    pub fn new(host: &Host) -> Self {
        Self { services: grpc::Services::default(), operations: Operations::new(host) }
    }

    /// Starts a service on its database, and adds it.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub async fn start<S: Service>(&mut self, args: S::Args, host: Host, database: &Database) -> anyhow::Result<()> {
        let service = S::start(args, host, database).await?;
        self.operations.add(S::NAME, S::LOCKED_TABLE, S::TALLIES, database);
        self.services.add(S::GRPC_NAME, |routes| service.add_to(routes));
        Ok(())
    }

    /// The same, which say what they are to whoever asks, if `reflection` is on.
    #[must_use]
    pub fn with_reflection(self, reflection: Reflection) -> Self {
        Self { services: self.services.with_reflection(reflection == Reflection::On), ..self }
    }

    /// Adds operations, health, and reflection if it is on, and closes the list.
    ///
    /// # Errors
    /// As [`grpc::Services::finish`].
    pub async fn finish(mut self, life: &Life) -> anyhow::Result<Routes> {
        self.operations.serve(&mut self.services);
        self.services.finish(life).await
    }
}

/// Whether a server says what it can do to whoever asks, without a token: for grpcurl and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reflection {
    /// It doesn't
    Off,
    /// It does
    On,
}

/// A service in a process of its own.
pub struct Stored<S: Service> {
    database: Database,
    service: PhantomData<S>,
}

/// The arguments of a service's process, beside those that every process has.
#[derive(Args)]
pub struct StoredArgs<A: Args> {
    /// Whether faults may be started (slow queries, held connections and the like) in this process: off or allow
    #[arg(long, env = "SELVAGE_FAULTS", value_name = "POLICY", default_value_t, value_parser = fault_policy())]
    faults: FaultPolicy,
    /// Whether the service says what it can do to whoever asks, without a token, for grpcurl and the like: off or on
    #[arg(long, env = "SELVAGE_REFLECTION", value_name = "POLICY", value_enum, default_value = "off")]
    reflection: Reflection,
    #[command(flatten)]
    keys: KeyFiles,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    own: A,
}

/// Reads a policy, of a list of values that a schema can name.
pub fn fault_policy() -> impl TypedValueParser<Value = FaultPolicy> {
    PossibleValuesParser::new([FaultPolicy::Off, FaultPolicy::Allow].map(|policy| policy.to_string()))
        .try_map(|text| text.parse::<FaultPolicy>())
}

/// Connections that a role may be given: PostgreSQL has 262,143 backends at the most.
const ROLE_CONNECTIONS: RangeInclusive<i64> = 1..=262_143;
/// A role's own time-out, in milliseconds, is for whoever connects as it and names none; 10 ms is the pool's least, and after
/// an hour nobody waits any more.
const ROLE_STATEMENTS_MS: RangeInclusive<u64> = 10..=3_600_000;

/// What a service's program can do beside serving.
#[derive(Subcommand)]
pub enum StoredCommand {
    /// Bring the database's schema up to date, and end
    Migrate {
        #[command(flatten)]
        address: Address,
        /// Let this role read and write rows, and nothing more: the one that the service runs as, where another one owns the
        /// database (PostgreSQL)
        #[arg(long, env = "SELVAGE_GRANT_TO", value_name = "ROLE")]
        grant_to: Option<String>,
        /// Set how many connections that role may have in all: those of all instances, with one more of each during an update.
        /// Who migrates needs CREATEROLE for it and, from PostgreSQL 16 on, the role WITH ADMIN OPTION
        #[arg(long, env = "SELVAGE_ROLE_CONNECTION_LIMIT", value_name = "CONNECTIONS", requires = "grant_to",
              value_parser = value_parser!(u32).range(ROLE_CONNECTIONS))]
        connection_limit: Option<u32>,
        /// Set how long a statement of that role may take where its session doesn't say, in milliseconds; needs the same
        #[arg(long, env = "SELVAGE_ROLE_STATEMENT_TIMEOUT_MS", value_name = "MS", requires = "grant_to",
              value_parser = value_parser!(u64).range(ROLE_STATEMENTS_MS))]
        statement_timeout: Option<u64>,
    },
}

impl<S: Service> Process for Stored<S> {
    const NAME: &'static str = S::PROCESS;
    const ABOUT: &'static str = S::ABOUT;
    const PORT: Option<u16> = Some(S::DEFAULT_PORT);
    const METRICS_PORT: Option<u16> = Some(S::METRICS_PORT);
    const THREADS: Option<u8> = Some(THREADS);
    const COMMAND_LOG: &'static str = LOG;
    type Args = StoredArgs<S::Args>;
    type Command = StoredCommand;

    async fn start(args: StoredArgs<S::Args>, mut context: Context) -> anyhow::Result<Self> {
        let StoredArgs { faults, reflection, keys: key_files, database, broker, own } = args;
        let broker = broker.settings(database.is_server())?;
        let listener = context.listener()?;
        let Context { clock, life, .. } = context;
        let mut keys = Keys::new(clock.clone());
        let (verifier, issuer) = keys.of_files(&key_files)?;
        let token = issuer.map(|issuer| ServiceToken::new(issuer, S::NAME));
        keys.run(&life);
        let faults = Faults::new(faults, clock.clone());
        let host = Host { clock, verifier, life: life.clone(), token, faults };
        // Its health can be asked from now on, and says that it isn't ready.
        let first = grpc::Services::absent(&[S::GRPC_NAME, Operations::NAME], &life).await?;
        let (later, serving) = (grpc::Later::default(), life.clone());
        let rest = later.clone();
        tracing::info!(address = %listener.local_addr()?, "listening");
        let incoming = grpc::incoming(listener, &life);
        life.run("grpc", async move { grpc::serve_later(first, rest, incoming, &serving).await });
        let database = database.waited_for::<S::Migrator>(S::PROCESS, &life);
        let database = match broker {
            Some(settings) => database.granted_by(broker::start(settings, &life)),
            None => database,
        };
        let mut together = Together::new(&host).with_reflection(reflection);
        together.start::<S>(own, host, &database).await?;
        later.set(together.finish(&life).await?);
        Ok(Self { database, service: PhantomData })
    }

    async fn close(self) {
        self.database.close().await;
    }

    fn describe(schema: &mut Schema) {
        tuning::describe(S::POOLS, schema);
    }

    async fn command(command: StoredCommand) -> anyhow::Result<()> {
        let StoredCommand::Migrate { address, grant_to, connection_limit, statement_timeout } = command;
        let role = grant_to.as_deref().map(|name| Role {
            name,
            connections: connection_limit,
            statement_timeout: statement_timeout.map(Duration::from_millis),
        });
        // It may wait for another migration for as long as that takes.
        let applied = until_told("the migration", address.migrate::<S::Migrator>(role.as_ref())).await?;
        tracing::info!(applied, "the schema is up to date");
        Ok(())
    }
}

/// What `work` gives, unless Ctrl-C or SIGTERM comes first: then it is cut off.
///
/// # Errors
/// Those of `work`; that it, called `what`, was cut off; or if the process may not listen to signals.
async fn until_told<T>(what: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let told = async {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
    };
    tokio::select! {
        done = work => done,
        () = told => bail!("{what} was told to end before it was done; it may be begun again"),
    }
}
