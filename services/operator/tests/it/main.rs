//! The operator at its edges: its kinds at a real API server.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod cluster;
mod definitions;
mod objects;
