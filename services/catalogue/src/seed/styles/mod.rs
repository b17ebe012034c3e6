//! Styles: the hand-written garments from which the products are made, by category.

mod accessories;
mod bags;
mod coats;
mod dresses;
mod jackets;
mod jeans;
mod knitwear;
mod shirts;
mod shoes;
mod skirts;
mod trousers;
mod tshirts;

use super::{Category, colours::Shade, fabrics::Fabric};

/// The sizes in which a style comes.
#[derive(Clone, Copy)]
pub(super) enum Sizes {
    /// XS to XXL.
    Letters,
    /// Waist in inches, 28 to 38.
    Waist,
    /// EU shoe sizes from the first to the last.
    Shoes(u32, u32),
    /// Waist in centimetres, 80 to 110.
    Belt,
    /// Two spans of shoe sizes.
    Socks,
    /// One size.
    One,
}

/// A style and the looks in which it is made.
pub(super) struct Style {
    /// Pattern and what a piece in it is called, without its first word; each is a product, `runs` times over.
    pub(super) looks: &'static [(&'static str, &'static str)],
    pub(super) runs: usize,
    pub(super) garment: &'static str,
    pub(super) cut: &'static str,
    pub(super) audience: &'static str,
    pub(super) fabrics: &'static [&'static Fabric],
    pub(super) palette: &'static [Shade],
    pub(super) sizes: Sizes,
    /// Lowest and highest price, in euros.
    pub(super) euros: (u32, u32),
    /// Weight of a size M, or of the middle size.
    pub(super) grams: u32,
    /// First sentences of a description; each is true of every look.
    pub(super) openings: &'static [&'static str],
    pub(super) tags: &'static [&'static str],
}

/// A category, its styles, and closing sentences that suit all of them.
pub(super) struct Range {
    pub(super) category: Category,
    pub(super) styles: &'static [Style],
    pub(super) closings: &'static [&'static str],
}

/// Every category, in the order of the shop's menu.
pub(super) const RANGES: [Range; 12] = [
    shirts::RANGE,
    tshirts::RANGE,
    knitwear::RANGE,
    jackets::RANGE,
    coats::RANGE,
    dresses::RANGE,
    skirts::RANGE,
    trousers::RANGE,
    jeans::RANGE,
    shoes::RANGE,
    bags::RANGE,
    accessories::RANGE,
];
