//! Delivery at its edges: its database, its rpcs, its carrier.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod carrier;
mod damaged;
mod edge;
mod hostile;
mod many;
mod migrate;
mod shop;
mod store;
mod tracking;
