//! What delivery knows, apart from databases, networks and clocks.

pub mod address;
pub mod country;
pub mod quote;
pub mod shipment;
pub mod tracking_number;
