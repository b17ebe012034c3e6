//! An order, on its page and in the list of orders.

use selvage_proto::checkout::v1::Order;
use selvage_proto::checkout::v1::order::State;

use super::checkout::speed;
use super::missing::Missing;
use super::picture::Picture;
use super::summary::{Costs, SummaryLine};
use super::{countries, date};

/// The order's page, but for its tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// As it stands in addresses.
    pub id: String,
    /// What the buyer sees.
    pub number: String,
    /// When it was placed.
    pub day: String,
    /// What was bought.
    pub lines: Vec<SummaryLine>,
    /// What it cost.
    pub costs: Costs,
    /// Where the confirmation went.
    pub email: String,
    /// "Standard" or "Express".
    pub speed: &'static str,
    /// Recipient, lines, city, country.
    pub address: Vec<String>,
    /// "Ada": who is thanked.
    pub first_name: String,
}

impl OrderView {
    /// The page of `order`.
    ///
    /// # Errors
    /// [`Missing`] if the order has no address or no amounts, or a line no quantity or no total.
    pub fn new(order: &Order) -> Result<Self, Missing> {
        let address = order.address.clone().ok_or(Missing("Order.address"))?;
        let first_name = address.recipient.split_whitespace().next().unwrap_or_default().to_owned();
        let mut lines = vec![address.recipient];
        lines.extend(address.lines);
        lines.push(format!("{} {}", address.postal_code, address.city).trim().to_owned());
        lines.push(countries::name(&address.country).to_owned());
        Ok(Self {
            id: order.order_id.clone(),
            number: order.number.clone(),
            day: date::day(order.create_time.as_ref()),
            lines: SummaryLine::all(&order.lines)?,
            costs: Costs::new(order.amounts.as_ref())?,
            email: order.email.clone(),
            speed: speed::label(order.speed()),
            address: lines,
            first_name,
        })
    }
}

/// Pictures in a row, at most.
const MAX_PICTURES: usize = 4;

/// An order in the list of orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// As it stands in addresses.
    pub id: String,
    /// What the buyer sees.
    pub number: String,
    /// When it was placed.
    pub day: String,
    /// Where it is, in a word or two.
    pub state: &'static str,
    /// What it cost in all.
    pub total: String,
    /// The first few of its lines.
    pub pictures: Vec<Picture>,
    /// Pieces.
    pub pieces: i32,
}

impl OrderRow {
    /// The row of `order`.
    ///
    /// # Errors
    /// [`Missing`] if the order has no total, or a line no quantity or no total.
    pub fn new(order: &Order) -> Result<Self, Missing> {
        let lines = SummaryLine::all(&order.lines)?;
        Ok(Self {
            id: order.order_id.clone(),
            number: order.number.clone(),
            day: date::day(order.create_time.as_ref()),
            state: match order.state() {
                State::Pending | State::Unspecified => "Being placed",
                State::Confirmed => "Confirmed",
                State::OutOfStock | State::Declined | State::Undone => "Not placed",
                State::Cancelling => "Being cancelled",
                State::Cancelled => "Cancelled",
                State::Refunding => "Being refunded",
                State::Refunded => "Refunded",
            },
            total: Costs::new(order.amounts.as_ref())?.total,
            pieces: lines.iter().fold(0, |sum, line| sum.saturating_add(line.quantity)),
            pictures: lines.into_iter().take(MAX_PICTURES).map(|line| line.picture).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use selvage_proto::checkout::v1::{Amounts, OrderLine};
    use selvage_proto::delivery::v1::{Address, Speed};
    use selvage_proto::money::v1::Money;

    use super::*;

    fn order() -> Order {
        let eur = |minor_units| Some(Money { currency: "EUR".into(), minor_units });
        let amounts = Amounts {
            subtotal: eur(6000),
            delivery: eur(990),
            tax: eur(1116),
            tax_basis_points: 1900,
            total: eur(6990),
        };
        let address = Address {
            recipient: "Ada Lovelace".into(),
            lines: vec!["Ring 1".into()],
            postal_code: "04109".into(),
            city: "Leipzig".into(),
            country: "DE".into(),
        };
        Order {
            state: State::Confirmed.into(),
            lines: vec![OrderLine { quantity: 2, line_total: eur(6000), ..OrderLine::default() }],
            amounts: Some(amounts),
            address: Some(address),
            speed: Speed::Express.into(),
            ..Order::default()
        }
    }

    #[test]
    fn an_order_says_what_it_cost_and_where_it_goes() {
        let view = OrderView::new(&order()).unwrap();
        assert_eq!((view.costs.delivery.as_str(), view.costs.total.as_str()), ("€9.90", "€69.90"));
        assert_eq!(view.address, ["Ada Lovelace", "Ring 1", "04109 Leipzig", "Germany"]);
        assert_eq!((view.first_name.as_str(), view.speed), ("Ada", "Express"));
        let row = OrderRow::new(&order()).unwrap();
        assert_eq!((row.total.as_str(), row.pieces, row.state), ("€69.90", 2, "Confirmed"));
    }

    #[test]
    fn an_order_without_amounts_or_address_is_named_and_costs_not_0() {
        let lacking = Order { amounts: None, ..order() };
        assert_eq!(OrderView::new(&lacking), Err(Missing("Order.amounts")));
        assert_eq!(OrderRow::new(&lacking), Err(Missing("Order.amounts")));
        assert_eq!(OrderView::new(&Order { address: None, ..order() }), Err(Missing("Order.address")));
    }
}
