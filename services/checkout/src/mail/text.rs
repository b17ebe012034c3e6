use std::fmt::Write as _;

use selvage_proto::money::minor_digits;

use crate::domain::order::Order;

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Occasion {
    /// The order was placed.
    Confirmed,
    /// It was stopped.
    Cancelled,
    /// The money goes back.
    Refunded,
    /// It couldn't be stopped any more.
    OnItsWay,
}

impl Occasion {
    /// The word for file names and message ids.
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
            Self::OnItsWay => "on-its-way",
        }
    }
}

pub(super) fn write(order: &Order, occasion: Occasion) -> (String, String) {
    let number = &order.number;
    let (subject, opening) = match occasion {
        Occasion::Confirmed => {
            (format!("Thank you for order {number}"), "We have your order and are packing it now.".to_owned())
        }
        Occasion::Cancelled => (
            format!("Order {number} is cancelled"),
            format!("Your order is cancelled, and {} goes back to your card.", money(order, order.what.amounts.total)),
        ),
        Occasion::Refunded => (
            format!("Your money for order {number} is on its way"),
            format!("We have given {} back to your card.", money(order, order.what.amounts.total)),
        ),
        Occasion::OnItsWay => (
            format!("Order {number} is on its way already"),
            "Your parcel had left us before we could stop it. Send it back as soon as you have it, and we refund it."
                .to_owned(),
        ),
    };
    let mut body = format!("Hello {},\n\n{opening}\n\n", order.what.address.recipient);
    for line in &order.what.lines {
        let total = money(order, line.unit_price * i64::from(line.quantity));
        let _ = writeln!(body, "  {} × {}, {}, {}: {total}", line.quantity, line.title, line.colour, line.size);
    }
    let amounts = &order.what.amounts;
    let _ = write!(
        body,
        "\n  Delivery: {}\n  Total: {} (tax included: {})\n\nYour order number is {number}.\n\nSelvage\n",
        money(order, amounts.delivery),
        money(order, amounts.total),
        money(order, amounts.tax)
    );
    (subject, body)
}

fn money(order: &Order, minor: i64) -> String {
    let currency = &order.what.amounts.currency;
    let digits = minor_digits(currency);
    let sign = if minor < 0 { "-" } else { "" };
    let padded = format!("{:0>width$}", minor.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = padded.split_at(padded.len() - digits);
    let point = if digits > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{fraction} {currency}")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::order::Amounts;
    use crate::domain::order::{Address, NewOrder, Speed};

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        for (currency, minor, text) in [
            ("EUR", 8380, "83.80 EUR"),
            ("EUR", 5, "0.05 EUR"),
            ("JPY", 8380, "8380 JPY"),
            ("JPY", 0, "0 JPY"),
            ("KWD", 8380, "8.380 KWD"),
            ("KWD", 5, "0.005 KWD"),
            ("EUR", -1, "-0.01 EUR"),
        ] {
            let (recipient, city) = (String::new(), String::new());
            let address = Address { recipient, lines: vec![], postal_code: String::new(), city, country: "DE".into() };
            let amounts = Amounts {
                currency: currency.into(),
                subtotal: minor,
                delivery: 0,
                tax: 0,
                tax_basis_points: 0,
                total: minor,
            };
            let what = NewOrder {
                id: Uuid::nil(),
                owner: String::new(),
                idempotency_key: String::new(),
                fingerprint: vec![],
                lines: vec![],
                amounts,
                email: String::new(),
                address,
                speed: Speed::Standard,
                grams: 0,
            };
            let (_, body) = write(&Order::confirmed(what, 0, 0), Occasion::Refunded);
            assert!(body.contains(&format!("We have given {text} back")), "{body}");
            assert!(body.contains(&format!("Total: {text} (")), "{body}");
        }
    }
}
