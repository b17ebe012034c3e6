//! Prices as people and programs write them.

use selvage_proto::money::minor_digits;

/// Ten million of the main unit, the API's bound.
const MAX_MINOR: i64 = 1_000_000_000;

/// Reads a price into minor units: `9.99`, `10`, and with separators as long as they can be read in one way only
/// (`1,299.00`, `1.299,00`, `9,99`).
pub(super) fn minor_units(text: &str, currency: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Err("is missing".into());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b',') {
        return Err("must be a number like 9.99, without a sign or a currency".into());
    }
    let digits = minor_digits(currency);
    let (whole, fraction) = split(text, digits)?;
    if fraction.len() > digits {
        return Err(format!("{currency} has {digits} digits behind the point, this has {}", fraction.len()));
    }
    // Twelve digits are above the bound, and far below what a number holds.
    let fits = (1..=12).contains(&whole.len());
    let minor = format!("{whole}{fraction:0<width$}", width = digits);
    let minor = if fits { minor.parse().ok() } else { None };
    minor.filter(|minor| *minor <= MAX_MINOR).ok_or_else(|| "must be a number of at most 10,000,000".to_owned())
}

/// The digits before and behind the decimal point.
fn split(text: &str, digits: usize) -> Result<(String, String), String> {
    let plain = |parts: &str| parts.chars().filter(char::is_ascii_digit).collect::<String>();
    let Some(last) = text.rfind(['.', ',']) else { return Ok((text.to_owned(), String::new())) };
    let (head, mark, tail) = (&text[..last], text.as_bytes()[last], &text[last + 1..]);
    let grouped = |text: &str, mark: u8| {
        let mut groups = text.split(char::from(mark));
        let first = groups.next().unwrap_or_default();
        let only = text.bytes().all(|byte| byte.is_ascii_digit() || byte == mark);
        only && (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3)
    };
    let other = if mark == b'.' { b',' } else { b'.' };
    let malformed = || format!("'{text}' is not a number like 9.99");
    if head.is_empty() || tail.is_empty() {
        return Err(malformed());
    }
    if head.as_bytes().contains(&mark) {
        // 1,299,000: the same mark twice can only group.
        return if grouped(text, mark) { Ok((plain(text), String::new())) } else { Err(malformed()) };
    }
    if head.as_bytes().contains(&other) {
        // 1,299.00: two marks, the last is the decimal point.
        return if grouped(head, other) { Ok((plain(head), tail.to_owned())) } else { Err(malformed()) };
    }
    if tail.len() == 3 && head.len() <= 3 && (mark == b',' || digits != 3) {
        return Err(format!("'{text}' can be read in two ways; write 1299.00 or 1.30"));
    }
    Ok((head.to_owned(), tail.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_can_be_read_in_one_way_is_read() {
        let right = [
            ("9.99", 999),
            ("50", 5_000),
            ("0", 0),
            ("9.9", 990),
            ("9,99", 999),
            ("1,299.00", 129_900),
            ("1.299,00", 129_900),
            ("1,299,000", 129_900_000),
            ("1299.00", 129_900),
        ];
        for (text, minor) in right {
            assert_eq!(minor_units(text, "EUR"), Ok(minor), "{text}");
        }
        assert_eq!((minor_units("1200", "JPY"), minor_units("1.234", "KWD")), (Ok(1_200), Ok(1_234)));
    }

    #[test]
    fn what_can_be_read_in_two_ways_or_none_is_refused() {
        for text in [
            "",
            "1,299",
            "1.299",
            "9.999",
            "-1",
            "€9",
            "1e3",
            ".",
            "9.",
            ".5",
            "12,34,56",
            "1,29.00",
            "99999999999",
            "9 99",
        ] {
            assert!(minor_units(text, "EUR").is_err(), "{text}");
        }
        assert!(minor_units("9.99", "JPY").is_err());
        assert!(minor_units("1,299", "EUR").unwrap_err().contains("two ways"));
    }

    proptest! {
        #[test]
        fn what_is_written_with_a_point_is_read_back(minor in 0..=MAX_MINOR) {
            prop_assert_eq!(minor_units(&format!("{}.{:02}", minor / 100, minor % 100), "EUR"), Ok(minor));
        }

        #[test]
        fn nothing_panics_or_is_out_of_bounds(text in "[0-9.,]{0,20}|\\PC{0,9}") {
            for currency in ["EUR", "JPY", "KWD"] {
                if let Ok(minor) = minor_units(&text, currency) {
                    prop_assert!((0..=MAX_MINOR).contains(&minor));
                }
            }
        }
    }
}
