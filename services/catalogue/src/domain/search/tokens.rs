//! A text's words, folded: case, accents and the ways to write a letter don't matter.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Letters of a word that count.
const MAX_WORD: usize = 40;

/// What a text is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Letters and digits.
    Word(String),
    /// Words with hyphens between them, as in "t-shirt".
    Compound(Vec<String>),
    /// Two letters that stand side by side in a script that puts no spaces between words, or one that stands alone.
    Pair(String),
}

/// The tokens of `text`, in their order.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader::default();
    for letter in text.nfkd().filter(|letter| !is_combining_mark(*letter)) {
        reader.read(letter);
    }
    reader.end();
    reader.tokens
}

#[derive(Default)]
struct Reader {
    tokens: Vec<Token>,
    /// The words of a compound before this one.
    parts: Vec<String>,
    word: String,
    letters: usize,
    /// Where in the word an apostrophe stands.
    apostrophe: Option<usize>,
    unspaced: Vec<char>,
}

impl Reader {
    fn read(&mut self, letter: char) {
        if is_unspaced(letter) {
            self.end_compound();
            self.unspaced.push(letter);
            return;
        }
        self.end_unspaced();
        match letter {
            '\'' | '’' | '‘' | 'ʼ' if !self.word.is_empty() => self.apostrophe = Some(self.word.len()),
            '-' | '‐' | '‑' if !self.word.is_empty() => self.end_word(),
            letter if letter.is_alphanumeric() => {
                for lower in letter.to_lowercase() {
                    self.push(lower);
                }
            }
            _ => self.end_compound(),
        }
    }

    fn push(&mut self, letter: char) {
        let letters = match letter {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            'ø' => "o",
            'ł' => "l",
            'đ' | 'ð' => "d",
            'þ' => "th",
            'ħ' => "h",
            'ı' => "i",
            // What a letter becomes in lower case may have a mark of its own.
            letter if letter.is_alphanumeric() => {
                if self.letters < MAX_WORD {
                    self.word.push(letter);
                    self.letters += 1;
                }
                return;
            }
            _ => return,
        };
        if self.letters < MAX_WORD {
            self.word.push_str(letters);
            self.letters += letters.len();
        }
    }

    /// A possessive is the word that possesses: women's is women.
    fn end_word(&mut self) {
        if let Some(at) = self.apostrophe.take()
            && matches!(&self.word[at..], "s")
        {
            self.word.truncate(at);
        }
        self.letters = 0;
        if !self.word.is_empty() {
            self.parts.push(std::mem::take(&mut self.word));
        }
    }

    fn end_compound(&mut self) {
        self.end_word();
        match self.parts.len() {
            0 => {}
            1 => self.tokens.extend(self.parts.drain(..).map(Token::Word)),
            _ => self.tokens.push(Token::Compound(std::mem::take(&mut self.parts))),
        }
    }

    fn end_unspaced(&mut self) {
        match self.unspaced.as_slice() {
            [] => return,
            [letter] => self.tokens.push(Token::Pair(letter.to_string())),
            letters => self.tokens.extend(letters.windows(2).map(|pair| Token::Pair(pair.iter().collect()))),
        }
        self.unspaced.clear();
    }

    fn end(&mut self) {
        self.end_unspaced();
        self.end_compound();
    }
}

/// Scripts without spaces between words: Han, Hiragana, Katakana, Thai, Lao, Khmer and Burmese.
fn is_unspaced(letter: char) -> bool {
    matches!(letter,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{3007}' |
        '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' |
        '\u{20000}'..='\u{3ffff}')
        && (letter.is_alphabetic() || letter == 'ー')
}

/// The text of a description that was sanitised: what blocks separate stays separate, and entities are what they mean.
pub fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('<') {
            let Some(end) = rest.find('>') else { break };
            let name = rest[1..end].trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
            if !matches!(name.to_ascii_lowercase().as_str(), "strong" | "em") {
                text.push(' ');
            }
            rest = &rest[end + 1..];
        } else {
            let (letter, length) = entity(rest).unwrap_or(('&', 1));
            text.push(letter);
            rest = &rest[length..];
        }
    }
    text + rest
}

/// The entities that the sanitiser writes, and those by number: the letter and how many bytes it is written in.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(12).position(|byte| byte == b';')?;
    let letter = match &text[1..end] {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "nbsp" => ' ',
        number => {
            let number = number.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((letter, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> String {
        let words = tokens(text).into_iter().map(|token| match token {
            Token::Word(word) => word,
            Token::Compound(parts) => parts.join("-"),
            Token::Pair(pair) => format!("[{pair}]"),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_ways_to_write_a_letter_do_not_matter() {
        for (text, read) in [
            ("Crêpe DRESSES & jeans", "crepe dresses jeans"),
            ("weiße Bluse, Straße", "weisse bluse strasse"),
            ("Łódź Øresund Ærø", "lodz oresund aero"),
            ("women's men’s d'orsay rock'n'roll", "women men dorsay rocknroll"),
            ("the girls' T-Shirt - long--sleeve -x-", "the girls t-shirt long sleeve x"),
            ("シャツ と 服 M", "[シャ] [ャツ] [と] [服] m"),
            ("ｓｈｉｒｔ ﬁne ½", "shirt fine 1 2"),
            ("İstanbul", "istanbul"),
            ("- ' ’ !", ""),
        ] {
            assert_eq!(words(text), read, "{text}");
        }
    }

    #[test]
    fn blocks_separate_words_and_entities_are_what_they_mean() {
        let html =
            "<ul><li>Machine wash</li><li>Do not bleach</li></ul>lin<em>en</em>&nbsp;&amp; x&#x2019;s &#233; 1 < 2";
        assert_eq!(words(&plain(html)), "machine wash do not bleach linen x e 1 2");
        assert_eq!(plain("a &unknown; b &"), "a &unknown; b &");
        assert_eq!(words(&plain("fish&nbsp;net")), "fish net");
    }

    proptest! {
        #[test]
        fn tokens_are_short_and_of_letters_and_digits(text in "\\PC{0,80}") {
            for token in tokens(&plain(&text)) {
                let parts = match token {
                    Token::Word(word) => vec![word],
                    Token::Compound(parts) => { prop_assert!(parts.len() > 1); parts }
                    Token::Pair(pair) => { prop_assert!((1..=2).contains(&pair.chars().count())); continue }
                };
                for word in parts {
                    prop_assert!((1..=MAX_WORD + 1).contains(&word.chars().count()), "{word:?}");
                    prop_assert!(word.chars().all(char::is_alphanumeric), "{word:?}");
                }
            }
        }
    }
}
