//! What a product's colours, sizes, prices and stock are: drawn at random, within what its style allows.

use super::data::{Shade, Sizes, Style, accents, pattern_lines};
use super::splitmix::SplitMix;
use super::{SeedProduct, SeedVariant};

/// Of a hundred descriptions that could end with a sentence about the pattern, so many do.
pub(super) const ABOUT_PATTERN: u32 = 60;

/// One look of a style, to be made into a product.
pub(super) struct Look {
    pub(super) category: &'static str,
    pub(super) style: &'static Style,
    /// The place among the style's looks.
    pub(super) place: usize,
}

impl Look {
    pub(super) fn pattern(&self) -> &'static str {
        &self.style.looks[self.place].0
    }

    /// What a piece is called, without its first words.
    pub(super) fn noun(&self) -> &'static str {
        &self.style.looks[self.place].1
    }

    /// What may be said of its pattern; of what isn't worn, nothing.
    pub(super) fn about_pattern(&self) -> &'static [String] {
        let is_worn = !matches!(self.category, "shoes" | "bags" | "accessories");
        if is_worn { pattern_lines(self.pattern()) } else { &[] }
    }

    /// The initials of its noun: a part of SKUs.
    pub(super) fn initials(&self) -> impl Iterator<Item = char> {
        self.noun().split([' ', '-']).filter_map(|word| word.chars().next())
    }
}

/// A product of this name and description, whose SKUs begin with what `code` makes; draws further random numbers.
pub(super) fn product(
    random: &mut SplitMix,
    look: &Look,
    name: String,
    description: String,
    code: impl FnOnce() -> String,
) -> SeedProduct {
    let style = look.style;
    let shades = shades(random, style);
    let accent = accent(random, style, &shades);
    let code = code();
    let days = u64::from(random.below(1000));
    let mut tags: Vec<&'static str> = style.tags.iter().map(String::as_str).collect();
    if !matches!(look.pattern(), "plain" | "denim") {
        tags.push(look.pattern());
    }
    let variants = variants(random, style, &shades, &code);
    let fabric = style.fabric(look.place);
    SeedProduct {
        slug: name.to_ascii_lowercase().replace(' ', "-"),
        name,
        description,
        category: look.category,
        material: fabric.material.clone(),
        care: fabric.care().to_owned(),
        tags,
        audience: &style.audience,
        garment: &style.garment,
        cut: &style.cut,
        pattern: look.pattern(),
        accent,
        // More came in recently than long ago: the square of an even spread, 1 to 719 days.
        days_ago: 1 + u32::try_from(days * days * 720 / 1_000_000).unwrap_or(0),
        variants,
    }
}

/// One to four colours, all pale or all deep, so that one accent shows on each of them.
fn shades(random: &mut SplitMix, style: &'static Style) -> Vec<&'static Shade> {
    let wanted = match random.below(100) {
        0..34 => 1,
        34..80 => 2,
        80..96 => 3,
        _ => 4,
    };
    let palette = style.palette();
    let order = random.order(palette.len());
    let pale = palette[order[0]].is_pale();
    order.into_iter().map(|place| &palette[place]).filter(|shade| shade.is_pale() == pale).take(wanted).collect()
}

fn accent(random: &mut SplitMix, style: &Style, shades: &[&Shade]) -> &'static str {
    let pale = shades.iter().all(|shade| shade.is_pale());
    let accents = accents(match (style.is_leather(), pale) {
        (true, _) => "leather",
        (false, true) => "dark",
        (false, false) => "pale",
    });
    let start = random.below(u32::try_from(accents.len()).unwrap_or(1)) as usize;
    let mut turned = accents[start..].iter().chain(&accents[..start]);
    turned.find(|accent| shades.iter().all(|shade| shade.hex != **accent)).unwrap_or(&accents[start])
}

fn variants(random: &mut SplitMix, style: &Style, shades: &[&'static Shade], code: &str) -> Vec<SeedVariant> {
    let full = price(random, style.euros);
    let sale = random.percent(17).then(|| 60 + 10 * i64::from(random.below(3)));
    let (price, compare_at) = match sale {
        Some(share) => (shelf_price(full * share / 100), Some(full)),
        None => (full, None),
    };
    let sizes = sizes(style.sizes);
    let middle = sizes.len() / 2;
    let mut variants = Vec::new();
    for shade in shades {
        for (place, size) in sizes.iter().enumerate() {
            let sku_size = if size == "One size" { "ONE" } else { size.as_str() };
            // A size up or down is about four per cent of the cloth.
            let grams = style.grams * (100 + 4 * u32::try_from(place).unwrap_or(0))
                / (100 + 4 * u32::try_from(middle).unwrap_or(0));
            variants.push(SeedVariant {
                sku: format!("{code}-{}-{sku_size}", shade.code),
                size: size.clone(),
                colour_name: &shade.name,
                colour_hex: &shade.hex,
                price,
                compare_at,
                stock: stock(random),
                grams,
            });
        }
    }
    variants
}

/// A price within the style's bounds that looks like a shop's.
fn price(random: &mut SplitMix, (low, high): (u32, u32)) -> i64 {
    shelf_price(i64::from(low + random.below(high - low + 1)) * 100)
}

fn stock(random: &mut SplitMix) -> u32 {
    match random.below(100) {
        0..6 => 0,
        6..16 => 1 + random.below(4),
        _ => 5 + random.below(56),
    }
}

/// The nearest price of the kinds 34.95 (below 60 euros) and 79.00 (from there on).
fn shelf_price(cents: i64) -> i64 {
    if cents < 5_950 { ((cents + 5 + 250) / 500 * 500 - 5).max(495) } else { (cents + 100 + 500) / 1_000 * 1_000 - 100 }
}

fn sizes(sizes: Sizes) -> Vec<String> {
    let numbers =
        |first: u32, last: u32, step: usize| (first..=last).step_by(step).map(|size| size.to_string()).collect();
    match sizes {
        Sizes::Letters => ["XS", "S", "M", "L", "XL", "XXL"].map(String::from).into(),
        Sizes::Waist => numbers(28, 38, 2),
        Sizes::Shoes(first, last) => numbers(first, last, 1),
        Sizes::Belt => numbers(80, 110, 10),
        Sizes::Socks => ["36-40", "41-46"].map(String::from).into(),
        Sizes::One => vec!["One size".into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_look_like_a_shops() {
        let prices = [900, 1_210, 3_400, 3_500, 5_900, 6_000, 8_350, 12_900].map(shelf_price);
        assert_eq!(prices, [995, 995, 3_495, 3_495, 5_995, 5_900, 7_900, 12_900]);
    }
}
