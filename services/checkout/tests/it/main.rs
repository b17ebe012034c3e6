//! Checkout at its edges: its database, its rpcs, and its saga among peers that do as they are told.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod after;
mod edge;
mod fields;
mod hostile;
mod many;
mod mended;
mod orders;
mod payments;
mod place;
mod scripted;
mod shop;
mod standing;
mod store;
mod stored;
mod sweep;
