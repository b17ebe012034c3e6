//! The shop as people see it: pages rendered here, from what the services say over gRPC. There is no database and no
//! state but a few things kept for seconds; any number of instances serve side by side.
//!
//! Everything works without JavaScript. The scripts in `assets/` only spare a click.

mod admission;
mod app;
pub mod args;
mod assets;
mod cached;
mod categories;
mod cookies;
mod csrf;
mod drawn;
mod fields;
mod frame;
mod headers;
mod mac;
mod observed;
mod operations;
mod pages;
mod peer;
mod problem;
mod process;
mod server;
mod session;
mod settings;
mod shop;
pub mod view;

pub use app::App;
pub use operations::{Access, Operations};
pub use process::Web;
pub use server::serve;
pub use settings::{Peers, Settings};
