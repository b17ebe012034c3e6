//! The words by which the release before this one finds products in the database; written as long as it may still run.

use unicode_normalization::UnicodeNormalization as _;

/// Letters of a word that count.
const MAX_WORD: usize = 40;

/// A text's words, in lower case and without accents, plurals folded into singulars (Harman's S-stemmer, 1991, without its
/// exceptions for rare endings and with one for "dresses").
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(word)
        .filter(|w| !w.is_empty())
}

/// What is indexed of a text.
pub fn indexed(text: &str) -> String {
    words(text).collect::<Vec<_>>().join(" ")
}

fn word(text: &str) -> String {
    let plain: String = text
        .nfkd()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .filter(|letter| letter.is_alphanumeric())
        .take(MAX_WORD)
        .collect();
    singular(&plain)
}

fn singular(word: &str) -> String {
    let long_enough = word.chars().count() > 3;
    match word {
        _ if !long_enough || word.ends_with("ss") || word.ends_with("us") => word.to_owned(),
        _ if ["sses", "shes", "ches", "xes"].iter().any(|end| word.ends_with(end)) => word[..word.len() - 2].to_owned(),
        _ if word.ends_with("ies") => format!("{}y", &word[..word.len() - 3]),
        _ => word.strip_suffix('s').unwrap_or(word).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_case_and_plurals_do_not_matter() {
        assert_eq!(indexed("Crêpe DRESSES, jeans & berries"), "crepe dress jean berry");
        assert_eq!(indexed("dress"), "dress");
        assert_eq!(indexed(" !? "), "");
    }
}
