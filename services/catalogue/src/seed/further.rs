//! Products beyond the default ones, as many as a trial at size wants: each is made from its number alone, so none has to be
//! remembered, and the first thousand are the same whether a thousand or a million are made.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::SeedProduct;
use super::compose::SEED;
use super::data::{RANGES, Range, first_words};
use super::garment::{ABOUT_PATTERN, Look, product};
use super::splitmix::SplitMix;

/// From the pair of first words of one product of a look to the pair of its next. It is a prime that doesn't divide the
/// number of pairs, so that all pairs come before one comes again.
const STRIDE: usize = 7_919;
/// From the pair of one look to that of the next, so that neighbours don't share their first words.
const APART: usize = 6_151;

/// Every look with its category, those of one name once.
static LOOKS: LazyLock<Vec<(&'static Range, Look)>> = LazyLock::new(|| {
    let mut nouns = HashSet::new();
    let mut looks = Vec::new();
    for range in RANGES.iter() {
        for style in &range.styles {
            for place in 0..style.looks.len() {
                let look = Look { category: &range.slug, style, place };
                if nouns.insert(look.noun()) {
                    looks.push((range, look));
                }
            }
        }
    }
    looks
});

/// All of them, some two million, without the default ones.
pub(super) fn products() -> impl Iterator<Item = SeedProduct> {
    (0..LOOKS.len() * pairs()).filter_map(made)
}

/// How many pairs of two different first words there are.
fn pairs() -> usize {
    first_words().len() * (first_words().len() - 1)
}

/// The words of this pair.
fn words(pair: usize) -> [&'static str; 2] {
    let others = first_words().len() - 1;
    let (first, second) = (pair / others, pair % others);
    let second = if second < first { second } else { second + 1 };
    [first, second].map(|place| first_words()[place].as_str())
}

/// The product of this number; none where its name would read badly.
fn made(number: usize) -> Option<SeedProduct> {
    let place = number % LOOKS.len();
    let (range, look) = &LOOKS[place];
    let words = words((number / LOOKS.len() * STRIDE + place * APART) % pairs());
    let noun = look.noun();
    if words.iter().any(|word| noun.contains(word)) {
        return None;
    }
    let mut random = SplitMix::of_number(SEED, number as u64);
    let description = description(&mut random, range, look);
    // No default SKU is like these: after its first hyphen stands a colour's code, which is no number.
    let letters: String = words.iter().filter_map(|word| word.chars().next()).chain(look.initials()).collect();
    let code = || format!("{}-{number}", letters.to_ascii_uppercase());
    Some(product(&mut random, look, format!("{} {noun}", words.join(" ")), description, code))
}

/// Three sentences. With more products than combinations others may have the same.
fn description(random: &mut SplitMix, range: &'static Range, look: &Look) -> String {
    let about_pattern = look.about_pattern();
    let is_about_pattern = !about_pattern.is_empty() && random.percent(ABOUT_PATTERN);
    let last = if is_about_pattern { about_pattern } else { &range.closings };
    let sentences: [&[String]; 3] = [&look.style.openings, &look.style.fabric(look.place).lines, last];
    sentences.map(|lines| lines[random.below(u32::try_from(lines.len()).unwrap_or(1)) as usize].as_str()).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_words_comes_once_before_one_comes_again() {
        let mut of_one_look: Vec<_> = (0..pairs()).map(|round| words(round * STRIDE % pairs())).collect();
        of_one_look.sort_unstable();
        of_one_look.dedup();
        assert_eq!(of_one_look.len(), pairs());
        assert!(of_one_look.iter().all(|[first, second]| first != second));
        // One in a hundred may read badly.
        assert!(LOOKS.len() * pairs() / 100 * 99 > crate::seed::MOST, "{} looks, {} pairs", LOOKS.len(), pairs());
    }

    /// Then no two products have the same name or the same address, however many there are: the words before a noun are two
    /// here, and one in a default product.
    #[test]
    fn no_noun_is_another_one_with_a_word_before_it() {
        let address = |name: &str| name.to_ascii_lowercase().replace(' ', "-");
        let nouns: HashSet<_> = LOOKS.iter().map(|(_, look)| address(look.noun())).collect();
        assert_eq!(nouns.len(), LOOKS.len());
        for word in first_words() {
            assert!(word.bytes().all(|byte| byte.is_ascii_alphabetic()), "{word}");
            for noun in &nouns {
                let longer = address(&format!("{word} {noun}"));
                assert!(!nouns.contains(&longer), "{longer}");
            }
        }
    }

    #[test]
    fn a_product_depends_on_its_number_alone() {
        let forwards: Vec<_> = products().take(1_000).collect();
        let mut backwards: Vec<_> = (0..1_100).rev().filter_map(made).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards[..1_000]);
    }
}
