//! One main for all: arguments → telemetry → pool → server → drain → flush.
//!
//! [`Life`] is the life of a process: background work is spawned on it, and at a signal it ends everything in order.
//! With the feature `service`, [`Service`] is what a gRPC service is to its main.

#[cfg(feature = "service")]
pub mod grpc;
mod keys;
mod life;
pub mod listen;
pub mod measured;
#[cfg(feature = "service")]
mod operations;
#[cfg(feature = "service")]
mod service;
#[cfg(feature = "service")]
mod tuning;

pub use keys::{KeyFiles, KeyFolder, read_issuer_key, read_trusted_keys};
pub use life::Life;
#[cfg(feature = "service")]
pub use operations::Operations;
#[cfg(feature = "service")]
pub use selvage_faults::{Broken, Dependency, Faults, Policy as FaultPolicy};
#[cfg(feature = "service")]
pub use service::{Database, Host, Service, main};
#[cfg(feature = "service")]
pub use tuning::{Tuned, TuningFile};

use std::process::ExitCode;

use mimalloc::MiMalloc;
use selvage_telemetry::Telemetry;

/// An eighth less computing for an order than with glibc's allocator, for 1 MiB.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Starts the telemetry of the process `service` (with `default_log` as its log's filter), runs `work` on a new runtime,
/// and turns a failure of either into one sentence on standard error and exit code 1.
///
/// `worker_threads`: `None` takes one a core.
pub fn run<F>(service: &'static str, default_log: &str, worker_threads: Option<usize>, work: F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let outcome = Telemetry::start(service, default_log).and_then(|telemetry| {
        let mut builder = match worker_threads {
            // One worker of the other kind keeps queues and locks for colleagues that it hasn't got.
            Some(1) => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        if let Some(threads) = worker_threads {
            builder.worker_threads(threads);
        }
        let runtime = builder.enable_all().build()?;
        selvage_telemetry::metrics::observe_runtime(runtime.handle());
        let outcome = runtime.block_on(work);
        telemetry.shutdown();
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
