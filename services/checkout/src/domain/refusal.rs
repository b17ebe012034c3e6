//! Why an order was refused: kept with the order, so that the same key gets the same answer for ever.

use selvage_status::Error;
use serde::{Deserialize, Serialize};

/// A line that couldn't be had, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// The SKU.
    pub sku: String,
    /// In words.
    pub why: String,
}

/// Why an order was refused or undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Refusal {
    /// These lines couldn't be had.
    OutOfStock {
        /// At least one.
        shortages: Vec<Shortage>,
    },
    /// The payment was declined.
    PaymentDeclined,
    /// It took so long that the reservation might have lapsed.
    ReservationLapsed,
    /// Something broke on the way, and what had been done was undone.
    Interrupted,
}

impl Refusal {
    /// What a caller is told, with the order's id.
    pub fn error(&self, order_id: &str) -> Error {
        match self {
            Self::OutOfStock { shortages } => shortages.iter().fold(
                Error::precondition("OUT_OF_STOCK", "some of it is sold out; change the bag and order again"),
                |error, shortage| error.violated(&shortage.sku, &shortage.why),
            ),
            Self::PaymentDeclined => {
                Error::precondition("PAYMENT_DECLINED", "the payment was declined; try another card, with a new key")
            }
            Self::ReservationLapsed => Error::precondition(
                "RESERVATION_LAPSED",
                "the order took too long and was undone; nothing was charged; order again, with a new key",
            ),
            Self::Interrupted => Error::precondition(
                "ORDER_UNDONE",
                "the order was interrupted and undone; nothing was charged; order again, with a new key",
            ),
        }
        .with("order_id", order_id)
    }
}
