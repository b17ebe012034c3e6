//! What the seed is made of: colours, fabrics, words and styles, from the files in this crate's folder `seed`. They are part
//! of the program, and read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A named colour.
#[derive(Deserialize)]
#[serde(from = "(String, String, String)")]
pub(super) struct Shade {
    pub(super) name: String,
    /// Six lower-case hexadecimal digits.
    pub(super) hex: String,
    /// Its part of a SKU; no two colours of one palette share it.
    pub(super) code: String,
}

/// A cloth, leather or yarn.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fabric {
    pub(super) material: String,
    care: String,
    /// Sentences about it; a product's description holds one.
    pub(super) lines: Vec<String>,
}

/// The sizes in which a style comes.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
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
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Style {
    /// Pattern and what a piece in it is called, without its first word; each is a product, `runs` times over.
    pub(super) looks: Vec<(String, String)>,
    pub(super) runs: usize,
    pub(super) garment: String,
    pub(super) cut: String,
    pub(super) audience: String,
    fabrics: Vec<String>,
    palette: String,
    pub(super) sizes: Sizes,
    /// Lowest and highest price, in euros.
    pub(super) euros: (u32, u32),
    /// Weight of a size M, or of the middle size.
    pub(super) grams: u32,
    /// First sentences of a description; each is true of every look.
    pub(super) openings: Vec<String>,
    pub(super) tags: Vec<String>,
}

/// A category, its styles, and closing sentences that suit all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) blurb: String,
    pub(super) closings: Vec<String>,
    #[serde(rename = "style")]
    pub(super) styles: Vec<Style>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Colours {
    palettes: BTreeMap<String, Palette>,
    accents: BTreeMap<String, Accents>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Palette {
    shades: Vec<Shade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accents {
    colours: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fabrics {
    care: BTreeMap<String, String>,
    fabrics: BTreeMap<String, Fabric>,
}

/// Words and sentences that belong to no single style.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    first: Vec<String>,
    patterns: BTreeMap<String, Vec<String>>,
}

static COLOURS: LazyLock<Colours> = LazyLock::new(|| read("colours", include_str!("../../seed/colours.toml")));
static FABRICS: LazyLock<Fabrics> = LazyLock::new(|| read("fabrics", include_str!("../../seed/fabrics.toml")));
static WORDS: LazyLock<Words> = LazyLock::new(|| read("words", include_str!("../../seed/words.toml")));

/// Every category, in the order of the shop's menu.
pub(super) static RANGES: LazyLock<Vec<Range>> = LazyLock::new(|| {
    macro_rules! ranges {
        ($($name:literal),+ $(,)?) => {
            vec![$(read($name, include_str!(concat!("../../seed/styles/", $name, ".toml")))),+]
        };
    }
    ranges![
        "shirts",
        "tshirts",
        "knitwear",
        "jackets",
        "coats",
        "dresses",
        "skirts",
        "trousers",
        "jeans",
        "shoes",
        "bags",
        "accessories",
    ]
});

/// # Panics
/// If the file isn't as it must be, which a test finds.
fn read<T: DeserializeOwned>(name: &str, text: &str) -> T {
    toml::from_str(text).unwrap_or_else(|error| panic!("the seed's {name}.toml: {error}"))
}

/// First words of products' names.
pub(super) fn first_words() -> &'static [String] {
    &WORDS.first
}

/// What a pattern adds to a description; some add nothing.
pub(super) fn pattern_lines(pattern: &str) -> &'static [String] {
    WORDS.patterns.get(pattern).map_or(&[], Vec::as_slice)
}

/// Colours of details, for pieces that are `dark`, `pale` or of `leather`.
pub(super) fn accents(of: &str) -> &'static [String] {
    &COLOURS.accents[of].colours
}

impl From<(String, String, String)> for Shade {
    fn from((name, hex, code): (String, String, String)) -> Self {
        Self { name, hex, code }
    }
}

impl Shade {
    /// Whether dark details show on it better than pale ones (its luma, ITU-R BT.601, is in the upper part).
    pub(super) fn is_pale(&self) -> bool {
        let part = |at: usize| u32::from_str_radix(&self.hex[at..at + 2], 16).unwrap_or(0);
        part(0) * 299 + part(2) * 587 + part(4) * 114 > 165_000
    }
}

impl Fabric {
    /// How to care for it.
    pub(super) fn care(&self) -> &'static str {
        &FABRICS.care[&self.care]
    }
}

impl Style {
    /// What the look at this place is made of: looks take the style's fabrics in turn.
    pub(super) fn fabric(&self, place: usize) -> &'static Fabric {
        &FABRICS.fabrics[&self.fabrics[place % self.fabrics.len()]]
    }

    /// The colours in which it comes.
    pub(super) fn palette(&self) -> &'static [Shade] {
        &COLOURS.palettes[&self.palette].shades
    }

    /// Whether its details are of leather.
    pub(super) fn is_leather(&self) -> bool {
        matches!(self.garment.as_str(), "bag" | "backpack") || self.palette == "leathers"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_style_names_is_there() {
        assert!(["dark", "pale", "leather"].iter().all(|kind| !accents(kind).is_empty()));
        let styles = RANGES.iter().flat_map(|range| &range.styles);
        for style in styles {
            assert!(!style.palette().is_empty() && !style.looks.is_empty(), "{:?}", style.looks);
            for place in 0..style.fabrics.len() {
                assert!(!style.fabric(place).care().is_empty(), "{:?}", style.looks);
            }
        }
    }
}
