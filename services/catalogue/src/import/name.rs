//! Slugs and SKUs made of what a feed calls things.

use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

const MAX_SLUG: usize = 120;
const MAX_SKU: usize = 64;
/// Eight hexadecimal digits and a hyphen.
const MARK: usize = 9;

/// A slug for a handle or title: lower case, accents taken off, everything else a single hyphen. Empty if nothing is
/// left.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.nfkd().filter(|letter| !is_accent(*letter)) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') && !matches!(letter, '\'' | '’') {
            slug.push('-');
        }
        if slug.len() == MAX_SLUG {
            break;
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

fn is_accent(letter: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&letter)
}

/// A feed's own SKU in our letters: upper case, what is foreign as a hyphen. Spreadsheets put an apostrophe before
/// numbers; it isn't part of them.
pub(super) fn sku(text: &str) -> Result<String, String> {
    let text = text.trim().trim_start_matches('\'');
    let sku: String = text.to_uppercase().chars().map(ours).collect();
    match sku.len() {
        1..=MAX_SKU => Ok(sku),
        0 => Err("must have a letter or digit".into()),
        _ => Err(format!("must be at most {MAX_SKU} characters")),
    }
}

fn ours(letter: char) -> char {
    let ours = letter.is_ascii_uppercase() || letter.is_ascii_digit() || matches!(letter, '-' | '.' | '_' | '/');
    if ours { letter } else { '-' }
}

/// A SKU for a variant that has none: its product and its options, between slashes. A slug has no slash, so two products
/// never meet. Where letters had to be changed or the end cut off, a mark made of the whole keeps variants apart. The
/// same variant gets the same SKU in each import.
pub(super) fn derived_sku(slug: &str, options: &[&str]) -> String {
    let whole = std::iter::once(slug).chain(options.iter().copied()).collect::<Vec<_>>().join("/");
    let upper = whole.to_uppercase();
    let sku: String = upper.chars().map(ours).collect();
    let is_exact = upper.chars().zip(sku.chars()).all(|(was, is)| was == is || was == ' ')
        && options.iter().all(|option| !option.contains(['/', '-']));
    if is_exact && sku.len() <= MAX_SKU {
        return sku;
    }
    let digest = Sha256::digest(whole.as_bytes());
    let mark: String = digest.iter().take(4).map(|byte| format!("{byte:02X}")).collect();
    format!("{}-{mark}", &sku[..sku.len().min(MAX_SKU - MARK)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::product::{is_sku, is_slug};

    #[test]
    fn names_stay_legible() {
        assert_eq!(slug("Crêpe Dress — Women's"), "crepe-dress-womens");
        assert_eq!(slug("__"), "");
        assert_eq!(sku("'00123 b"), Ok("00123-B".into()));
        assert_eq!(derived_sku("varsity-top", &["Small"]), "VARSITY-TOP/SMALL");
        assert_eq!(derived_sku("varsity-top", &["Light Blue", "M"]), "VARSITY-TOP/LIGHT-BLUE/M");
        assert_eq!(derived_sku("shirt", &[]), "SHIRT");
        assert_ne!(derived_sku("shirt", &["a-b"]), derived_sku("shirt", &["a b"]));
        assert_ne!(derived_sku("shirt", &["7½"]), derived_sku("shirt", &["7¼"]));
    }

    proptest! {
        #[test]
        fn whatever_is_made_is_in_the_alphabet(text in "\\PC{0,300}", option in "\\PC{0,90}") {
            let slug = slug(&text);
            prop_assert!(slug.is_empty() || is_slug(&slug), "{}", slug);
            if let Ok(sku) = sku(&text) {
                prop_assert!(is_sku(&sku), "{}", sku);
            }
            if !slug.is_empty() {
                prop_assert!(is_sku(&derived_sku(&slug, &[&option])));
            }
        }

        #[test]
        fn variants_that_differ_have_skus_that_differ(a in "[a-z -]{1,20}", b in "[a-z -]{1,20}") {
            prop_assume!(a != b);
            prop_assert_ne!(derived_sku("shirt", &[&a]), derived_sku("shirt", &[&b]));
        }
    }
}
