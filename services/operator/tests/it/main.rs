//! The operator at its edges: its kinds at a real API server, what it reads and writes there, its look at a real database, and the
//! streams of real processes with real pools.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "tests print what they found, and fail by panicking")]

mod broker;
mod cluster;
mod deciding;
mod definitions;
mod kinds;
mod leading;
mod objects;
mod probing;
mod reporting;
mod rights;
mod scaling;
mod scraping;
mod showing;
mod telemetry;
mod tokens;
mod watching;
