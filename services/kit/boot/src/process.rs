//! What every process of ours does, whatever it is for: arguments → telemetry → listeners → work → drain → close → flush.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand, value_parser};
use selvage_context::clock::Clock;

use crate::connections::{Bounds, Files, Listener};
use crate::{Life, Schema, ending, environment, listen, measured};

/// The filter of the log of a process that serves, and of a migration.
pub(crate) const LOG: &str = "info,sea_orm_migration=warn,sqlx=warn";

/// A program that does its work until a signal says stop.
///
/// [`main`] runs it. It needs no database; what has one is a [`Service`](crate::Service), which is a process by
/// [`Stored`](crate::Stored).
pub trait Process: Sized {
    /// What it is called on the command line, in traces and in metrics: "selvage-cart".
    const NAME: &'static str;
    /// What it is, in a sentence, for `--help`.
    const ABOUT: &'static str;
    /// The port that it listens on unless `--listen` says otherwise; `None` for a process that nobody calls.
    const PORT: Option<u16>;
    /// The connections that it takes at once on its port unless `--max-connections` says otherwise, or the limit of open files
    /// is low. Each takes some 10 KB while it is idle.
    const CONNECTIONS: usize = 1_024;
    /// The port of its metrics unless `--metrics-listen` says otherwise; `None` for none unless it does.
    const METRICS_PORT: Option<u16>;
    /// Threads that do the work, unless `--threads` says otherwise; `None` for one a core.
    const THREADS: Option<u8>;
    /// The filter of the log while a command runs that isn't `serve`.
    const COMMAND_LOG: &'static str = "warn";
    /// Its own arguments, beside those that every process has.
    type Args: Args;
    /// What it can do beside serving; [`NoCommand`] if there is nothing else.
    type Command: Subcommand;

    /// Wires it and starts its work on the life of `context`. The process is ready when this returns; until then it may
    /// wait, and says for what with [`Life::waits_for`]. Dropped in the middle when the process is told to end before.
    ///
    /// # Errors
    /// What keeps it from ever being ready, such as a wrong argument: the process ends with it.
    fn start(args: Self::Args, context: Context) -> impl Future<Output = anyhow::Result<Self>>;

    /// Gives back what it holds, when its work has ended; cut off after [`ending::CLOSE`].
    fn close(self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Adds to `schema` what its own command line doesn't say.
    fn describe(_schema: &mut Schema) {}

    /// Does what isn't serving.
    ///
    /// # Errors
    /// Its own, in words: the process ends with them.
    fn command(command: Self::Command) -> impl Future<Output = anyhow::Result<()>>;
}

/// For a process that can do nothing but serve.
pub type NoCommand = Infallible;

/// What a process is given to start with.
#[derive(Debug)]
pub struct Context {
    /// The time.
    pub clock: Clock,
    /// When to stop, where work is spawned, and whether the process is ready.
    pub life: Life,
    listener: Option<Listener>,
    files: Files,
}

impl Context {
    /// The listener of `--listen`, which is the caller's from now on.
    ///
    /// # Errors
    /// If the process has no [`Process::PORT`], or the listener was taken before.
    pub fn listener(&mut self) -> anyhow::Result<Listener> {
        self.listener.take().context("the process has no listener, or no other one")
    }

    /// A further listener, on `address`, for the gRPC that the option `flag` asks for.
    ///
    /// # Errors
    /// As [`listen::tcp`].
    pub async fn listen_to_grpc(&self, address: SocketAddr, flag: &str) -> anyhow::Result<Listener> {
        let bounds = self.files.share(FURTHER, FURTHER_CONNECTIONS);
        Ok(Listener::new(listen::tcp(address, flag).await?, "grpc", bounds))
    }
}

/// Of the files that a process may have open, its port takes a half, a further one a quarter, and metrics an eighth. What is
/// left is for its databases and the services that it calls.
const MAIN: u64 = 2;
const FURTHER: u64 = 4;
const MEASURED: u64 = 8;
/// Connections of a further listener, unless files are few.
const FURTHER_CONNECTIONS: usize = 1_024;
/// What people may ask for: a process with more connections than this should be several.
const CONNECTIONS: RangeInclusive<i64> = 1..=65_536;

/// The arguments that every process has.
#[derive(Args, Clone, Debug)]
struct Common {
    /// Serve metrics for Prometheus at http://ADDR/metrics; 0.0.0.0:PORT or [::]:PORT takes all addresses of the machine
    #[arg(long, env = "SELVAGE_METRICS_LISTEN", value_name = "ADDR")]
    metrics_listen: Option<SocketAddr>,
    /// Threads that do the work: one for each core that it may have for itself
    #[arg(long, env = "SELVAGE_THREADS", value_name = "THREADS", value_parser = value_parser!(u8).range(1..))]
    threads: Option<u8>,
    /// When it is told to end, how long it first serves on while it says that it isn't ready, in milliseconds: until those
    /// who send it work have noticed
    #[arg(long, env = "SELVAGE_LAME_DUCK_MS", value_name = "MS", default_value_t = ending::LAME_DUCK_MS_DEFAULT,
          value_parser = value_parser!(u64).range(ending::LAME_DUCK_MS))]
    lame_duck_ms: u64,
}

/// The argument of those that are called.
#[derive(Args, Clone, Debug)]
struct Listen {
    /// The address to listen on; 0.0.0.0:PORT or [::]:PORT takes all addresses of the machine
    #[arg(long, env = "SELVAGE_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Connections at once on that address; those beyond wait. By default as many as the process can serve, and no more than
    /// half of the files that it may open
    #[arg(long, env = "SELVAGE_MAX_CONNECTIONS", value_name = "CONNECTIONS",
          value_parser = value_parser!(u32).range(CONNECTIONS))]
    max_connections: Option<u32>,
    /// Connections at once from one address, or from one network of 64 bits in IPv6; those beyond are closed. By default
    /// half of all, but 8 at least; with a trusted proxy all
    #[arg(long, env = "SELVAGE_MAX_CONNECTIONS_PER_PEER", value_name = "CONNECTIONS",
          value_parser = value_parser!(u32).range(CONNECTIONS))]
    max_connections_per_peer: Option<u32>,
}

impl Listen {
    /// The bounds of the process's port.
    fn bounds(&self, files: Files, wanted: usize) -> anyhow::Result<Bounds> {
        let number = |said: u32| usize::try_from(said).unwrap_or(usize::MAX);
        let bounds = match self.max_connections {
            Some(said) => files.said(number(said))?,
            None => files.share(MAIN, wanted),
        };
        Ok(Bounds { of_one_peer: self.max_connections_per_peer.map(number), ..bounds })
    }
}

/// Everything that is said to `serve`.
struct Serve<P: Process> {
    common: Common,
    /// `None` for a process that nobody calls.
    listen: Option<Listen>,
    own: P::Args,
}

impl<P: Process> Serve<P> {
    fn augment(command: Command) -> Command {
        let mut command = P::Args::augment_args(Common::augment_args(command));
        if let Some(port) = P::PORT {
            let default = listen::here(port).to_string();
            command = Listen::augment_args(command).mut_arg("listen", |listen| listen.default_value(default));
        }
        if let Some(port) = P::METRICS_PORT {
            let default = listen::here(port).to_string();
            command = command.mut_arg("metrics_listen", |listen| listen.default_value(default));
        }
        if let Some(threads) = P::THREADS {
            command = command.mut_arg("threads", |arg| arg.default_value(threads.to_string()));
        }
        command
    }

    fn read(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let listen = match P::PORT {
            Some(_) => Some(Listen::from_arg_matches(matches)?),
            None => None,
        };
        Ok(Self { common: Common::from_arg_matches(matches)?, listen, own: P::Args::from_arg_matches(matches)? })
    }
}

/// The command line of a process: `serve`, which may be left out, and what else it can do.
pub fn command_line<P: Process>() -> Command {
    let serve = Serve::<P>::augment(Command::new("serve").about("Serve until a signal says stop"));
    let command = Command::new(P::NAME).about(P::ABOUT).version(env!("CARGO_PKG_VERSION"));
    let command = command.args_conflicts_with_subcommands(true).subcommand_negates_reqs(true);
    let schema = Command::new("schema").about("Print what can be set, with types, defaults, bounds and units, as JSON");
    P::Command::augment_subcommands(Serve::<P>::augment(command).subcommand(serve).subcommand(schema))
}

/// The main of a process.
pub fn main<P: Process>() -> ExitCode {
    let matches = environment::sober(command_line::<P>()).get_matches();
    let serve = match matches.subcommand() {
        None => Serve::<P>::read(&matches),
        Some(("serve", serve)) => Serve::<P>::read(serve),
        Some(("schema", _)) => return crate::run(P::NAME, P::COMMAND_LOG, P::THREADS, print_schema::<P>()),
        Some(_) => {
            let command = P::Command::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
            return crate::run(P::NAME, P::COMMAND_LOG, P::THREADS, P::command(command));
        }
    };
    let serve = serve.unwrap_or_else(|error| error.exit());
    crate::run(P::NAME, LOG, serve.common.threads, serve_until_told::<P>(serve))
}

async fn print_schema<P: Process>() -> anyhow::Result<()> {
    let schema = Schema::of::<P>().to_json()?;
    Ok(std::io::stdout().write_all(schema.as_bytes())?)
}

async fn serve_until_told<P: Process>(serve: Serve<P>) -> anyhow::Result<()> {
    let Serve { common, listen, own } = serve;
    let life = Life::starting();
    life.end_at_signal(Duration::from_millis(common.lame_duck_ms))?;
    let files = Files::raised();
    // Ports first: whoever starts a second one by mistake learns it before anything is touched.
    let listener = match listen {
        Some(said @ Listen { listen: Some(address), .. }) => {
            let bounds = said.bounds(files, P::CONNECTIONS)?;
            Some(Listener::new(listen::tcp(address, "--listen").await?, "main", bounds))
        }
        _ => None,
    };
    if let Some(address) = common.metrics_listen {
        let bounds = files.share(MEASURED, measured::CONNECTIONS);
        let metrics = Listener::new(listen::tcp(address, "--metrics-listen").await?, "metrics", bounds);
        tracing::info!(address = %metrics.local_addr()?, "serving metrics");
        measured::serve(metrics, &life);
    }
    let address = listener.as_ref().map(Listener::local_addr).transpose()?;
    let context = Context { clock: Clock::system(), life: life.clone(), listener, files };
    let process = tokio::select! {
        started = P::start(own, context) => Some(started?),
        () = life.stopping() => None,
    };
    if process.is_some() {
        life.ready();
        tracing::info!(address = address.map(tracing::field::display), "serving");
    }
    life.stopping().await;
    let drained = life.drain().await;
    if let Some(process) = process
        && tokio::time::timeout(ending::CLOSE, process.close()).await.is_err()
    {
        tracing::warn!("what the process holds couldn't be given back in time");
    }
    drained
}
