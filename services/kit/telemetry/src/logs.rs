//! The log: lines for people on a terminal, JSON everywhere else. It goes to standard error, so that a command's output
//! stays its own.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging. `RUST_LOG` chooses what is logged and wins over `default_filter`, which has the same form.
///
/// A second call does nothing: tests start several services in one process.
pub fn start(default_filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let builder = fmt().with_env_filter(filter).with_writer(stderr);
    // Err means that somebody set a subscriber before, which is what "does nothing" promises.
    let _ = if stderr().is_terminal() {
        builder.with_target(false).compact().finish().try_init()
    } else {
        builder.json().flatten_event(true).finish().try_init()
    };
}
