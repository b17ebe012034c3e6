//! Makes products from styles.

use std::collections::{HashMap, HashSet};

use super::{
    SeedProduct, SeedVariant,
    colours::{DARK_ACCENTS, LEATHER_ACCENTS, LEATHERS, PALE_ACCENTS, Shade},
    fabrics::Fabric,
    splitmix::SplitMix,
    styles::{RANGES, Range, Sizes, Style},
    words::{FIRST, pattern_lines},
};

/// Changing it changes every product; the shop's tests pin the outcome.
const SEED: u64 = 0x5e1_7a6e;

pub(super) fn products() -> Vec<SeedProduct> {
    let mut composer = Composer {
        random: SplitMix::new(SEED),
        first_words: Vec::new(),
        names: HashSet::new(),
        codes: HashSet::new(),
        descriptions: HashSet::new(),
        said: HashMap::new(),
    };
    RANGES.iter().flat_map(|range| composer.range(range)).collect()
}

/// One look of a style, to be made into a product.
struct Look {
    pattern: &'static str,
    noun: &'static str,
    fabric: &'static Fabric,
}

struct Composer {
    random: SplitMix,
    /// The first words not yet used in this round through all of them.
    first_words: Vec<usize>,
    names: HashSet<String>,
    codes: HashSet<String>,
    descriptions: HashSet<String>,
    /// How often a sentence was used, by its text: the least used of a choice is next.
    said: HashMap<&'static str, u32>,
}

impl Composer {
    fn range(&mut self, range: &Range) -> Vec<SeedProduct> {
        let mut products = Vec::new();
        for style in range.styles {
            for _ in 0..style.runs {
                for (place, &(pattern, noun)) in style.looks.iter().enumerate() {
                    let fabric = style.fabrics[place % style.fabrics.len()];
                    products.push(self.product(range, style, &Look { pattern, noun, fabric }));
                }
            }
        }
        products
    }

    fn product(&mut self, range: &Range, style: &Style, look: &Look) -> SeedProduct {
        let first = self.first_word(look.noun);
        let name = format!("{first} {}", look.noun);
        let slug = name.to_ascii_lowercase().replace(' ', "-");
        let description = self.description(range, style, look);
        let shades = self.shades(style);
        let accent = self.accent(style, &shades);
        let code = self.code(first, look.noun);
        let days = u64::from(self.random.below(1000));
        let mut tags = style.tags.to_vec();
        if !matches!(look.pattern, "plain" | "denim") {
            tags.push(look.pattern);
        }
        let variants = self.variants(style, &shades, &code);
        SeedProduct {
            slug,
            name,
            description,
            category: range.category.slug,
            material: look.fabric.material.into(),
            care: look.fabric.care.into(),
            tags,
            audience: style.audience,
            garment: style.garment,
            cut: style.cut,
            pattern: look.pattern,
            accent,
            // More came in recently than long ago: the square of an even spread, 1 to 719 days.
            days_ago: 1 + u32::try_from(days * days * 720 / 1_000_000).unwrap_or(0),
            variants,
        }
    }

    /// A first word with which this noun makes a new name; words come round evenly.
    fn first_word(&mut self, noun: &str) -> &'static str {
        let mut skipped = Vec::new();
        let word = loop {
            let Some(place) = self.first_words.pop() else {
                self.first_words = self.random.order(FIRST.len());
                continue;
            };
            let word = FIRST[place];
            // "Ferry Ferry Coat" reads badly, and so does a word that the noun already holds.
            if !noun.contains(word) && self.names.insert(format!("{word} {noun}")) {
                break word;
            }
            skipped.push(place);
        };
        self.first_words.extend(skipped);
        word
    }

    /// Three sentences in a combination not used before.
    fn description(&mut self, range: &Range, style: &Style, look: &Look) -> String {
        let worn = !matches!(range.category.slug, "shoes" | "bags" | "accessories");
        let about_pattern = pattern_lines(look.pattern);
        loop {
            let last = if worn && !about_pattern.is_empty() && self.random.percent(60) {
                self.least_said(about_pattern)
            } else {
                self.least_said(range.closings)
            };
            let text = [self.least_said(style.openings), self.least_said(look.fabric.lines), last].join(" ");
            // A style has at least 2 * 3 * 6 combinations and at most 8 products, so an unused one comes soon.
            if self.descriptions.insert(text.clone()) {
                return text;
            }
        }
    }

    fn least_said(&mut self, choice: &'static [&'static str]) -> &'static str {
        let start = self.random.below(u32::try_from(choice.len()).unwrap_or(1)) as usize;
        let turned = choice[start..].iter().chain(&choice[..start]);
        let line = turned.min_by_key(|line| self.said.get(*line).copied().unwrap_or(0)).copied().unwrap_or_default();
        *self.said.entry(line).or_default() += 1;
        line
    }

    /// One to four colours, all pale or all deep, so that one accent shows on each of them.
    fn shades(&mut self, style: &Style) -> Vec<&'static Shade> {
        let wanted = match self.random.below(100) {
            0..34 => 1,
            34..80 => 2,
            80..96 => 3,
            _ => 4,
        };
        let order = self.random.order(style.palette.len());
        let pale = style.palette[order[0]].is_pale();
        order
            .into_iter()
            .map(|place| &style.palette[place])
            .filter(|shade| shade.is_pale() == pale)
            .take(wanted)
            .collect()
    }

    fn accent(&mut self, style: &Style, shades: &[&Shade]) -> &'static str {
        let pale = shades.iter().all(|shade| shade.is_pale());
        let leather = matches!(style.garment, "bag" | "backpack") || std::ptr::eq(style.palette, LEATHERS);
        let accents = match (leather, pale) {
            (true, _) => LEATHER_ACCENTS,
            (false, true) => DARK_ACCENTS,
            (false, false) => PALE_ACCENTS,
        };
        let start = self.random.below(u32::try_from(accents.len()).unwrap_or(1)) as usize;
        let mut turned = accents[start..].iter().chain(&accents[..start]);
        turned.find(|accent| shades.iter().all(|shade| shade.hex != **accent)).unwrap_or(&accents[start])
    }

    /// The SKU's first part: three letters of the first word and the noun's initials, such as `HARSOS`.
    fn code(&mut self, first: &str, noun: &str) -> String {
        let letters = first.chars().take(3);
        let initials = noun.split([' ', '-']).filter_map(|word| word.chars().next());
        let stem: String = letters.chain(initials).map(|letter| letter.to_ascii_uppercase()).collect();
        let mut code = stem.clone();
        let mut number = 2;
        while !self.codes.insert(code.clone()) {
            code = format!("{stem}{number}");
            number += 1;
        }
        code
    }

    fn variants(&mut self, style: &Style, shades: &[&'static Shade], code: &str) -> Vec<SeedVariant> {
        let full = self.price(style.euros);
        let sale = self.random.percent(17).then(|| 60 + 10 * i64::from(self.random.below(3)));
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
                    colour_name: shade.name,
                    colour_hex: shade.hex,
                    price,
                    compare_at,
                    stock: self.stock(),
                    grams,
                });
            }
        }
        variants
    }

    /// A price within the style's bounds that looks like a shop's.
    fn price(&mut self, (low, high): (u32, u32)) -> i64 {
        shelf_price(i64::from(low + self.random.below(high - low + 1)) * 100)
    }

    fn stock(&mut self) -> u32 {
        match self.random.below(100) {
            0..6 => 0,
            6..16 => 1 + self.random.below(4),
            _ => 5 + self.random.below(56),
        }
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
