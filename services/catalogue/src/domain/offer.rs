//! What a product costs for somebody who wants certain variants of it.

use super::listing::Filter;

/// A variant as far as listings are about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Minor units.
    pub price: i64,
    /// Whether it can be bought now.
    pub is_available: bool,
}

/// What a listing says of the offers that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Of the cheapest one, minor units.
    pub lowest: i64,
    /// Of the dearest one.
    pub highest: i64,
    /// Whether they can be bought now.
    pub is_available: bool,
}

/// Which prices are wanted, and whether only what can be bought is.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    lowest: i64,
    highest: i64,
    only_available: bool,
}

impl Wanted {
    /// Whatever there is.
    pub const ANY: Self = Self { lowest: 0, highest: i64::MAX, only_available: false };

    /// What a filter says of prices and stock.
    pub fn of(filter: &Filter) -> Self {
        Self {
            lowest: filter.min_price.unwrap_or(0),
            highest: filter.max_price.unwrap_or(i64::MAX),
            only_available: filter.in_stock,
        }
    }

    /// Whether everything fits.
    pub fn is_any(&self) -> bool {
        self.lowest <= 0 && self.highest == i64::MAX && !self.only_available
    }

    /// What is offered of a product whose variants in the wanted sizes and colours are `fitting`: of those that can be bought,
    /// if there are any, and otherwise of all, what lies within the wanted prices. `None` if nothing does.
    pub fn among(&self, fitting: impl IntoIterator<Item = Offer>) -> Option<Offered> {
        let (mut is_available, mut available, mut all) = (false, None, None);
        for offer in fitting {
            is_available |= offer.is_available;
            if (self.lowest..=self.highest).contains(&offer.price) {
                widen(&mut all, offer.price);
                if offer.is_available {
                    widen(&mut available, offer.price);
                }
            }
        }
        let range: Option<(i64, i64)> = if is_available || self.only_available { available } else { all };
        range.map(|(lowest, highest)| Offered { lowest, highest, is_available })
    }
}

fn widen(range: &mut Option<(i64, i64)>, price: i64) {
    *range = Some(range.map_or((price, price), |(lowest, highest)| (lowest.min(price), highest.max(price))));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(offers: &[(i64, bool)]) -> impl Iterator<Item = Offer> {
        offers.iter().map(|&(price, is_available)| Offer { price, is_available })
    }

    #[test]
    fn what_can_be_bought_has_the_price() {
        let offered = |lowest, highest, is_available| Some(Offered { lowest, highest, is_available });
        let any = Wanted::ANY;
        assert_eq!(any.among(offers(&[(19, false), (79, true), (89, true)])), offered(79, 89, true));
        assert_eq!(any.among(offers(&[(19, false), (79, false)])), offered(19, 79, false), "what it cost");
        assert_eq!(any.among(offers(&[])), None);
        let cheap = Wanted::of(&Filter { max_price: Some(50), ..Filter::default() });
        assert_eq!(cheap.among(offers(&[(19, false), (79, true)])), None, "what is cheap can't be bought");
        assert_eq!(cheap.among(offers(&[(19, false), (79, false)])), offered(19, 19, false));
        let in_stock = Wanted::of(&Filter { in_stock: true, ..Filter::default() });
        assert_eq!(in_stock.among(offers(&[(19, false)])), None);
        assert!(any.is_any() && !cheap.is_any() && !in_stock.is_any());
    }
}
