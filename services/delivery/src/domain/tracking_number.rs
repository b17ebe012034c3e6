//! The carrier's numbers.

use uuid::Uuid;

const PREFIX: &str = "SV";
/// Fifteen digits: with a million shipments two have the same number once in two thousand shops, and nothing is looked
/// up by it.
const SPACE: u128 = 1_000_000_000_000_000;

/// The tracking number of an order's shipment: `SV`, fifteen digits and a check digit by Luhn's formula. The same order
/// always has the same number.
pub fn tracking_number(order_id: Uuid) -> String {
    // The spread makes all of the id's bits count: those of an id of version 7 begin with the time.
    let id = order_id.as_u128();
    let spread = (id ^ (id >> 64)).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) >> 40;
    let body = format!("{:015}", spread % SPACE);
    let check = check_digit(&body);
    format!("{PREFIX}{body}{check}")
}

/// Luhn's check digit of a row of digits.
fn check_digit(body: &str) -> u8 {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            let weighted = if index % 2 == 0 { digit * 2 } else { digit };
            weighted / 10 + weighted % 10
        })
        .sum();
    u8::try_from((10 - sum % 10) % 10).expect("a remainder of ten is a digit")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn luhns_own_example() {
        assert_eq!(check_digit("7992739871"), 3);
    }

    proptest! {
        #[test]
        fn a_mistyped_digit_is_noticed(id in any::<u128>(), at in 0..15_usize, by in 1..10_u8) {
            let number = tracking_number(Uuid::from_u128(id));
            prop_assert_eq!(number.len(), 18);
            let digits = number.strip_prefix("SV").unwrap();
            let (body, check) = digits.split_at(15);
            prop_assert_eq!(check_digit(body).to_string(), check);
            let mut typed = body.as_bytes().to_vec();
            typed[at] = b'0' + (typed[at] - b'0' + by) % 10;
            prop_assert_ne!(check_digit(std::str::from_utf8(&typed).unwrap()).to_string(), check);
        }

        #[test]
        fn neighbouring_orders_have_different_numbers(id in any::<u128>(), bit in 0..128_u32) {
            prop_assert_ne!(tracking_number(Uuid::from_u128(id)), tracking_number(Uuid::from_u128(id ^ (1 << bit))));
        }
    }
}
