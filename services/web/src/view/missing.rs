//! What a service's answer must have.

use std::fmt;

/// A field that every answer has by the API's documentation, and that this one hasn't. A page that needs it can't be made:
/// a price or a quantity that nobody gave is never shown as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing(
    /// The message and its field, for example `CartView.subtotal`.
    pub &'static str,
);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a service answered without {}", self.0)
    }
}

impl std::error::Error for Missing {}

/// A number of pieces that is at least 1.
///
/// # Errors
/// [`Missing`] names `field` if it is 0, which is what a number that wasn't sent reads as, or negative.
pub fn pieces(quantity: i32, field: &'static str) -> Result<i32, Missing> {
    if quantity > 0 { Ok(quantity) } else { Err(Missing(field)) }
}
