//! The default products: every style in every look, with names and descriptions that nobody has read before.

use std::collections::{HashMap, HashSet};

use super::SeedProduct;
use super::data::{RANGES, Range, first_words};
use super::garment::{ABOUT_PATTERN, Look, product};
use super::splitmix::SplitMix;

/// Changing it changes every product; the shop's tests pin the outcome.
pub(super) const SEED: u64 = 0x5e1_7a6e;

/// How many there are, without making them.
pub(super) fn count() -> usize {
    RANGES.iter().flat_map(|range| &range.styles).map(|style| style.runs * style.looks.len()).sum()
}

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
    fn range(&mut self, range: &'static Range) -> Vec<SeedProduct> {
        let mut products = Vec::new();
        for style in &range.styles {
            for _ in 0..style.runs {
                for place in 0..style.looks.len() {
                    products.push(self.product(range, &Look { category: &range.slug, style, place }));
                }
            }
        }
        products
    }

    fn product(&mut self, range: &'static Range, look: &Look) -> SeedProduct {
        let first = self.first_word(look.noun());
        let description = self.description(range, look);
        let name = format!("{first} {}", look.noun());
        let codes = &mut self.codes;
        product(&mut self.random, look, name, description, || code(codes, first, look))
    }

    /// A first word with which this noun makes a new name; words come round evenly.
    fn first_word(&mut self, noun: &str) -> &'static str {
        let mut skipped = Vec::new();
        let word = loop {
            let Some(place) = self.first_words.pop() else {
                self.first_words = self.random.order(first_words().len());
                continue;
            };
            let word = &first_words()[place];
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
    fn description(&mut self, range: &'static Range, look: &Look) -> String {
        let about_pattern = look.about_pattern();
        loop {
            let last = if !about_pattern.is_empty() && self.random.percent(ABOUT_PATTERN) {
                self.least_said(about_pattern)
            } else {
                self.least_said(&range.closings)
            };
            let fabric = &look.style.fabric(look.place).lines;
            let text = [self.least_said(&look.style.openings), self.least_said(fabric), last].join(" ");
            // A style has at least 2 * 3 * 6 combinations and at most 8 products, so an unused one comes soon.
            if self.descriptions.insert(text.clone()) {
                return text;
            }
        }
    }

    fn least_said(&mut self, choice: &'static [String]) -> &'static str {
        let start = self.random.below(u32::try_from(choice.len()).unwrap_or(1)) as usize;
        let turned = choice[start..].iter().chain(&choice[..start]).map(String::as_str);
        let line = turned.min_by_key(|line| self.said.get(line).copied().unwrap_or(0)).unwrap_or_default();
        *self.said.entry(line).or_default() += 1;
        line
    }
}

/// The SKU's first part: three letters of the first word and the noun's initials, such as `HARSOS`; a new one.
fn code(codes: &mut HashSet<String>, first: &str, look: &Look) -> String {
    let stem: String = first.chars().take(3).chain(look.initials()).map(|letter| letter.to_ascii_uppercase()).collect();
    let mut code = stem.clone();
    let mut number = 2;
    while !codes.insert(code.clone()) {
        code = format!("{stem}{number}");
        number += 1;
    }
    code
}
