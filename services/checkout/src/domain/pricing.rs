//! What an order costs.

use super::order::{Amounts, Line};

/// A sum that no order can have: larger than what an `i64` of minor units holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sum is larger than any order can be")]
pub struct TooLarge;

/// The sum of the lines.
///
/// # Errors
/// [`TooLarge`] if it overflows.
pub fn subtotal(lines: &[Line]) -> Result<i64, TooLarge> {
    lines.iter().try_fold(0_i64, |sum, line| {
        line.unit_price.checked_mul(i64::from(line.quantity)).and_then(|line| sum.checked_add(line)).ok_or(TooLarge)
    })
}

/// What goods for `subtotal` cost, delivered for `delivery` to `country`.
///
/// # Errors
/// [`TooLarge`] if it overflows.
pub fn amounts(currency: &str, subtotal: i64, delivery: i64, country: &str) -> Result<Amounts, TooLarge> {
    let total = subtotal.checked_add(delivery).ok_or(TooLarge)?;
    let tax_basis_points = tax_basis_points(country);
    let tax = contained_tax(total, tax_basis_points);
    Ok(Amounts { currency: currency.to_owned(), subtotal, delivery, tax, tax_basis_points, total })
}

/// The tax in a `gross` amount, rounded half up: gross × rate ÷ (1 + rate).
fn contained_tax(gross: i64, basis_points: u32) -> i64 {
    let (rate, whole) = (i128::from(basis_points), i128::from(basis_points) + 10_000);
    let tax = (2 * i128::from(gross) * rate + whole) / (2 * whole);
    i64::try_from(tax).expect("the tax in an i64 is smaller than it")
}

/// The standard rate of value-added tax on clothing where a parcel is sold to, as of 2026; 0 where none is contained in
/// our price because the buyer pays it at the border.
fn tax_basis_points(country: &str) -> u32 {
    match country {
        "LU" => 1700,
        "MT" => 1800,
        "DE" | "CY" => 1900,
        "AT" | "BG" | "FR" | "GB" => 2000,
        "BE" | "CZ" | "ES" | "LT" | "LV" | "NL" => 2100,
        "IT" | "SI" => 2200,
        "IE" | "PL" | "PT" | "SK" => 2300,
        "EE" | "GR" => 2400,
        "DK" | "HR" | "SE" => 2500,
        "FI" => 2550,
        "HU" => 2700,
        "RO" => 2100,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tax_is_what_a_till_prints() {
        // 119.00 at 19 % contains 19.00; 34.95 at 19 % contains 5.58.
        assert_eq!(contained_tax(11_900, 1900), 1900);
        assert_eq!(contained_tax(3495, 1900), 558);
        assert_eq!(contained_tax(3495, 0), 0);
        assert_eq!(contained_tax(0, 1900), 0);
    }

    proptest! {
        #[test]
        fn net_and_tax_make_the_total(gross in 0_i64..=i64::MAX, rate in 0_u32..10_000) {
            let tax = contained_tax(gross, rate);
            prop_assert!(tax >= 0 && tax <= gross);
            // The net amount taxed again is the gross amount, to within the rounding of half a minor unit each way.
            let net = i128::from(gross - tax);
            let again = net * (10_000 + i128::from(rate));
            prop_assert!((again - i128::from(gross) * 10_000).abs() <= 10_000 + i128::from(rate));
        }

        #[test]
        fn sums_are_exact_or_refused(prices in prop::collection::vec((0_i64..=i64::MAX / 50, 1_u32..=99), 0..50)) {
            let lines: Vec<_> = prices.iter().map(|&(unit_price, quantity)| Line {
                sku: String::new(), slug: String::new(), title: String::new(), size: String::new(),
                colour: String::new(), quantity, unit_price, picture_key: String::new(),
            }).collect();
            let exact: i128 = prices.iter().map(|&(price, quantity)| i128::from(price) * i128::from(quantity)).sum();
            match subtotal(&lines) {
                Ok(sum) => prop_assert_eq!(i128::from(sum), exact),
                Err(TooLarge) => prop_assert!(exact > i128::from(i64::MAX)),
            }
        }
    }
}
