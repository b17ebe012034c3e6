//! The shop as people see it.

pub mod drawing;
