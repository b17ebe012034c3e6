//! What a listing can be narrowed by.

use std::collections::HashMap;

use super::names::{Name, Names, Set};
use super::segment::Candidate;
use crate::domain::listing::Facets;
use crate::domain::size;

/// The most sizes or colours that a listing is narrowed by, those of the most products: a page of more is no help.
const MAX_FACET: usize = 60;

/// Counts of products. What many products have in common is counted once for each set of it, and not for each variant: products
/// come in few sets of sizes and colours.
pub(super) struct Counts {
    categories: Vec<u32>,
    size_sets: Vec<u32>,
    colour_sets: Vec<u32>,
    lowest: i64,
    highest: i64,
}

impl Counts {
    pub(super) fn new(names: &Names) -> Self {
        Self {
            categories: vec![0; names.categories.len()],
            size_sets: vec![0; names.size_sets.len()],
            colour_sets: vec![0; names.colour_sets.len()],
            lowest: i64::MAX,
            highest: 0,
        }
    }

    /// Counts a product.
    pub(super) fn add(&mut self, product: &Candidate<'_>) {
        self.categories[product.head.category() as usize] += 1;
        self.size_sets[product.row.sizes as usize] += 1;
        self.colour_sets[product.row.colours as usize] += 1;
        let offered = product.offered();
        self.lowest = self.lowest.min(offered.lowest);
        self.highest = self.highest.max(offered.highest);
    }

    pub(super) fn facets(&self, names: &Names) -> Facets {
        let mut sizes: Vec<_> = values(&self.size_sets, &names.size_sets, &names.sizes)
            .into_iter()
            .map(|(size, _, count)| (size, count))
            .collect();
        sizes.sort_by_cached_key(|(size, _)| size::place(size));
        let counted = names.categories.iter().zip(&self.categories).filter(|(_, count)| **count > 0);
        let mut categories: Vec<_> = counted.map(|(slug, count)| (slug.clone(), i64::from(*count))).collect();
        categories.sort();
        let prices = if self.lowest > self.highest { (0, 0) } else { (self.lowest, self.highest) };
        Facets { sizes, colours: values(&self.colour_sets, &names.colour_sets, &names.colours), categories, prices }
    }
}

/// Names, hexadecimal digits and counts of products, most first. Names that differ in case alone are one, written as most products
/// write it.
fn values(counts: &[u32], sets: &[Set], names: &[Name]) -> Vec<(String, String, i64)> {
    let (mut written, mut counted) = (vec![0_i64; names.len()], vec![0_i64; names.len()]);
    for (set, count) in sets.iter().zip(counts).filter(|(_, count)| **count > 0) {
        let count = i64::from(*count);
        set.names.iter().for_each(|name| written[*name as usize] += count);
        set.firsts.iter().for_each(|first| counted[*first as usize] += count);
    }
    let mut first: Vec<_> = (0..).zip(&counted).filter(|(_, count)| **count > 0).collect();
    first.sort_unstable_by_key(|(_, count)| -**count);
    // Those that tie with the last one stay for as long as their names aren't known.
    let least = first.get(MAX_FACET - 1).map_or(0, |(_, count)| **count);
    first.retain(|(_, count)| **count >= least);
    let mut spelled: HashMap<u32, HashMap<&str, i64>> =
        first.iter().map(|(number, _)| (*number, HashMap::new())).collect();
    let mut hexes: HashMap<u32, &str> = HashMap::new();
    for (name, count) in names.iter().zip(&written).filter(|(_, count)| **count > 0) {
        let Some(spellings) = spelled.get_mut(&name.first) else { continue };
        *spellings.entry(&name.text).or_default() += count;
        let hex = hexes.entry(name.first).or_insert(&name.hex);
        *hex = (*hex).min(&name.hex);
    }
    let mut values: Vec<_> = first
        .into_iter()
        .map(|(number, count)| {
            let spellings = spelled.remove(&number).unwrap_or_default().into_iter();
            let text =
                spellings.max_by(|(one, of_one), (other, of_other)| of_one.cmp(of_other).then_with(|| other.cmp(one)));
            let text = text.map_or("", |(text, _)| text);
            (text.to_owned(), hexes.get(&number).copied().unwrap_or_default().to_owned(), *count)
        })
        .collect();
    values.sort_unstable_by(|(one, _, of_one), (other, _, of_other)| of_other.cmp(of_one).then_with(|| one.cmp(other)));
    values.truncate(MAX_FACET);
    values
}
