//! What callers of the API are told of an order that came to nothing. The form's own texts are web's.

use selvage_status::Error;

use crate::domain::refusal::Refusal;

/// Why the order `order_id` was refused or undone, with what its buyer can do.
pub(super) fn refusal(refusal: &Refusal, order_id: &str) -> Error {
    match refusal {
        Refusal::OutOfStock { shortages } => shortages.iter().fold(
            Error::precondition("OUT_OF_STOCK", "some of it is sold out; change the bag and order again"),
            |error, shortage| error.violated(&shortage.sku, &shortage.why),
        ),
        Refusal::PaymentDeclined => {
            Error::precondition("PAYMENT_DECLINED", "the payment was declined; try another card, with a new key")
        }
        Refusal::ReservationLapsed => Error::precondition(
            "RESERVATION_LAPSED",
            "the order took too long and was undone; nothing was charged; order again, with a new key",
        ),
        Refusal::Interrupted => Error::precondition(
            "ORDER_UNDONE",
            "the order was interrupted and undone; nothing was charged; order again, with a new key",
        ),
    }
    .with("order_id", order_id)
}
