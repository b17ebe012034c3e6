//! What is the same to people: case and accents don't matter.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A size or colour without its case: "Black" and "BLACK" are one.
pub fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

/// By what titles are sorted as people sort: é beside e, in any case, whatever stands between words.
pub fn sort_key(title: &str) -> String {
    let plain = title.nfkd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase);
    let spaced: String = plain.map(|letter| if letter.is_alphanumeric() { letter } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_stand_where_people_look_for_them() {
        let right = ["Ábel", "abel shirt", "Éclair", "eden-coat", "Eden Dress", "Zoë", "Ωmega"];
        let mut sorted = right;
        sorted.reverse();
        sorted.sort_by_key(|title| sort_key(title));
        assert_eq!(sorted, right);
    }
}
