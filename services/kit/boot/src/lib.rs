//! One main for all: arguments → telemetry → listeners → work → drain → close → flush.
//!
//! A [`Process`] is a program that works until a signal says stop; [`main`] runs it. [`Life`] is its life: background work
//! is spawned on it, it says whether the process is ready, and at a signal it ends everything in order. How long that may
//! take is added up in [`ending`].
//!
//! With the feature `service`, a [`Service`] is what a gRPC service with a database is to its main, and [`Stored`] makes a
//! process of it.
//!
//! # Add a process without a database
//!
//! ```no_run
//! use selvage_boot::{Context, NoCommand, Process, main};
//!
//! #[derive(clap::Args)]
//! struct LampArgs {
//!     /// How often the lamp turns, in seconds
//!     #[arg(long, env = "SELVAGE_LAMP_TURNS", value_name = "SECONDS", default_value_t = 10,
//!           value_parser = clap::value_parser!(u64).range(1..=60))]
//!     lamp_turns: u64,
//! }
//!
//! struct Lamp;
//!
//! impl Process for Lamp {
//!     const NAME: &'static str = "selvage-lamp";
//!     const ABOUT: &'static str = "A light at the coast.";
//!     const PORT: Option<u16> = None; // nobody calls it
//!     const METRICS_PORT: Option<u16> = Some(9470);
//!     const THREADS: Option<u8> = Some(1);
//!     type Args = LampArgs;
//!     type Command = NoCommand;
//!
//!     async fn start(args: LampArgs, context: Context) -> anyhow::Result<Self> {
//!         let (life, pause) = (context.life, std::time::Duration::from_secs(args.lamp_turns));
//!         let turning = life.clone();
//!         life.spawn("turns", async move { while turning.sleep(pause).await {} });
//!         Ok(Self)
//!     }
//!
//!     async fn command(command: NoCommand) -> anyhow::Result<()> {
//!         match command {}
//!     }
//! }
//!
//! # fn its_main() -> std::process::ExitCode {
//! main::<Lamp>()
//! # }
//! ```
//!
//! That has `serve` (which may be left out), `schema`, `--metrics-listen` with `/metrics`, `/livez` and `/readyz`, `--threads`,
//! `--lame-duck-ms`, and an orderly end; with a port also `--max-connections` and `--max-connections-per-peer` ([`connections`]).
//! What it must wait for before it is of use it awaits in `start`, and says what it is with [`Life::waits_for`]. A server is spawned
//! with [`Life::run`]: [`grpc::serve`] or [`http::serve`] on [`Context::listener`]. What it can do beside serving are the
//! subcommands of `Command`.
//!
//! # Add a program that does a thing and ends
//!
//! A [`Tool`] has commands and nothing to serve; [`tool`] is its main.
//!
//! # Add a service with a database
//!
//! 1. A crate in `services/` with the skeleton of ARCHITECTURE.md, and its rpcs in `proto/`; `tests/whole/tidy` names both
//!    lists that a new crate joins.
//! 2. `args.rs`: its own options, a `clap::Args`; see below. `app.rs`: its `impl Service`, with its pools' tunings, each with
//!    its arithmetic. `start` checks what its arguments say, opens its pools with [`Database::open`], which waits until the
//!    schema is at least its own, and only then spawns background work on [`Host::life`].
//! 3. `main.rs`: `selvage_boot::main::<Stored<App>>()`. Ports are counted on from those of the others.
//! 4. In `services/selvage`: a line in `house.rs` that starts it in the one-process shop, and one in `budget.rs` for its pools.
//! 5. In `tests/fixtures/shop.rs` it joins the shop of separate processes.
//!
//! With `--broker`, a service's pools open nothing before a broker has granted it: `broker.rs`, and the documentation of
//! `selvage_broker`.
//!
//! # Add an option
//!
//! One field in the process's `args.rs` (or in `tuning.rs`, for all that have pools): a doc comment, which is its help; `long`;
//! `env` with its variable; a `value_name` that [`schema`] knows, which says type and unit; a `value_parser` with its range, whose
//! arithmetic stands beside it; a default, if there is one. No other place needs to know: `--help` and `schema`, and by that
//! the chart's values, are made from it, and `tests/whole/schema.rs` fails where one of these is missing. A key of a pool's
//! tuning file is a field of `Overrides` and an entry of `KEYS`, both in `tuning.rs`.

#[cfg(feature = "service")]
mod broker;
pub mod connections;
#[cfg(feature = "service")]
mod database;
pub mod ending;
mod environment;
#[cfg(feature = "service")]
pub mod grpc;
pub mod http;
mod keys;
mod life;
pub mod listen;
mod measured;
#[cfg(feature = "service")]
mod operations;
mod process;
pub mod schema;
#[cfg(feature = "service")]
mod service;
mod tool;
#[cfg(feature = "service")]
mod tuning;

#[cfg(feature = "service")]
pub use database::{Address, Database};
pub use keys::{Holder, KeyFiles, KeyFolder, Keys, LIST_HEADER};
pub use life::{Life, Phase};
pub use measured::readiness;
#[cfg(feature = "service")]
pub use operations::{Operations, Tally};
pub use process::{Context, NoCommand, Process, command_line, main};
pub use schema::Schema;
#[cfg(feature = "service")]
pub use selvage_faults::{Broken, Dependency, Faults, Policy as FaultPolicy};
#[cfg(feature = "service")]
pub use service::{Host, Reflection, Service, Stored, Together, fault_policy};
pub use tool::{Tool, tool};
#[cfg(feature = "service")]
pub use tuning::{Tuned, TuningFile};

use std::process::ExitCode;

use mimalloc::MiMalloc;
use selvage_telemetry::Telemetry;

/// An eighth less computing for an order than with glibc's allocator, for 1 MiB.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Starts the telemetry of the process `name` (with `default_log` as its log's filter), runs `work` on a new runtime,
/// and turns a failure of either into one sentence on standard error and exit code 1.
///
/// `worker_threads`: `None` takes one a core.
fn run<F>(name: &'static str, default_log: &str, worker_threads: Option<u8>, work: F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let outcome = Telemetry::start(name, default_log).and_then(|telemetry| {
        let mut builder = match worker_threads {
            // One worker of the other kind keeps queues and locks for colleagues that it hasn't got.
            Some(1) => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        if let Some(threads) = worker_threads {
            builder.worker_threads(threads.into());
        }
        let runtime = builder.enable_all().build()?;
        selvage_telemetry::log_panics();
        selvage_telemetry::metrics::observe_runtime(runtime.handle());
        let outcome = runtime.block_on(work);
        flush(telemetry);
        // What was cut off isn't waited for again: a look-up of a name can take a minute.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // They belong to the command's user, log or no log.
            selvage_telemetry::last_words(&format!("error: {error:#}\n"), ending::LAST_WORDS);
            ExitCode::FAILURE
        }
    }
}

/// Sends what is left of traces and metrics, and waits no longer than [`ending::FLUSH`] for it.
fn flush(telemetry: Telemetry) {
    let (done, flushed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        telemetry.shutdown(ending::FLUSH);
        // Err: it took too long, and nobody waits any more.
        let _ = done.send(());
    });
    if flushed.recv_timeout(ending::FLUSH).is_err() {
        tracing::warn!("what was left of traces and metrics couldn't be sent in time");
    }
    selvage_telemetry::flush_log(ending::LAST_WORDS);
}
