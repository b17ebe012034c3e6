//! The one page on which an order is placed.

pub mod form;
pub mod offers;
pub mod refusal;
pub mod speed;
pub mod wrong;
