//! The speeds of delivery, as the form and the page name them.

use selvage_proto::delivery::v1::Speed;

/// A speed, with its word in the form and its name on the page.
const SPEEDS: [(Speed, &str, &str); 2] =
    [(Speed::Standard, "standard", "Standard"), (Speed::Express, "express", "Express")];

/// The word for a speed in the form; that of standard delivery for one that isn't specified.
pub fn word(speed: Speed) -> &'static str {
    known(|(known, ..)| *known == speed).1
}

/// The name of a speed on the page; that of standard delivery for one that isn't specified.
pub fn label(speed: Speed) -> &'static str {
    known(|(known, ..)| *known == speed).2
}

/// The speed of a word in the form; standard delivery for any other word.
pub fn of_word(word: &str) -> Speed {
    known(|(_, known, _)| *known == word).0
}

fn known(is_asked: impl Fn(&(Speed, &'static str, &'static str)) -> bool) -> (Speed, &'static str, &'static str) {
    SPEEDS.into_iter().find(is_asked).unwrap_or(SPEEDS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_speeds_belong_together() {
        for (speed, word, label) in SPEEDS {
            assert_eq!((super::word(speed), super::label(speed), of_word(word)), (word, label, speed));
        }
        assert_eq!((of_word("by pigeon"), word(Speed::Unspecified)), (Speed::Standard, "standard"));
    }
}
