//! Orders and payments. An order is placed once or not at all, whatever crashes; `saga` says how.
//!
//! How to add an rpc or a method of the store is in the documentation of `services/catalogue`.

mod app;
mod args;
pub mod domain;
mod grpc;
pub mod mail;
pub mod migration;
pub mod payment;
mod peers;
mod saga;
pub mod store;

pub use app::{App, ORDERS, PROVIDER, Peers, Pools, RELAY, Settings};
pub use args::CheckoutArgs;
