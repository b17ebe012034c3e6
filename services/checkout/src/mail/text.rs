use std::fmt::Write as _;

use crate::domain::order::Order;

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    format!("{}.{:02} {}", minor / 100, minor % 100, order.what.amounts.currency)
}
