//! Amounts as people write them.

use selvage_proto::money::minor_digits;
use selvage_proto::money::v1::Money;

use super::missing::Missing;

/// For example "€1,299.00" or "CHF 39.90".
pub fn text(minor_units: i64, currency: &str) -> String {
    let digits = minor_digits(currency);
    let sign = if minor_units < 0 { "\u{2212}" } else { "" };
    let padded = format!("{:0>width$}", minor_units.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = padded.split_at(padded.len() - digits);
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let symbol = match currency {
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        "USD" => "$".to_owned(),
        "JPY" => "¥".to_owned(),
        other => format!("{other}\u{a0}"),
    };
    let point = if digits > 0 { "." } else { "" };
    format!("{sign}{symbol}{grouped}{point}{fraction}")
}

/// The same of a message.
pub fn of(money: &Money) -> String {
    text(money.minor_units, &money.currency)
}

/// The amount that `field` of an answer must have.
///
/// # Errors
/// [`Missing`] names `field` if there is no amount, or one without a currency.
pub fn given<'a>(money: Option<&'a Money>, field: &'static str) -> Result<&'a Money, Missing> {
    money.filter(|money| !money.currency.is_empty()).ok_or(Missing(field))
}

/// The same as people write it.
///
/// # Errors
/// See [`given`].
pub fn required(money: Option<&Money>, field: &'static str) -> Result<String, Missing> {
    given(money, field).map(of)
}

/// The same of a price that may be 0: "Free" then.
///
/// # Errors
/// See [`given`].
pub fn price_or_free(money: Option<&Money>, field: &'static str) -> Result<String, Missing> {
    given(money, field).map(|price| if price.minor_units == 0 { "Free".to_owned() } else { of(price) })
}

/// Minor units in a major one: 100 cents, 1 yen, 1,000 fils. No currency has more than 4 digits, so this is at most 10,000.
fn minor_per_major(currency: &str) -> i64 {
    10_i64.pow(u32::try_from(minor_digits(currency)).unwrap_or(0))
}

/// A whole number of major units in minor ones; the largest number there is if that is too much.
pub fn from_major(major: i64, currency: &str) -> i64 {
    major.saturating_mul(minor_per_major(currency))
}

/// Major units, rounded down.
pub fn to_major(minor_units: i64, currency: &str) -> i64 {
    minor_units / minor_per_major(currency)
}

/// What a price is reduced from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduction {
    /// The price before.
    pub before: String,
    /// By how many per cent the price is below it, rounded down, 1 to 100.
    pub percent: i64,
}

impl Reduction {
    /// From `before` to `price`; `None` if that isn't at least one per cent less in the same currency.
    pub fn new(price: &Money, before: Option<&Money>) -> Option<Self> {
        let before = before.filter(|before| before.currency == price.currency && before.minor_units > 0)?;
        let saved = i128::from(before.minor_units) - i128::from(price.minor_units);
        let percent = i64::try_from(saved * 100 / i128::from(before.minor_units)).ok()?;
        (1..=100).contains(&percent).then(|| Self { before: of(before), percent })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        for (minor, currency, expected) in [
            (3990, "EUR", "€39.90"),
            (0, "EUR", "€0.00"),
            (5, "GBP", "£0.05"),
            (129_900, "USD", "$1,299.00"),
            (-500, "EUR", "−€5.00"),
            (1_234_567, "JPY", "¥1,234,567"),
            (1500, "KWD", "KWD\u{a0}1.500"),
            (3990, "CHF", "CHF\u{a0}39.90"),
        ] {
            assert_eq!(text(minor, currency), expected);
        }
    }

    fn reduction(price: &Money, before: Option<&Money>) -> Option<i64> {
        Reduction::new(price, before).map(|reduction| reduction.percent)
    }

    #[test]
    fn an_amount_that_nobody_gave_is_named_and_not_0() {
        let eur = |minor_units| Money { currency: "EUR".into(), minor_units };
        assert_eq!(required(Some(&eur(3990)), "Order.total").as_deref(), Ok("€39.90"));
        assert_eq!(required(None, "Order.total"), Err(Missing("Order.total")));
        assert_eq!(required(Some(&Money::default()), "Order.total"), Err(Missing("Order.total")));
        assert_eq!(price_or_free(Some(&eur(0)), "Order.delivery").as_deref(), Ok("Free"));
        assert_eq!(price_or_free(None, "Order.delivery"), Err(Missing("Order.delivery")));
    }

    #[test]
    fn reductions_are_never_promised_too_high() {
        let eur = |minor_units| Money { currency: "EUR".into(), minor_units };
        assert_eq!(reduction(&eur(6999), Some(&eur(10_000))), Some(30));
        assert_eq!(reduction(&eur(9999), Some(&eur(10_000))), None);
        assert_eq!(reduction(&eur(12_000), Some(&eur(10_000))), None);
        assert_eq!(reduction(&eur(1), Some(&eur(0))), None);
        assert_eq!(reduction(&eur(1), None), None);
        let before = Reduction::new(&eur(6999), Some(&eur(10_000))).unwrap().before;
        assert_eq!(before, "€100.00");
    }

    proptest! {
        #[test]
        fn no_amount_loses_a_digit(minor in any::<i64>(), currency in "[A-Z]{3}") {
            let shown = text(minor, &currency);
            let read: String = shown.chars().filter(char::is_ascii_digit).collect();
            prop_assert_eq!(read.parse::<u64>().unwrap(), minor.unsigned_abs());
        }

        #[test]
        fn reductions_hold_for_all_amounts(price in any::<i64>(), before in any::<i64>()) {
            let eur = |minor_units| Money { currency: "EUR".into(), minor_units };
            let percent = reduction(&eur(price), Some(&eur(before)));
            prop_assert!(percent.is_none_or(|percent| (1..=100).contains(&percent)));
        }
    }
}
