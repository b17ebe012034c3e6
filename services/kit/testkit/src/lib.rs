//! Real parts for tests: a database per test on either engine, keys that are trusted, waiting for a condition. Each test
//! starts what it needs on free ports, and nothing is left behind, whatever happens to it.

#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests speak to a person, and fail by panicking")]

mod certificates;
mod database;
mod pooler;
mod port;
mod postgres;
mod refused;
mod rows;
mod slow_disk;
mod tokens;
mod wait;

pub use database::{Database, Engine, database, database_on, engines};
pub use pooler::Pooler;
pub use port::free_port;
pub use postgres::Server;
pub use refused::answered_or_refused;
pub use rows::{many, shortest, times};
pub use tokens::Tokens;
pub use wait::eventually;

/// The machine's clock, for those who sign tokens that a real process is to accept.
pub fn system_clock() -> selvage_context::clock::Clock {
    selvage_context::clock::Clock::system()
}
