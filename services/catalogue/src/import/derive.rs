//! What a feed doesn't say in our words, derived from what it does say: category, audience, composition, drawing.

use super::name;
use super::words::{category_of, colour, cut, garment, is_fibre, is_women, pattern, words};
use crate::domain::product::{Audience, Picture};
use crate::seed;

/// Letters of a description that are looked at: what a product is stands at the beginning.
const LOOKED_AT: usize = 1_000;

/// Hues for names that mean no colour we know: the same name gets the same one in each import.
const UNKNOWN: [&str; 8] = ["26324a", "5c6b47", "b0765a", "66737f", "a8543b", "9db8d2", "6d3049", "98a58a"];

/// A product's texts in words.
pub(super) struct Hints {
    title: Vec<String>,
    kind: Vec<String>,
    tags: Vec<String>,
    body: Vec<String>,
}

impl Hints {
    pub(super) fn new(title: &str, kind: &str, tags: &[String], description_html: &str) -> Self {
        Self {
            title: words(title),
            kind: words(kind),
            tags: tags.iter().flat_map(|tag| words(tag)).collect(),
            body: words(&plain(description_html)),
        }
    }

    fn garment(&self) -> Option<&'static str> {
        named_garment(&self.title)
            .or_else(|| last_garment(&self.kind))
            .or_else(|| last_garment(&self.tags))
            .or_else(|| garments(&self.body).next())
    }

    /// The category's slug and title: one of ours if type, tags or title mean a garment, one named after the type
    /// if not.
    pub(super) fn category(&self, kind: &str) -> (String, String) {
        let of_kind = last_garment(&self.kind).or_else(|| last_garment(&self.tags));
        if let Some(garment) = of_kind.or_else(|| named_garment(&self.title)) {
            return ours(category_of(garment));
        }
        let slug = name::slug(kind);
        if slug.is_empty() {
            return self.garment().map_or_else(|| ("more".into(), "More".into()), |garment| ours(category_of(garment)));
        }
        (slug, kind.trim().chars().take(60).collect())
    }

    /// For whom it is: said by `gender` (a column of its own), tags, type, title or description.
    pub(super) fn audience(&self, gender: &str) -> Audience {
        let gender = words(gender);
        for text in [&gender, &self.tags, &self.kind, &self.title, &self.body] {
            let said: Vec<bool> = text.iter().filter_map(|word| is_women(word)).collect();
            match (said.contains(&true), said.contains(&false)) {
                (true, false) => return Audience::Women,
                (false, true) => return Audience::Men,
                (true, true) => return Audience::Everyone,
                (false, false) if text.iter().any(|word| word == "unisex") => return Audience::Everyone,
                (false, false) => {}
            }
        }
        Audience::Everyone
    }

    /// The colours that its texts name, the title's first.
    fn colours(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let texts = [&self.title, &self.tags, &self.body];
        texts.into_iter().flatten().filter_map(|word| Some((word.as_str(), colour(word)?)))
    }

    /// A colour's name for a product that has no option for it.
    pub(super) fn colour(&self) -> String {
        let Some((word, _)) = self.colours().next() else { return "One colour".into() };
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    }

    /// What is drawn of a product whose first variant has the colour `main`.
    pub(super) fn picture(&self, main: &str) -> Picture {
        let garment = self.garment().unwrap_or(Picture::FALLBACK);
        let said = [&self.title, &self.kind, &self.tags];
        let pattern = said.into_iter().chain([&self.body]).flatten().find_map(|word| pattern(word));
        // Only where a word is about the whole: a description speaks of long sleeves and wide collars.
        let cut = said.into_iter().find_map(|text| {
            let after = text.iter().skip(1).map(String::as_str).chain([""]);
            text.iter().zip(after).find_map(|(word, after)| cut(word, after))
        });
        let second = self.colours().map(|(_, hex)| hex).find(|hex| *hex != main);
        let plain = if garment == "jeans" { "denim" } else { "plain" };
        Picture {
            garment: garment.into(),
            cut: cut.unwrap_or("regular").into(),
            pattern: pattern.unwrap_or(plain).into(),
            accent: second.unwrap_or(if is_pale(main) { "2f4b6e" } else { "f2ede4" }).into(),
        }
    }

    /// A composition that the description gives, like "80 % wool, 20 % nylon"; empty if it gives none.
    pub(super) fn material(&self, description_html: &str) -> String {
        let text = plain(description_html);
        let parts = text.match_indices('%').take(8).filter_map(|(at, _)| {
            let number = text[..at].trim_end();
            let number = &number[number.len() - number.bytes().rev().take_while(u8::is_ascii_digit).count()..];
            let share: u32 = number.parse().ok().filter(|share| (1..=100).contains(share))?;
            let after: Vec<_> = words(&text[at + 1..]).into_iter().take(3).collect();
            let first = after.iter().position(|word| is_fibre(word))?;
            let fibres = after[first..].iter().take_while(|word| is_fibre(word)).count();
            Some(format!("{share} % {}", after[..first + fibres].join(" ")))
        });
        parts.collect::<Vec<_>>().join(", ").chars().take(200).collect()
    }
}

/// The hexadecimal digits of a colour's name; names that we don't know get one of a few quiet hues.
pub(super) fn hex(name: &str) -> String {
    let words = words(name);
    let Some(known) = words.iter().find_map(|word| colour(word)) else {
        let sum = name.to_lowercase().bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        return UNKNOWN[sum % UNKNOWN.len()].into();
    };
    let has = |wanted: [&str; 2]| words.iter().any(|word| wanted.contains(&word.as_str()));
    match () {
        () if has(["light", "pale"]) => mixed(known, 255, 45),
        () if has(["dark", "deep"]) => mixed(known, 0, 35),
        () => known.into(),
    }
}

/// A colour with `percent` of `with` (0 black, 255 white).
fn mixed(hex: &str, with: u32, percent: u32) -> String {
    let part = |at: usize| (channel(hex, at) * (100 - percent) + with * percent) / 100;
    format!("{:02x}{:02x}{:02x}", part(0), part(2), part(4))
}

fn channel(hex: &str, at: usize) -> u32 {
    hex.get(at..at + 2).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// By its luma (ITU-R BT.601).
fn is_pale(hex: &str) -> bool {
    channel(hex, 0) * 299 + channel(hex, 2) * 587 + channel(hex, 4) * 114 > 165_000
}

/// A category of the shop by its slug, under the name that the shop has for it.
pub(super) fn ours(slug: &str) -> (String, String) {
    let known = seed::categories().iter().find(|category| category.slug == slug);
    let title = known.map_or_else(|| capital(slug), |category| category.name.into());
    (slug.into(), title)
}

fn capital(slug: &str) -> String {
    let text = slug.replace('-', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn garments(words: &[String]) -> impl DoubleEndedIterator<Item = &'static str> {
    let at = |index: usize| {
        let before = if index == 0 { "" } else { words[index - 1].as_str() };
        garment(before, &words[index])
    };
    (0..words.len()).filter_map(at)
}

fn last_garment(words: &[String]) -> Option<&'static str> {
    garments(words).next_back()
}

/// A title's head noun stands last, before what it comes with: "Denim Shirt Dress", "Striped Skirt and Top".
fn named_garment(title: &[String]) -> Option<&'static str> {
    let head = title.iter().position(|word| matches!(word.as_str(), "and" | "with" | "in" | "for"));
    last_garment(&title[..head.unwrap_or(title.len())]).or_else(|| last_garment(title))
}

/// A description's beginning without its tags.
fn plain(html: &str) -> String {
    let mut is_tag = false;
    let mut text = String::new();
    for letter in html.chars() {
        match letter {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                text.push(' ');
            }
            _ if !is_tag => text.push(letter),
            _ => {}
        }
        if text.len() >= LOOKED_AT {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(title: &str, kind: &str, tags: &str, body: &str) -> Hints {
        Hints::new(title, kind, &[tags.to_owned()], body)
    }

    #[test]
    fn titles_say_what_is_drawn() {
        let drawn = |title: &str, body: &str| {
            let Picture { garment, cut, pattern, .. } = of(title, "", "", body).picture("222225");
            format!("{garment} {cut} {pattern}")
        };
        assert_eq!(drawn("Striped Silk Blouse", ""), "blouse regular stripe");
        assert_eq!(drawn("Denim Shirt Dress", ""), "dress regular denim");
        assert_eq!(drawn("Striped Skirt and Top", ""), "skirt regular stripe");
        assert_eq!(drawn("LED High Tops", ""), "sneakers regular plain");
        assert_eq!(drawn("Long Sleeve Cotton Top", ""), "tshirt regular plain");
        assert_eq!(drawn("Maxi Dress", "with <b>floral</b> print"), "dress long floral");
        assert_eq!(drawn("Slim T-Shirt", ""), "tshirt slim plain");
        assert_eq!(drawn("The Classic", "A pair of boots"), "boots regular plain");
        assert_eq!(drawn("Skinny Jeans", ""), "jeans slim denim");
    }

    #[test]
    fn categories_are_ours_where_they_can_be() {
        let category = |title: &str, kind: &str, tags: &str| of(title, kind, tags, "").category(kind).0;
        assert_eq!(category("Harbour", "Sweaters", ""), "knitwear");
        assert_eq!(category("Harbour", "Apparel", "coats, new"), "coats");
        assert_eq!(category("Ocean Blue Shirt", "", "men"), "shirts");
        assert_eq!(category("Fig", "Scented Candles", ""), "scented-candles");
        assert_eq!(category("Fig", "", ""), "more");
        assert_eq!(of("", "T-Shirts", "", "").category("T-Shirts"), ("t-shirts".into(), "T-shirts".into()));
    }

    #[test]
    fn audience_colours_and_composition_are_read() {
        assert_eq!(of("", "", "men", "").audience(""), Audience::Men);
        assert_eq!(of("Women's Tee", "", "", "").audience(""), Audience::Women);
        assert_eq!(of("Women's Tee", "", "", "").audience("unisex"), Audience::Everyone);
        assert_eq!(of("Ocean Blue Shirt", "", "", "with white dots").colour(), "Blue");
        assert_eq!(of("Ocean Blue Shirt", "", "", "with white dots").picture("2f5b8a").accent, "f6f3ec");
        assert_eq!(
            (hex("Light Blue"), hex("navy"), hex("Xyz") == hex("xyz")),
            ("8ca4be".into(), "28385a".into(), true)
        );
        let body = "<p>80% merino wool, 20 % nylon. 30% off!</p>";
        assert_eq!(of("", "", "", body).material(body), "80 % merino wool, 20 % nylon");
    }
}
