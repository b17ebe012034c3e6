//! What a listing shows of a product.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::fold::fold;
use super::listing::Filter;
use super::offer::{Offer, Wanted};
use super::product::Picture;

/// A product, as far as any listing may show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its id.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// Its category.
    pub category: String,
    /// ISO 4217.
    pub currency: String,
    /// The first photograph.
    pub image_url: String,
    /// What is drawn.
    pub picture: Picture,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// What is sold of it, in its order.
    pub variants: Vec<CardVariant>,
}

/// A variant on a card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardVariant {
    /// Its size.
    pub size: String,
    /// Its colour.
    pub colour: String,
    /// Six hexadecimal digits.
    pub hex: String,
    /// Minor units.
    pub price: i64,
    /// The price before a reduction.
    pub compare_at: Option<i64>,
    /// Whether it can be bought now.
    pub is_available: bool,
}

/// A card for somebody who filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// Its category.
    pub category: String,
    /// ISO 4217.
    pub currency: String,
    /// Of the cheapest variant that fits and can be bought; if none can, of the cheapest that fits. Minor units.
    pub price: i64,
    /// Before a reduction.
    pub compare_at: Option<i64>,
    /// Whether those variants differ.
    pub price_varies: bool,
    /// Names and hexadecimal digits.
    pub colours: Vec<(String, String)>,
    /// Whether a variant that fits can be bought now.
    pub in_stock: bool,
    /// The first photograph.
    pub image_url: String,
    /// What is drawn.
    pub picture: Picture,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

impl CardVariant {
    /// What it is offered for.
    pub fn offer(&self) -> Offer {
        Offer { price: self.price, is_available: self.is_available }
    }
}

impl Card {
    /// What it shows to somebody who filters; `None` if nothing of it fits.
    pub fn summary(self, filter: &Filter) -> Option<Summary> {
        let wanted = |values: &[String]| values.iter().map(|value| fold(value)).collect::<HashSet<_>>();
        let (sizes, colours) = (wanted(&filter.sizes), wanted(&filter.colours));
        let fits = |variant: &&CardVariant| {
            (sizes.is_empty() || sizes.contains(&fold(&variant.size)))
                && (colours.is_empty() || colours.contains(&fold(&variant.colour)))
        };
        let fitting = || self.variants.iter().filter(fits);
        let offered = Wanted::of(filter).among(fitting().map(CardVariant::offer))?;
        let cheapest = fitting()
            .find(|variant| variant.price == offered.lowest && variant.is_available == offered.is_available)?;
        let compare_at = cheapest.compare_at;
        let mut shown: Vec<(String, String)> = Vec::new();
        for variant in &self.variants {
            if shown.iter().all(|(name, _)| *name != variant.colour) {
                shown.push((variant.colour.clone(), variant.hex.clone()));
            }
        }
        Some(Summary {
            slug: self.slug,
            title: self.title,
            category: self.category,
            currency: self.currency,
            price: offered.lowest,
            compare_at,
            price_varies: offered.lowest != offered.highest,
            colours: shown,
            in_stock: offered.is_available,
            image_url: self.image_url,
            picture: self.picture,
            created_at: self.created_at,
        })
    }
}
