//! What the catalogue says of a line, and what follows for it.

use std::collections::HashMap;

use super::cart::{Cart, Line, Sku};

/// A SKU as the catalogue offers it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The product's id, as it stands in addresses.
    pub slug: String,
    /// The product's name.
    pub title: String,
    /// For example "M".
    pub size: String,
    /// For example "Ink".
    pub colour: String,
    /// The price of one, in minor units of the shop's currency.
    pub unit_price: i64,
    /// How many can be bought now.
    pub available: i32,
    /// A photograph; may be empty.
    pub image_url: String,
    /// The key of the drawn picture; empty if there is none.
    pub picture_key: String,
    /// Weight of one with its packing.
    pub grams: i32,
}

/// Whether a line can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Available,
    /// There are fewer pieces.
    Insufficient,
    /// The catalogue doesn't have it any more.
    Withdrawn,
}

/// What the catalogue answered: for each SKU that was asked for its offer, or `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers(HashMap<Sku, Option<Offer>>);

impl Offers {
    /// The answers.
    pub fn new(answers: HashMap<Sku, Option<Offer>>) -> Self {
        Self(answers)
    }

    /// The offer of a SKU, if there is one.
    pub fn get(&self, sku: &Sku) -> Option<&Offer> {
        self.0.get(sku).and_then(Option::as_ref)
    }

    /// Whether all of a cart's SKUs were asked for.
    pub fn cover(&self, cart: &Cart) -> bool {
        cart.lines().iter().all(|line| self.0.contains_key(&line.sku))
    }

    /// Whether a line can be bought.
    pub fn availability(&self, line: &Line) -> Availability {
        match self.get(&line.sku) {
            None => Availability::Withdrawn,
            Some(offer) if offer.available < line.quantity => Availability::Insufficient,
            Some(_) => Availability::Available,
        }
    }

    /// The sum of the lines that can be bought, in minor units.
    pub fn subtotal(&self, cart: &Cart) -> i64 {
        cart.lines()
            .iter()
            .filter(|line| self.availability(line) == Availability::Available)
            .filter_map(|line| self.get(&line.sku).map(|offer| line_total(offer, line.quantity)))
            .fold(0, i64::saturating_add)
    }
}

/// The price of `quantity` pieces. Prices that overflow are absurd, and stay absurdly high.
pub fn line_total(offer: &Offer, quantity: i32) -> i64 {
    offer.unit_price.saturating_mul(i64::from(quantity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(unit_price: i64, available: i32) -> Offer {
        Offer {
            slug: "hox-shirt".into(),
            title: "Hox shirt".into(),
            size: "M".into(),
            colour: "Ink".into(),
            unit_price,
            available,
            image_url: String::new(),
            picture_key: String::new(),
            grams: 250,
        }
    }

    #[test]
    fn only_what_can_be_bought_counts() {
        let sku = |text| Sku::parse(text).unwrap();
        let cart = Cart::default().add(&sku("A"), 2).unwrap().add(&sku("B"), 3).unwrap().add(&sku("C"), 1).unwrap();
        let answers = [(sku("A"), Some(offer(3495, 2))), (sku("B"), Some(offer(1000, 2))), (sku("C"), None)];
        let offers = Offers::new(answers.into());
        let lines: Vec<_> = cart.lines().iter().map(|line| offers.availability(line)).collect();
        assert_eq!(lines, [Availability::Available, Availability::Insufficient, Availability::Withdrawn]);
        assert_eq!(offers.subtotal(&cart), 6990);
        assert!(offers.cover(&cart));
        assert!(!offers.cover(&cart.add(&sku("D"), 1).unwrap()));
    }
}
