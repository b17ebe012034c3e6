//! The operator at its edges: its kinds at a real API server, what it reads and writes there, and its look at a real database.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod cluster;
mod definitions;
mod kinds;
mod leading;
mod objects;
mod probing;
mod reporting;
mod rights;
mod scaling;
mod tokens;
mod watching;
