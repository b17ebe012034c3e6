//! Switches that disturb a running process as trouble would: slow statements, connections that are held or never come back,
//! a lock, latency, a dependency that fails, a limit, a processor that is busy with something else. With them people learn
//! how the process and its alerts behave, before it happens by itself.
//!
//! - **Off by default:** a process that wasn't told [`Policy::Allow`] refuses them all.
//! - **Each ends by itself** after its duration, whoever asked for it, and puts back what it changed. What it holds is held by
//!   a value whose drop lets go: there is no way out that forgets it.
//! - **Each is like the real thing:** it takes connections through the same gate as any caller, under a name of its own such as
//!   `fault_leaked_connection`, so that watchdogs, metrics and pages say of it what they would say of the real trouble.
//! - **Each is visible:** as the metrics `selvage.fault.active` and `selvage.fault.started`, a line of the log at its start
//!   and its end, and an event in the spans of the requests that it touches.

mod ask;
mod burn;
mod connections;
mod dependency;
mod effect;
mod kind;
mod ledger;
mod metrics;
mod registry;

pub use ask::{Ask, Refused};
pub use dependency::{Broken, Dependency};
pub use kind::Kind;
pub use ledger::{Fault, MAX_ACTIVE};
pub use registry::{Faults, Policy};
