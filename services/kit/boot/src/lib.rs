//! One main for all: arguments → telemetry → listeners → work → drain → close → flush.
//!
//! A [`Process`] is a program that works until a signal says stop; [`main`] runs it. [`Life`] is its life: background work
//! is spawned on it, it says whether the process is ready, and at a signal it ends everything in order. How long that may
//! take is added up in [`ending`].
//!
//! With the feature `service`, a [`Service`] is what a gRPC service with a database is to its main, and [`Stored`] makes a
//! process of it.

#[cfg(feature = "service")]
mod database;
pub mod ending;
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
mod schema;
#[cfg(feature = "service")]
mod service;
#[cfg(feature = "service")]
mod tuning;

#[cfg(feature = "service")]
pub use database::Database;
pub use keys::{Holder, KeyFiles, KeyFolder, Keys};
pub use life::{Life, Phase};
pub use measured::readiness;
#[cfg(feature = "service")]
pub use operations::Operations;
pub use process::{Context, NoCommand, Process, command_line, main};
pub use schema::Schema;
#[cfg(feature = "service")]
pub use selvage_faults::{Broken, Dependency, Faults, Policy as FaultPolicy};
#[cfg(feature = "service")]
pub use service::{Host, Service, Stored, Together, fault_policy};
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
            #[expect(clippy::print_stderr, reason = "the last words of a command belong to its user, log or no log")]
            {
                eprintln!("error: {error:#}");
            }
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
}
