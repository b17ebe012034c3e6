//! A product's card in a listing.

use selvage_proto::catalogue::v1::ProductSummary;

use super::missing::Missing;
use super::money::{self, Reduction};
use super::picture::{Picture, fill};
use crate::fields::encode;

/// Colours that are shown as dots; those beyond are counted.
const MAX_DOTS: usize = 5;

/// What a listing shows of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its page.
    pub href: String,
    /// Its name.
    pub title: String,
    /// What it looks like.
    pub picture: Picture,
    /// The lowest price.
    pub price: String,
    /// The price before a reduction; empty if there is none.
    pub before: String,
    /// "from", if sizes or colours differ in price.
    pub price_varies: bool,
    /// "Sold out", "−30 %"; empty if there is nothing to say.
    pub badge: String,
    /// Colours as SVG takes them, the first few.
    pub dots: Vec<String>,
    /// How many colours there are.
    pub colours: usize,
    /// Whether any of it can be bought.
    pub in_stock: bool,
}

impl Card {
    /// The card of `product`, in the first of its colours that is among `wanted`, or else in its first.
    ///
    /// # Errors
    /// [`Missing`] if the product has no price.
    pub fn new(product: &ProductSummary, wanted: &[String]) -> Result<Self, Missing> {
        let chosen = product.colours.iter().find(|colour| wanted.contains(&colour.name));
        let colour = chosen.or(product.colours.first());
        let query = chosen.map(|colour| format!("?{}", encode([("colour", colour.name.as_str())]))).unwrap_or_default();
        let hex = colour.map(|colour| colour.hex.as_str()).unwrap_or_default();
        // Only the drawing can follow the colour that was asked for.
        let photo = if chosen.is_some() { "" } else { product.image_url.as_str() };
        let price = money::given(product.price.as_ref(), "ProductSummary.price")?;
        let reduction = Reduction::new(price, product.compare_at_price.as_ref());
        let badge = match (product.in_stock, &reduction) {
            (false, _) => "Sold out".to_owned(),
            (true, Some(Reduction { percent, .. })) => format!("\u{2212}{percent} %"),
            (true, None) => String::new(),
        };
        Ok(Self {
            href: format!("/p/{}{query}", product.slug),
            title: product.title.clone(),
            picture: Picture::new(product.picture.as_ref(), hex, photo, ""),
            price: money::of(price),
            before: reduction.map(|reduction| reduction.before).unwrap_or_default(),
            price_varies: product.price_varies,
            badge,
            dots: product.colours.iter().take(MAX_DOTS).map(|colour| fill(&colour.hex)).collect(),
            colours: product.colours.len(),
            in_stock: product.in_stock,
        })
    }

    /// Colours that have no dot.
    pub fn more_colours(&self) -> usize {
        self.colours - self.dots.len()
    }
}

/// Whether a product is reduced by at least a per cent, and can be bought.
pub fn is_on_sale(product: &ProductSummary) -> bool {
    let price = product.price.as_ref();
    product.in_stock && price.is_some_and(|price| Reduction::new(price, product.compare_at_price.as_ref()).is_some())
}

#[cfg(test)]
mod tests {
    use selvage_proto::catalogue::v1::Colour;
    use selvage_proto::money::v1::Money;

    use super::*;

    fn product() -> ProductSummary {
        let colour = |name: &str, hex: &str| Colour { name: name.into(), hex: hex.into() };
        ProductSummary {
            slug: "oxford-shirt".into(),
            price: Some(Money { currency: "EUR".into(), minor_units: 5600 }),
            compare_at_price: Some(Money { currency: "EUR".into(), minor_units: 8000 }),
            colours: vec![colour("Ink", "202020"), colour("Sky & Sea", "88aacc")],
            in_stock: true,
            ..ProductSummary::default()
        }
    }

    #[test]
    fn a_card_follows_the_colour_that_was_asked_for() {
        let card = Card::new(&product(), &["Sky & Sea".into()]).unwrap();
        assert_eq!(card.href, "/p/oxford-shirt?colour=Sky+%26+Sea");
        assert_eq!(Card::new(&product(), &[]).unwrap().href, "/p/oxford-shirt");
    }

    #[test]
    fn a_reduction_is_shown_unless_it_is_sold_out() {
        let card = Card::new(&product(), &[]).unwrap();
        assert_eq!((card.badge.as_str(), card.before.as_str()), ("−30 %", "€80.00"));
        let sold_out = ProductSummary { in_stock: false, ..product() };
        assert_eq!(Card::new(&sold_out, &[]).unwrap().badge, "Sold out");
        assert!(is_on_sale(&product()) && !is_on_sale(&sold_out));
    }

    #[test]
    fn a_product_without_a_price_has_no_card() {
        let unpriced = ProductSummary { price: None, ..product() };
        assert_eq!(Card::new(&unpriced, &[]), Err(Missing("ProductSummary.price")));
    }
}
