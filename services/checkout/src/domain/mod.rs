//! What an order is: pure, without database, network, clock or chance.

pub mod intent;
pub mod number;
pub mod order;
pub mod pricing;
pub mod recovery;
pub mod refusal;
