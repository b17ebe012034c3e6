//! What is in the bag.

use selvage_proto::cart::v1::cart_line::Availability;
use selvage_proto::cart::v1::{CartLine, CartView};

use super::missing::{Missing, pieces};
use super::money;
use super::picture::Picture;
use super::summary::variant;
use crate::fields::encode;

/// A line of the bag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BagLine {
    /// The SKU of what is sold.
    pub sku: String,
    /// Its product's page, in its colour.
    pub href: String,
    /// Its product's name.
    pub title: String,
    /// Colour and size, as far as there are any.
    pub variant: String,
    /// What it looks like.
    pub picture: Picture,
    /// Pieces, at least 1.
    pub quantity: i32,
    /// What it costs; `None` if it was withdrawn from sale, and can only be removed.
    pub price: Option<LinePrice>,
    /// What is wrong with it; empty if nothing is.
    pub problem: String,
}

/// What a line costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePrice {
    /// One piece.
    pub unit: String,
    /// All pieces.
    pub total: String,
}

/// The bag's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BagView {
    /// In the order in which they were put in.
    pub lines: Vec<BagLine>,
    /// The sum of what can be bought.
    pub subtotal: String,
    /// The bag's version, sent back with changes so that they don't undo those made in another tab.
    pub etag: String,
    /// Pieces.
    pub count: i32,
    /// Whether it can be ordered as it is.
    pub can_be_ordered: bool,
}

impl BagView {
    /// The page of `cart`.
    ///
    /// # Errors
    /// [`Missing`] if the cart has no subtotal, or a line no quantity or, if it can be bought, no price.
    pub fn new(cart: &CartView) -> Result<Self, Missing> {
        let lines = cart.lines.iter().map(BagLine::new).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            can_be_ordered: !lines.is_empty() && lines.iter().all(|line| line.problem.is_empty()),
            count: if lines.is_empty() { 0 } else { pieces(cart.item_count, "CartView.item_count")? },
            lines,
            subtotal: money::required(cart.subtotal.as_ref(), "CartView.subtotal")?,
            etag: cart.etag.clone(),
        })
    }
}

impl BagLine {
    fn new(line: &CartLine) -> Result<Self, Missing> {
        let price = match line.availability() {
            Availability::Withdrawn => None,
            _ => Some(LinePrice {
                unit: money::required(line.unit_price.as_ref(), "CartLine.unit_price")?,
                total: money::required(line.line_total.as_ref(), "CartLine.line_total")?,
            }),
        };
        let problem = match line.availability() {
            Availability::Withdrawn => "We no longer have this. Remove it to order the rest.".to_owned(),
            Availability::Insufficient if line.available <= 0 => {
                "Sold out just now. Remove it to order the rest, or try again later.".to_owned()
            }
            Availability::Insufficient => {
                format!("Only {} left. Change the quantity to order.", line.available)
            }
            Availability::Available | Availability::Unspecified => String::new(),
        };
        Ok(Self {
            sku: line.sku.clone(),
            href: format!("/p/{}?{}", line.slug, encode([("colour", line.colour.as_str())])),
            title: if line.title.is_empty() { line.sku.clone() } else { line.title.clone() },
            variant: variant(&line.colour, &line.size),
            picture: Picture::of_key(&line.picture_key, &line.image_url, ""),
            quantity: pieces(line.quantity, "CartLine.quantity")?,
            price,
            problem,
        })
    }
}

#[cfg(test)]
mod tests {
    use selvage_proto::money::v1::Money;

    use super::*;

    fn eur(minor_units: i64) -> Option<Money> {
        Some(Money { currency: "EUR".into(), minor_units })
    }

    fn line(availability: Availability, available: i32) -> CartLine {
        let is_sold = availability != Availability::Withdrawn;
        CartLine {
            sku: "A".into(),
            quantity: 3,
            availability: availability.into(),
            available,
            unit_price: eur(1500).filter(|_| is_sold),
            line_total: eur(4500).filter(|_| is_sold),
            ..CartLine::default()
        }
    }

    fn cart(lines: Vec<CartLine>) -> CartView {
        let item_count = lines.iter().map(|line| line.quantity).sum();
        CartView { lines, subtotal: eur(4500), item_count, ..CartView::default() }
    }

    fn bag(lines: Vec<CartLine>) -> BagView {
        BagView::new(&cart(lines)).unwrap()
    }

    #[test]
    fn a_bag_is_ordered_only_if_every_line_can_be_had() {
        assert!(!bag(vec![]).can_be_ordered);
        assert!(bag(vec![line(Availability::Available, 9)]).can_be_ordered);
        let short = bag(vec![line(Availability::Available, 9), line(Availability::Insufficient, 2)]);
        assert!(!short.can_be_ordered);
        assert_eq!(short.lines[1].problem, "Only 2 left. Change the quantity to order.");
        let withdrawn = bag(vec![line(Availability::Withdrawn, 0)]);
        assert!(!withdrawn.can_be_ordered && withdrawn.lines[0].price.is_none());
    }

    #[test]
    fn a_price_or_quantity_that_nobody_gave_is_named_and_not_0() {
        let right = line(Availability::Available, 9);
        for (lacking, field) in [
            (CartLine { unit_price: None, ..right.clone() }, "CartLine.unit_price"),
            (CartLine { line_total: None, ..right.clone() }, "CartLine.line_total"),
            (CartLine { quantity: 0, ..right.clone() }, "CartLine.quantity"),
        ] {
            assert_eq!(BagView::new(&CartView { item_count: 3, ..cart(vec![lacking]) }), Err(Missing(field)));
        }
        let lacking = CartView { subtotal: None, ..cart(vec![right.clone()]) };
        assert_eq!(BagView::new(&lacking), Err(Missing("CartView.subtotal")));
        let lacking = CartView { item_count: 0, ..cart(vec![right]) };
        assert_eq!(BagView::new(&lacking), Err(Missing("CartView.item_count")));
    }
}
