//! What is in the bag.

use selvage_proto::cart::v1::cart_line::Availability;
use selvage_proto::cart::v1::{CartLine, CartView};

use super::money;
use super::picture::Picture;
use crate::fields::encode;

/// A line of the bag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BagLine {
    /// What is sold.
    pub sku: String,
    /// Its product's page, in its colour.
    pub href: String,
    /// Its product's name.
    pub title: String,
    /// Colour and size, as far as there are any.
    pub variant: String,
    /// What it looks like.
    pub picture: Picture,
    /// Pieces.
    pub quantity: i32,
    /// The price of one.
    pub unit_price: String,
    /// The price of all.
    pub total: String,
    /// What is wrong with it; empty if nothing is.
    pub problem: String,
    /// Whether it is gone for good: it can only be removed.
    pub withdrawn: bool,
}

/// The bag's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BagView {
    /// In the order in which they came.
    pub lines: Vec<BagLine>,
    /// The sum of what can be bought.
    pub subtotal: String,
    /// Guards changes against those made in another tab.
    pub etag: String,
    /// Pieces.
    pub count: i32,
    /// Whether it can be ordered as it is.
    pub can_be_ordered: bool,
}

impl BagView {
    /// The page of `cart`.
    pub fn new(cart: &CartView) -> Self {
        let lines: Vec<_> = cart.lines.iter().map(BagLine::new).collect();
        Self {
            can_be_ordered: !lines.is_empty() && lines.iter().all(|line| line.problem.is_empty()),
            lines,
            subtotal: money::of(cart.subtotal.as_ref()),
            etag: cart.etag.clone(),
            count: cart.item_count,
        }
    }
}

/// "Ink, M": what tells variants of a product apart.
pub fn variant(colour: &str, size: &str) -> String {
    [colour, size].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

impl BagLine {
    fn new(line: &CartLine) -> Self {
        let withdrawn = line.availability() == Availability::Withdrawn;
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
        Self {
            sku: line.sku.clone(),
            href: format!("/p/{}?{}", line.slug, encode([("colour", line.colour.as_str())])),
            title: if line.title.is_empty() { line.sku.clone() } else { line.title.clone() },
            variant: variant(&line.colour, &line.size),
            picture: Picture::of_key(&line.picture_key, &line.image_url, ""),
            quantity: line.quantity,
            unit_price: money::of(line.unit_price.as_ref()),
            total: money::of(line.line_total.as_ref()),
            problem,
            withdrawn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(availability: Availability, available: i32) -> CartLine {
        CartLine { sku: "A".into(), quantity: 3, availability: availability.into(), available, ..CartLine::default() }
    }

    #[test]
    fn a_bag_is_ordered_only_if_every_line_can_be_had() {
        let bag = |lines: Vec<CartLine>| BagView::new(&CartView { lines, ..CartView::default() });
        assert!(!bag(vec![]).can_be_ordered);
        assert!(bag(vec![line(Availability::Available, 9)]).can_be_ordered);
        let short = bag(vec![line(Availability::Available, 9), line(Availability::Insufficient, 2)]);
        assert!(!short.can_be_ordered);
        assert_eq!(short.lines[1].problem, "Only 2 left. Change the quantity to order.");
        assert!(bag(vec![line(Availability::Withdrawn, 0)]).lines[0].withdrawn);
    }
}
