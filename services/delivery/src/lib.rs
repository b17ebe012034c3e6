//! Delivery: what it costs, the shipments of orders, a carrier that moves them, and where they are.
//!
//! How to add an rpc or a method of the store is in the documentation of `services/catalogue`.

mod app;
mod args;
mod carrier;
pub mod domain;
mod grpc;
pub mod migration;
mod refusal;
pub mod store;
mod tracking;

pub use app::{App, POOL, Settings};
pub use args::{DeliveryArgs, Step};
