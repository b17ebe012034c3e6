use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use selvage_boot::{FaultPolicy, Reflection};
use selvage_identity::Role;
use selvage_proto::money::Currency;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Import products from a feed: Shopify's product CSV, or JSON Lines
    Import(Import),
    /// Plant products for trying the shop out at size
    Seed(Seed),
    /// Print a token: for grpcurl, for admins, for the operations page
    Token(Token),
    /// Whether a deployment's pools fit into its database
    Budget(crate::budget::Budget),
    /// What the operator has decided and granted: live, or of one workload as a sentence
    Pool(crate::pool::Pools),
    /// Print a trace as a tree, from Jaeger: what a request did, and where it waited for a pool
    Trace(crate::trace::Trace),
    /// Make the keys of a shop in separate processes, and the list of who may sign what
    Keys(Keys),
}

#[derive(Args)]
pub(crate) struct Data {
    /// The folder for databases, keys and mails; made if it isn't there
    #[arg(long, env = "SELVAGE_DATA", value_name = "DIR", default_value = "selvage-data")]
    pub(crate) data: PathBuf,
}

#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Serve all gRPC services on this address too, for grpcurl and tests
    #[arg(long, env = "SELVAGE_GRPC", value_name = "ADDR")]
    pub(crate) grpc: Option<SocketAddr>,
    /// Whether the services there say what they can do to whoever asks, without a token, for grpcurl and the like: on or off
    #[arg(long, env = "SELVAGE_REFLECTION", value_name = "POLICY", value_enum, default_value = "on")]
    pub(crate) reflection: Reflection,
    /// How long a parcel stays at each stage of its way, for example 8s, 10m or 6h
    #[arg(long, env = "SELVAGE_CARRIER_STEP", value_name = "TIME", default_value = "8s")]
    pub(crate) carrier_step: selvage_delivery::Step,
    /// The shop's currency, an ISO 4217 code
    #[arg(long, env = "SELVAGE_CURRENCY", value_name = "CODE", default_value = "EUR")]
    pub(crate) currency: Currency,
    /// Whether faults may be started (slow queries, held connections and the like): off or allow [default: allow, if all
    /// addresses are this machine's own]
    #[arg(long, env = "SELVAGE_FAULTS", value_name = "POLICY", value_parser = selvage_boot::fault_policy())]
    pub(crate) faults: Option<FaultPolicy>,
    /// Who may look at the operations page, /ops, and fetch /metrics: who has a token for it, or also who opens the link that
    /// the shop prints at its start, which works once
    #[arg(long, env = "SELVAGE_OPERATIONS", value_name = "WHO", value_enum, default_value_t)]
    pub(crate) operations: OperationsAccess,
    /// People reach the shop by https, through a proxy of yours: browsers send the session over nothing else
    #[arg(long, env = "SELVAGE_SECURE_COOKIES")]
    pub(crate) secure_cookies: bool,
}

/// Who may look at the operations page.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum OperationsAccess {
    /// Who has a token of the role operations, faults or admin
    Token,
    /// And who opens the link that the shop prints
    #[default]
    Link,
}

/// Which catalogue products are written to.
#[derive(Args)]
pub(crate) struct Catalogue {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Write to this catalogue's database instead of the data folder's, for example postgres://catalogue@localhost/catalogue.
    /// With a password, set it by the environment
    #[arg(long, env = "SELVAGE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The currency of the prices, which is the shop's one
    #[arg(long, env = "SELVAGE_CURRENCY", value_name = "CODE", default_value = "EUR")]
    pub(crate) currency: Currency,
}

#[derive(Args)]
pub(crate) struct Import {
    /// The feed: a .csv or .jsonl file
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) into: Catalogue,
}

#[derive(Args)]
pub(crate) struct Seed {
    /// How many products there are to be of those that we made: the shop's default ones first, then others like them, each with
    /// ten variants or so. The same on every machine; those that are there already stay
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=selvage_catalogue::seed::MOST as i64))]
    pub(crate) products: u32,
    #[command(flatten)]
    pub(crate) into: Catalogue,
}

#[derive(Args)]
pub(crate) struct Token {
    /// guest, customer, service, operations (looks at processes), faults (and starts faults in them) or admin
    #[arg(default_value = "admin")]
    pub(crate) role: Role,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Whose key signs it, where several may: a service's token may call what that service's key may
    #[arg(long, value_name = "HOLDER")]
    pub(crate) key: Option<String>,
    /// Whose token: an opaque id of 1 to 64 letters, digits and hyphens
    #[arg(long, default_value = "operator")]
    pub(crate) subject: String,
    /// How long it is valid, in minutes, at most a day
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub(crate) minutes: u64,
}

#[derive(Args)]
pub(crate) struct Keys {
    /// Where the key files go; keys that are there, and lines of the list that others wrote, are kept
    pub(crate) folder: PathBuf,
}
