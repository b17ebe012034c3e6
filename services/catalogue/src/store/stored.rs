//! Products and variants as the store hands them out.

use crate::domain::product::{Picture, Product, Variant};

/// A product as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProduct {
    /// It, with the variants that are sold.
    pub product: Product,
    /// What can be bought now of each variant, in their order.
    pub available: Vec<i32>,
    /// ISO 4217.
    pub currency: String,
    /// Grows with each change.
    pub version: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
}

impl StoredProduct {
    /// Says which content this is, for the guard against lost updates.
    pub fn etag(&self) -> String {
        self.version.to_string()
    }
}

/// A variant as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVariant {
    /// It, with its stock on hand.
    pub variant: Variant,
    /// What can be bought now.
    pub available: i32,
}

/// A variant with what a line of a cart shows of its product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantOfProduct {
    /// It.
    pub variant: StoredVariant,
    /// ISO 4217.
    pub currency: String,
    /// Its product.
    pub slug: String,
    /// The product's title.
    pub title: String,
    /// The product's first photograph, if it has one.
    pub image_url: String,
    /// What is drawn.
    pub picture: Picture,
}
