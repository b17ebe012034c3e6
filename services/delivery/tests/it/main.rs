//! Delivery at its edges: its database, its rpcs, its carrier.

mod carrier;
mod edge;
mod hostile;
mod shop;
mod store;
mod tracking;
