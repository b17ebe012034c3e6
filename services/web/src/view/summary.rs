//! What an order consists of and what it costs, as checkout and the order's page show it.

use selvage_proto::checkout::v1::{Amounts, OrderLine};

use super::missing::{Missing, pieces};
use super::money;
use super::picture::Picture;

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryLine {
    /// Its product's name.
    pub title: String,
    /// Colour and size.
    pub variant: String,
    /// Pieces, at least 1.
    pub quantity: i32,
    /// The price of all pieces.
    pub total: String,
    /// What it looks like.
    pub picture: Picture,
}

impl SummaryLine {
    /// The lines of an order or of its preview.
    ///
    /// # Errors
    /// [`Missing`] if a line has no quantity or no total.
    pub fn all(lines: &[OrderLine]) -> Result<Vec<Self>, Missing> {
        lines.iter().map(Self::new).collect()
    }

    fn new(line: &OrderLine) -> Result<Self, Missing> {
        Ok(Self {
            title: line.title.clone(),
            variant: variant(&line.colour, &line.size),
            quantity: pieces(line.quantity, "OrderLine.quantity")?,
            total: money::required(line.line_total.as_ref(), "OrderLine.line_total")?,
            picture: Picture::of_key(&line.picture_key, "", ""),
        })
    }
}

/// "Ink, M": what tells variants of a product apart.
pub fn variant(colour: &str, size: &str) -> String {
    [colour, size].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// What an order costs. Prices include tax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// The goods.
    pub subtotal: String,
    /// The delivery, or "Free".
    pub delivery: String,
    /// The tax that is contained in the total; empty if there is none.
    pub tax: String,
    /// "19 %".
    pub tax_rate: String,
    /// What is charged.
    pub total: String,
}

impl Costs {
    /// Of an order's or a preview's amounts.
    ///
    /// # Errors
    /// [`Missing`] if there are none, or if one of them is missing.
    pub fn new(amounts: Option<&Amounts>) -> Result<Self, Missing> {
        let amounts = amounts.ok_or(Missing("Order.amounts"))?;
        let has_tax = amounts.tax.as_ref().is_none_or(|tax| tax.minor_units > 0);
        let tax = money::required(amounts.tax.as_ref(), "Amounts.tax")?;
        Ok(Self {
            subtotal: money::required(amounts.subtotal.as_ref(), "Amounts.subtotal")?,
            delivery: money::price_or_free(amounts.delivery.as_ref(), "Amounts.delivery")?,
            tax: if has_tax { tax } else { String::new() },
            tax_rate: percent(amounts.tax_basis_points),
            total: money::required(amounts.total.as_ref(), "Amounts.total")?,
        })
    }
}

/// Basis points as per cent: "19 %", "8.1 %".
fn percent(basis_points: i32) -> String {
    let fraction = format!("{:02}", basis_points.unsigned_abs() % 100);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction} %", basis_points.unsigned_abs() / 100)
}

#[cfg(test)]
mod tests {
    use selvage_proto::money::v1::Money;

    use super::*;

    fn eur(minor_units: i64) -> Option<Money> {
        Some(Money { currency: "EUR".into(), minor_units })
    }

    fn amounts() -> Amounts {
        Amounts { subtotal: eur(3990), delivery: eur(0), tax: eur(637), tax_basis_points: 1900, total: eur(3990) }
    }

    #[test]
    fn per_cents_are_short() {
        assert_eq!(
            (percent(1900), percent(810), percent(2105), percent(0)),
            ("19 %".into(), "8.1 %".into(), "21.05 %".into(), "0 %".into())
        );
    }

    #[test]
    fn costs_are_free_delivery_and_contained_tax() {
        let costs = Costs::new(Some(&amounts())).unwrap();
        assert_eq!((costs.delivery.as_str(), costs.tax.as_str(), costs.total.as_str()), ("Free", "€6.37", "€39.90"));
        let untaxed = Costs::new(Some(&Amounts { tax: eur(0), ..amounts() })).unwrap();
        assert_eq!(untaxed.tax, "");
    }

    #[test]
    fn an_amount_that_nobody_gave_is_named_and_not_0() {
        assert_eq!(Costs::new(None), Err(Missing("Order.amounts")));
        for (lacking, field) in [
            (Amounts { subtotal: None, ..amounts() }, "Amounts.subtotal"),
            (Amounts { delivery: None, ..amounts() }, "Amounts.delivery"),
            (Amounts { tax: None, ..amounts() }, "Amounts.tax"),
            (Amounts { total: None, ..amounts() }, "Amounts.total"),
            (Amounts { total: Some(Money::default()), ..amounts() }, "Amounts.total"),
        ] {
            assert_eq!(Costs::new(Some(&lacking)), Err(Missing(field)));
        }
        let line = OrderLine { quantity: 2, line_total: eur(3990), ..OrderLine::default() };
        assert_eq!(SummaryLine::all(std::slice::from_ref(&line)).unwrap()[0].total, "€39.90");
        let lacking = OrderLine { quantity: 0, ..line.clone() };
        assert_eq!(SummaryLine::all(&[lacking]), Err(Missing("OrderLine.quantity")));
        let lacking = OrderLine { line_total: None, ..line };
        assert_eq!(SummaryLine::all(&[lacking]), Err(Missing("OrderLine.line_total")));
    }
}
