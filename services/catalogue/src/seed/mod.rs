//! The shop's products for trying it out: clothing written by us, the same on every machine and in every release.
//!
//! Styles (hand-written, by category, in the crate's folder `seed`) say in which looks, fabrics, colours and sizes a garment is
//! made; [`products`] makes some 400 of them with a random generator of its own from a fixed seed, and [`first`] as many more as a
//! trial at size wants. No clock, and no file at run time.

mod compose;
mod data;
mod further;
mod garment;
mod splitmix;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

/// A part of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Category {
    /// Its part of an address: lower-case letters and hyphens.
    pub slug: &'static str,
    /// Its name in the menu.
    pub name: &'static str,
    /// One sentence about it.
    pub blurb: &'static str,
}

/// A product and the variants in which it is sold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeedProduct {
    /// Its part of an address, unique: lower-case letters, digits and hyphens.
    pub slug: String,
    /// Its name, unique.
    pub name: String,
    /// Two or three sentences, 80 to 600 characters.
    pub description: String,
    /// The category's slug.
    pub category: &'static str,
    /// What it is made of.
    pub material: String,
    /// How to care for it.
    pub care: String,
    /// Words to find it by, lower-case.
    pub tags: Vec<&'static str>,
    /// `women`, `men` or `everyone`.
    pub audience: &'static str,
    /// The drawing's garment.
    pub garment: &'static str,
    /// The drawing's cut.
    pub cut: &'static str,
    /// The drawing's pattern.
    pub pattern: &'static str,
    /// The drawing's second colour: six lower-case hexadecimal digits.
    pub accent: &'static str,
    /// Days since the shop took it up, 1 to 720, counted back from the first start.
    pub days_ago: u32,
    /// At least one; all variants of a colour stand together, sizes ascending.
    pub variants: Vec<SeedVariant>,
}

/// What one puts into the cart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeedVariant {
    /// Unique in the whole seed: 3 to 40 of `A`-`Z`, `0`-`9` and `-`.
    pub sku: String,
    /// The size as customers read it.
    pub size: String,
    /// The colour's name.
    pub colour_name: &'static str,
    /// The colour: six lower-case hexadecimal digits.
    pub colour_hex: &'static str,
    /// Price in euro cents.
    pub price: i64,
    /// The price before the sale in euro cents, higher than the price.
    pub compare_at: Option<i64>,
    /// Pieces in stock, 0 to 60.
    pub stock: u32,
    /// Weight in grams.
    pub grams: u32,
}

/// The twelve categories, in the order of the menu.
pub fn categories() -> &'static [Category] {
    static CATEGORIES: LazyLock<Vec<Category>> = LazyLock::new(|| {
        data::RANGES
            .iter()
            .map(|range| Category { slug: &range.slug, name: &range.name, blurb: &range.blurb })
            .collect()
    });
    &CATEGORIES
}

/// About 400 products with about 4,000 variants; always the same.
pub fn products() -> Vec<SeedProduct> {
    compose::products()
}

/// How many [`products`] there are.
pub fn count() -> usize {
    compose::count()
}

/// The most that [`first`] can make.
pub const MOST: usize = 1_000_000;

/// So many products, [`MOST`] at the most: the default ones, and behind them others like them. Some more are the same, and some
/// behind them.
pub fn first(count: usize) -> impl Iterator<Item = SeedProduct> {
    products().into_iter().chain(further::products()).take(count.min(MOST))
}
