//! What a product is, how it is found, and how stock is set aside: pure, without database, network, clock or chance.

pub mod card;
pub mod fold;
pub mod hue;
pub mod listing;
pub mod offer;
pub mod product;
pub mod search;
pub mod size;
pub mod stock;
