//! What carts are, apart from databases, networks and clocks.

pub mod cart;
pub mod offer;
