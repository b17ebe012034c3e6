//! What a cart refuses, as the caller learns it.

use selvage_status::{Error, ErrorCode};

use crate::domain::cart::CartError;
use crate::store::Refused;

impl From<CartError> for Error {
    fn from(error: CartError) -> Self {
        match &error {
            CartError::LineFull(sku) => {
                Self::precondition("LINE_FULL", error.to_string()).violated(sku.as_str(), "99 pieces a line")
            }
            CartError::CartFull => Self::precondition("CART_FULL", error.to_string()),
            CartError::NotInCart(_) => Self::new(ErrorCode::NotFound, error.to_string()),
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::EtagMismatch => {
                Self::new(ErrorCode::Aborted, "the cart has changed since; look at it again").reason("CART_CHANGED")
            }
            Refused::Cart(error) => error.into(),
        }
    }
}
