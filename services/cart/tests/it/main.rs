//! Carts at their edges: their database, their rpcs.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod edge;
mod hostile;
mod many;
mod priced;
mod scripted;
mod shop;
mod store;
