use std::fmt;
use std::str::FromStr;

/// The id of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraceId(String);

/// Digits of a trace's id, by the W3C's Trace Context.
const DIGITS: usize = 32;

impl FromStr for TraceId {
    type Err = &'static str;

    /// Takes the id itself and anything that has one id in it: `00-<trace>-<span>-01`, `traceparent;desc="00-…"`, the whole
    /// line of the header.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(|letter: char| !letter.is_ascii_hexdigit());
        let mut ids: Vec<_> = words.filter(|word| word.len() == DIGITS).map(str::to_ascii_lowercase).collect();
        ids.sort_unstable();
        ids.dedup();
        match ids.as_slice() {
            [id] if id.bytes().all(|digit| digit == b'0') => Err("an id of zeros alone belongs to no trace"),
            [id] => Ok(Self(id.clone())),
            [] => Err("there is no trace's id in it: 32 hexadecimal digits, alone or within 00-<trace>-<span>-01"),
            _ => Err("there are several ids in it; one trace is printed at a time"),
        }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn an_id_is_found_in_whatever_a_page_or_a_log_says() {
        for text in [
            ID,
            " 4BF92F3577B34DA6A3CE929D0E0E4736\n",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "traceparent;desc=\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"",
            "Server-Timing: db;dur=53, traceparent;desc=\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"",
        ] {
            assert_eq!(text.parse::<TraceId>().map(|id| id.to_string()), Ok(ID.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_id_is_refused_in_words() {
        let zeros = "0".repeat(DIGITS);
        for text in ["", "00f067aa0ba902b7", "é", &ID[1..], &format!("{ID}0"), &zeros, &format!("{ID} {zeros}")] {
            text.parse::<TraceId>().expect_err(text);
        }
    }
}
