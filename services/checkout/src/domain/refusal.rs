//! Why an order was refused: kept with the order, so that the same key gets the same answer for ever.

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
