//! Products, their prices and their stock: the only authority on all three.

mod app;
mod args;
mod copies;
pub mod domain;
mod grpc;
pub mod import;
mod lapse;
mod meter;
pub mod migration;
mod planting;
pub mod seed;
pub mod store;

pub use app::{App, POOL, Peers, Settings};
pub use args::CatalogueArgs;
pub use copies::Counts;
pub use planting::plant_seed;
