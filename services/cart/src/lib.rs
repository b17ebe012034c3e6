//! Carts: what a guest or a customer means to buy. Titles, prices and availability are the catalogue's.

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
