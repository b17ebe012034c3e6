//! The order of sizes, as people look for theirs.

/// Where a size stands among others: letters from small to large, then numbers, then words; what is told with a size
/// ("32 / 34") after it.
pub fn place(size: &str) -> (u8, u64, String) {
    let first = size.split(['/', ' ']).next().unwrap_or_default();
    let letters = first.to_ascii_uppercase();
    // "2XL" and "XXL" are the same; many X make it larger, or smaller.
    let (count, rest) = match letters.split_once(|letter: char| !letter.is_ascii_digit()) {
        Some((count, _)) if !count.is_empty() => (count.parse::<u64>().ok(), &letters[count.len()..]),
        _ => (None, letters.as_str()),
    };
    let marks = rest.len().saturating_sub(1);
    let is_marked = rest.bytes().take(marks).all(|byte| byte == b'X') && (count.is_none() || marks == 1);
    let extra = count.unwrap_or(marks as u64).min(40);
    let rank = match rest.as_bytes().last() {
        Some(b'S') if is_marked => Some(50 - extra),
        Some(b'M') if is_marked && marks == 0 && count.is_none() => Some(51),
        Some(b'L') if is_marked => Some(52 + extra),
        _ => word(&letters),
    };
    if let Some(rank) = rank {
        return (0, rank, size.to_owned());
    }
    match first.parse::<f64>() {
        // In hundredths: half sizes count.
        Ok(number) if (0.0..1e6).contains(&number) => (1, (number * 100.0) as u64, size.to_owned()),
        _ => (2, 0, size.to_owned()),
    }
}

fn word(size: &str) -> Option<u64> {
    match size {
        "SMALL" => Some(50),
        "MEDIUM" => Some(51),
        "LARGE" => Some(52),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_stand_as_people_look_for_them() {
        let right = [
            "XXS", "XS", "S", "Small", "M", "L", "XL", "2XL", "XXL", "3XL", "8", "28", "30 / 32", "30 / 34", "42",
            "42.5", "100", "Kids", "One size",
        ];
        let mut sorted = right;
        sorted.reverse();
        sorted.sort_by_key(|size| place(size));
        assert_eq!(sorted, right);
    }

    proptest! {
        #[test]
        fn every_text_has_a_place(size in "\\PC{0,20}|[0-9]{0,25}X{0,60}[SML]?") {
            let _ = place(&size);
        }
    }
}
