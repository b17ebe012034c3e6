//! What somebody looks for.

use super::language::{English, english};
use super::tokens::{Token, tokens};

/// Words of a query that are looked for; more only cost time.
const MAX_WORDS: usize = 8;

/// The words of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// As it was typed, without spaces around it.
    pub typed: String,
    /// 1 to 8.
    pub words: Vec<Word>,
}

/// A word that is looked for, or two that mean one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// It, folded; of a compound ("t-shirt") without hyphens.
    pub form: String,
    /// What its forms have in common.
    pub stem: String,
    /// What it means, if other words mean the same.
    pub meaning: Option<String>,
    /// Of a compound, its words.
    pub parts: Vec<Self>,
    /// Whether it may be the beginning of a word: the last one.
    pub is_last: bool,
    /// Whether it is of a script without spaces.
    pub is_pair: bool,
}

impl Query {
    /// Reads a query; `None` if it has no word at all.
    pub fn parse(text: &str) -> Option<Self> {
        let english = english();
        let mut words: Vec<_> = tokens(text).into_iter().map(|token| Word::of(token, english)).collect();
        let mut at = 0;
        while at + 1 < words.len() {
            match english.phrase(&words[at].stem, &words[at + 1].stem) {
                Some(meaning) => {
                    let second = words.remove(at + 1);
                    let first = std::mem::take(&mut words[at]);
                    let form = format!("{} {}", first.form, second.form);
                    let (stem, meaning) = (form.clone(), Some(meaning.to_owned()));
                    words[at] = Word { form, stem, meaning, parts: vec![first, second], ..Word::default() };
                }
                None => at += 1,
            }
        }
        let says = |word: &Word| !english.is_stop(&word.form);
        if words.iter().any(says) {
            words.retain(says);
        }
        words.truncate(MAX_WORDS);
        let last = words.last_mut()?;
        last.is_last = !last.is_pair && last.parts.is_empty() && text.ends_with(char::is_alphanumeric);
        Some(Self { typed: text.trim().to_owned(), words })
    }
}

impl Word {
    fn of(token: Token, english: &English) -> Self {
        match token {
            Token::Word(form) => Self::single(form, english),
            Token::Pair(form) => Self { stem: form.clone(), form, is_pair: true, ..Self::default() },
            Token::Compound(parts) => {
                let joined = Self::single(parts.concat(), english);
                let parts: Vec<_> = parts.into_iter().map(|part| Self::single(part, english)).collect();
                Self { parts, ..joined }
            }
        }
    }

    /// A word without hyphens.
    pub fn single(form: String, english: &English) -> Self {
        let stem = english.stem(&form);
        let meaning = english.meaning(&stem).map(str::to_owned);
        Self { form, stem, meaning, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn forms(text: &str) -> Vec<String> {
        Query::parse(text).map(|query| query.words.into_iter().map(|word| word.form).collect()).unwrap_or_default()
    }

    #[test]
    fn words_that_say_nothing_are_left_out_unless_there_are_no_others() {
        assert_eq!(forms("Hoodie for women"), ["hoodie", "women"]);
        assert_eq!(forms("the"), ["the"]);
        assert_eq!(forms(" !? "), [""; 0]);
        assert_eq!(forms("long-sleeve T-Shirt"), ["longsleeve", "tshirt"]);
    }

    #[test]
    fn the_last_word_may_be_a_beginning_unless_something_stands_behind_it() {
        let is_last = |text: &str| Query::parse(text).unwrap().words.last().unwrap().is_last;
        assert_eq!(
            [is_last("line shi"), is_last("linen shirt "), is_last("t-sh"), is_last("シャツ")],
            [true, false, false, false]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            prop_assert!(forms(&text).len() <= MAX_WORDS);
        }
    }
}
