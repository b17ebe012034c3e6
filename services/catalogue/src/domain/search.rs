//! The words by which products are found. Both databases index and look for the same words, made here, so that a search
//! finds the same on either.

use unicode_normalization::UnicodeNormalization as _;

/// Words of a query that are looked for; more only cost time.
const MAX_QUERY_WORDS: usize = 8;
/// Letters of a word that count.
const MAX_WORD: usize = 40;

/// A text's words, in lower case and without accents, plurals folded into singulars (Harman's S-stemmer, 1991, without its
/// exceptions for rare endings and with one for "dresses").
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(word)
        .filter(|w| !w.is_empty())
}

/// What is indexed of a text.
pub fn indexed(text: &str) -> String {
    words(text).collect::<Vec<_>>().join(" ")
}

/// What a query looks for: each word must occur, the last one as a beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
}

impl Query {
    /// Reads a query; `None` if it has no word at all.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = words(text).take(MAX_QUERY_WORDS).collect();
        (!words.is_empty()).then_some(Self { words })
    }

    /// For PostgreSQL's `to_tsquery`. Words are letters and digits only, so nothing in them can be an operator.
    pub fn tsquery(&self) -> String {
        format!("{}:*", self.words.join(" & "))
    }

    /// For SQLite's FTS5. Each word is quoted, so that none of them is a keyword.
    pub fn fts5(&self) -> String {
        let quoted: Vec<_> = self.words.iter().map(|word| format!("\"{word}\"")).collect();
        format!("{} *", quoted.join(" AND "))
    }
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accents_case_and_plurals_do_not_matter() {
        assert_eq!(indexed("Crêpe DRESSES, jeans & berries"), "crepe dress jean berry");
        assert_eq!(indexed("dress"), "dress");
        assert_eq!(Query::parse("Linen Shirts").unwrap().tsquery(), "linen & shirt:*");
        assert_eq!(Query::parse("linen sh").unwrap().fts5(), "\"linen\" AND \"sh\" *");
        assert_eq!(Query::parse(" !? "), None);
    }

    proptest! {
        #[test]
        fn no_query_holds_an_operator(text in "\\PC*|['\"&|!():*<> \\x00-]{0,40}") {
            if let Some(query) = Query::parse(&text) {
                prop_assert!(query.words.len() <= MAX_QUERY_WORDS);
                for word in &query.words {
                    prop_assert!(word.chars().all(char::is_alphanumeric), "{word:?}");
                }
            }
        }

        /// A word that is indexed is found by itself.
        #[test]
        fn what_is_indexed_is_found(text in "\\PC{1,60}") {
            let indexed: Vec<_> = words(&text).collect();
            for word in words(&text).take(MAX_QUERY_WORDS) {
                prop_assert!(indexed.contains(&word));
            }
        }
    }
}
