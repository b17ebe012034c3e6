//! What the shop knows of English: which words say nothing, which mean the same, what a word's stem is.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use serde::Deserialize;

use super::tokens::{Token, tokens};

/// The words' files: English, and what shoppers type of other languages.
const FILES: [&str; 2] = [include_str!("../../../words/en.toml"), include_str!("../../../words/de.toml")];

/// The language in which the shop is searched.
pub fn english() -> &'static English {
    static READ: LazyLock<English> = LazyLock::new(|| English::read(&FILES));
    &READ
}

/// A language's words; they are folded, as [`tokens`] leaves them.
pub struct English {
    stemmer: Stemmer,
    /// Words that a search goes without.
    stop: HashSet<String>,
    /// Stems that no rule finds.
    irregular: HashMap<String, String>,
    /// By stem: the meaning that it shares with others.
    meanings: HashMap<String, String>,
    /// The same for two words that stand side by side.
    phrases: HashMap<(String, String), String>,
    /// The words that have a meaning, as they are written.
    written: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    stop: Vec<String>,
    #[serde(default)]
    audience: HashMap<String, Vec<String>>,
    #[serde(default)]
    synonyms: Vec<Vec<String>>,
    #[serde(default)]
    irregular: HashMap<String, String>,
}

impl English {
    fn read(files: &[&str]) -> Self {
        let mut read = Self {
            stemmer: Stemmer::create(Algorithm::English),
            stop: HashSet::new(),
            irregular: HashMap::new(),
            meanings: HashMap::new(),
            phrases: HashMap::new(),
            written: Vec::new(),
        };
        let files: Vec<File> = files.iter().map(|file| toml::from_str(file).expect("a file of words")).collect();
        for file in &files {
            read.stop.extend(file.stop.iter().filter_map(|word| single(word)));
            let irregular = file.irregular.iter().filter_map(|(word, stem)| Some((single(word)?, single(stem)?)));
            read.irregular.extend(irregular);
        }
        for file in &files {
            for (audience, words) in &file.audience {
                words.iter().for_each(|word| read.means(word, audience));
            }
            for group in &file.synonyms {
                // A word of a group that is known already, say in another language, is what that one means.
                let meaning = group.iter().find_map(|word| read.meaning_of(word)).unwrap_or_else(|| group[0].clone());
                group.iter().for_each(|word| read.means(word, &meaning));
            }
        }
        read
    }

    fn means(&mut self, word: &str, meaning: &str) {
        match &words(word)[..] {
            [word] => {
                self.meanings.insert(self.stem(word), meaning.to_owned());
                self.written.push(word.clone());
            }
            [first, second] => drop(self.phrases.insert((self.stem(first), self.stem(second)), meaning.to_owned())),
            words => unreachable!("{words:?} is more than two words"),
        }
    }

    fn meaning_of(&self, word: &str) -> Option<String> {
        match &words(word)[..] {
            [word] => self.meaning(&self.stem(word)).map(str::to_owned),
            [first, second] => self.phrase(&self.stem(first), &self.stem(second)).map(str::to_owned),
            _ => None,
        }
    }

    /// Whether a search goes without this word, if it has others.
    pub fn is_stop(&self, word: &str) -> bool {
        self.stop.contains(word)
    }

    /// What is the same for the forms of a word: Porter's English stemmer (Snowball, 2001), and a table for what it doesn't
    /// know.
    pub fn stem(&self, word: &str) -> String {
        if let Some(stem) = self.irregular.get(word) {
            return stem.clone();
        }
        if word.len() <= 3 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return word.to_owned();
        }
        self.stemmer.stem(word).into_owned()
    }

    /// What a word of this stem means, if others mean the same.
    pub fn meaning(&self, stem: &str) -> Option<&str> {
        self.meanings.get(stem).map(String::as_str)
    }

    /// The words with a meaning that differ from `word` in one letter, or in two that changed places.
    pub fn near(&self, word: &str) -> impl Iterator<Item = &str> {
        self.written.iter().map(String::as_str).filter(move |known| is_near(word, known))
    }

    /// What two words of these stems mean side by side.
    pub fn phrase(&self, first: &str, second: &str) -> Option<&str> {
        if self.phrases.is_empty() {
            return None;
        }
        self.phrases.get(&(first.to_owned(), second.to_owned())).map(String::as_str)
    }
}

/// Whether one letter was left out, added, replaced, or changed places with the next (Damerau, 1964).
fn is_near(one: &str, other: &str) -> bool {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[same..], &other[same..]);
    match (one, other) {
        ([], [_]) | ([_], []) => true,
        ([a, b, one @ ..], [c, d, other @ ..]) if (a, b) == (d, c) && one == other => true,
        ([_, one @ ..], [_, other @ ..]) if one == other => true,
        ([_, rest @ ..], other) if rest == other => true,
        (one, [_, rest @ ..]) => one == rest,
        _ => false,
    }
}

fn words(text: &str) -> Vec<String> {
    let words = tokens(text).into_iter().map(|token| match token {
        Token::Word(word) | Token::Pair(word) => word,
        // As it is indexed.
        Token::Compound(parts) => parts.concat(),
    });
    words.collect()
}

fn single(text: &str) -> Option<String> {
    words(text).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_have_one_stem() {
        let english = english();
        for forms in [
            &["hoodie", "hoodies"][..],
            &["beanie", "beanies"],
            &["scarf", "scarves"],
            &["dress", "dresses"],
            &["shoe", "shoes"],
            &["woman", "women"],
            &["stripe", "striped", "stripes"],
            &["rib", "ribbed"],
        ] {
            let stems: HashSet<_> = forms.iter().map(|form| english.stem(form)).collect();
            assert_eq!(stems.len(), 1, "{forms:?}: {stems:?}");
        }
        for (one, other) in [("leggings", "leg"), ("shirt", "skirt"), ("coat", "cotton"), ("jeans", "jersey")] {
            assert_ne!(english.stem(one), english.stem(other));
        }
    }

    #[test]
    fn one_letter_may_be_wrong() {
        for near in ["sweter", "swaeter", "sweateer", "sweeter", "weater", "sweate"] {
            assert!(english().near(near).any(|word| word == "sweater"), "{near}");
        }
        for far in ["sweater", "swetr", "sewater2", "s"] {
            assert!(english().near(far).all(|word| word != "sweater"), "{far}");
        }
    }

    #[test]
    fn words_of_one_meaning_are_known_by_their_forms_too() {
        let english = english();
        let meaning = |word: &str| english.meaning(&english.stem(word));
        for (one, other) in [("jumpers", "sweater"), ("pants", "trousers"), ("gray", "grey"), ("ladies", "women")] {
            assert!(meaning(one).is_some() && meaning(one) == meaning(other), "{one}: {:?}", meaning(one));
        }
        assert_ne!(meaning("men"), meaning("women"));
    }
}
