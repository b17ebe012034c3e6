//! Listings of products: a category's, and a search's.

pub mod filters;
pub mod query;
mod words;
