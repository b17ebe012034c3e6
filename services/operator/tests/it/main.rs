//! The operator at its edges: its kinds at a real API server, and what it reads and writes there.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod cluster;
mod definitions;
mod kinds;
mod leading;
mod objects;
mod reporting;
mod scaling;
mod tokens;
mod watching;
