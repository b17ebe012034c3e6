//! Carts: what a guest or a customer means to buy. Titles, prices and availability are the catalogue's.
//!
//! How to add an rpc or a method of the store is in the documentation of `services/catalogue`.

mod app;
mod args;
mod catalogue;
pub mod domain;
mod grpc;
pub mod migration;
mod purge;
mod refusal;
pub mod store;

pub use app::{App, POOL, Peers, Settings};
pub use args::CartArgs;
