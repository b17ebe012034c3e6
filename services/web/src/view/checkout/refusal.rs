//! What checkout's refusal of an order means for the buyer.

use tonic::{Code, Status};

use super::wrong::WrongFields;

/// What became of an order that checkout didn't place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It isn't known yet whether the order is placed: the same form with the same key is to be sent again.
    Unknown,
    /// The order was refused. The form is shown again, with a new key.
    Refused(Refusal),
}

/// Why an order was refused, as the page says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What happened, and what to do.
    pub alert: &'static str,
    /// Which fields of the form are wrong.
    pub wrong: WrongFields,
    /// The SKUs that can't be had, each with the reason.
    pub short: Vec<(String, String)>,
    /// Whether the page links to the bag.
    pub to_bag: bool,
    /// Whether the page links to the orders.
    pub to_orders: bool,
}

/// Reads checkout's answer to an order that it didn't place.
///
/// A failure that isn't a refusal leaves open whether the order was placed: its outcome is unknown, so that the key stays
/// the same and nothing is bought twice.
pub fn outcome(status: &Status) -> Outcome {
    let reason = selvage_status::reason(status).unwrap_or_default();
    let mut wrong = WrongFields::default();
    let (mut to_bag, mut to_orders) = (false, false);
    let alert = match (status.code(), reason.as_str()) {
        (_, "OUT_OF_STOCK") => {
            to_bag = true;
            "Some of it sold out while you were here. Nothing was charged. Change your bag, then order the rest."
        }
        (_, "PAYMENT_DECLINED") => {
            "The card was declined, and nothing was charged. Choose another card and place the order again."
        }
        (_, "PRICE_CHANGED") => {
            "The total has changed since you saw it. Nothing was charged. Look at the new total, then place the order again."
        }
        (_, "CART_CHANGED") => {
            "Your bag has changed, perhaps in another tab. Nothing was charged. Look at it here, then place the order again."
        }
        (_, "CART_EMPTY") => {
            to_bag = true;
            "There is nothing in your bag that can be bought. Put something in, then come back."
        }
        (_, "COUNTRY_NOT_SERVED") => {
            wrong.add("country");
            "We don't deliver to that country yet. Nothing was charged. Choose another country."
        }
        (_, "RESERVATION_LAPSED") => {
            "Placing the order took too long, so it was undone. Nothing was charged. Please place it again."
        }
        (_, "ORDER_UNDONE") => "The order was interrupted and undone. Nothing was charged. Please place it again.",
        (_, "IDEMPOTENCY_KEY_REUSED") => {
            to_orders = true;
            "This form was sent before with other content. If you ordered then, you find it among your orders. \
             If not, place the order again."
        }
        (Code::InvalidArgument, _) => {
            let fields = selvage_status::field_violations(status);
            let known = fields.iter().filter(|(field, _)| wrong.add_of_request(field)).count();
            if known == fields.len() && known > 0 {
                "Some of the form isn't right yet. Nothing was charged. Please look at what is marked."
            } else {
                "The page had become old. Nothing was charged. Please look it over and place the order again."
            }
        }
        (Code::FailedPrecondition | Code::NotFound | Code::AlreadyExists, _) => {
            "The order couldn't be placed as it is. Nothing was charged. Please look it over and try again."
        }
        _ => return Outcome::Unknown,
    };
    Outcome::Refused(Refusal { alert, wrong, short: selvage_status::precondition_subjects(status), to_bag, to_orders })
}

#[cfg(test)]
mod tests {
    use selvage_status::{Error, ErrorCode};

    use super::*;

    fn refusal(status: &Status) -> Refusal {
        match outcome(status) {
            Outcome::Refused(refusal) => refusal,
            Outcome::Unknown => panic!("no refusal: {status:?}"),
        }
    }

    #[test]
    fn every_refusal_says_what_to_do_and_what_was_charged() {
        let reasons = [
            "OUT_OF_STOCK",
            "PAYMENT_DECLINED",
            "PRICE_CHANGED",
            "CART_CHANGED",
            "CART_EMPTY",
            "COUNTRY_NOT_SERVED",
            "RESERVATION_LAPSED",
            "ORDER_UNDONE",
            "IDEMPOTENCY_KEY_REUSED",
        ];
        let mut sentences = std::collections::HashSet::new();
        for reason in reasons {
            let status = Status::from(Error::precondition(reason, "x").violated("SKU-1", "1 is left"));
            let Refusal { alert, short, .. } = refusal(&status);
            assert!(sentences.insert(alert), "{reason} has another's sentence");
            assert_eq!(short.len(), 1);
        }
    }

    #[test]
    fn all_wrong_fields_are_found_in_the_form() {
        let error =
            Error::invalid("address.lines[0]", "x").field("address.postal_code", "x").field("payment_token", "x");
        let wrong = refusal(&Status::from(error)).wrong;
        for field in ["line1", "postal_code", "card"] {
            assert!(!wrong.of(field).is_empty(), "{field}");
        }
    }

    #[test]
    fn an_unknown_outcome_keeps_the_key() {
        for code in [ErrorCode::Aborted, ErrorCode::Unavailable, ErrorCode::DeadlineExceeded, ErrorCode::Internal] {
            assert_eq!(outcome(&Status::from(Error::new(code, "x"))), Outcome::Unknown, "{code:?}");
        }
    }
}
