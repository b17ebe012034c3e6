//! The words by which products are found.

mod columns;
mod language;
mod query;
mod tokens;

pub use columns::indexed;
pub use language::{English, english};
pub use query::{Query, Word};
pub use tokens::{Token, plain, tokens};
