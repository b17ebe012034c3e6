//! What goes with `selvage.money.v1.Money`: currencies, and the digits of their amounts.

use std::fmt;
use std::str::FromStr;

use self::v1::Money;

/// The messages.
pub mod v1 {
    tonic::include_proto!("selvage.money.v1");
}

/// How many digits an amount in the currency with this ISO 4217 code has behind the point: 0 for yen, 3 for Kuwaiti dinars,
/// 2 for most, and for a code that isn't in the table.
///
/// The table names what ISO 4217 lists with other than 2 digits. No crate has it without a list of countries or of names
/// beside it, and it changes about once in ten years.
pub fn minor_digits(code: &str) -> usize {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

impl Money {
    /// An amount of `minor_units` (cents, for example) in the currency with this ISO 4217 code.
    pub fn new(currency: impl Into<String>, minor_units: i64) -> Self {
        Self { currency: currency.into(), minor_units }
    }
}

/// A currency's ISO 4217 alphabetic code, as it stands in `selvage.money.v1.Money`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(String);

impl Currency {
    /// Its three letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Currency {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let right = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        right.then(|| Self(text.to_owned())).ok_or("a currency is three upper-case letters, for example EUR")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_three_capitals() {
        assert_eq!("EUR".parse::<Currency>().map(|currency| currency.to_string()), Ok("EUR".to_owned()));
        for wrong in ["", "eur", "EU", "EURO", "E R", "ÄÖÜ"] {
            assert!(wrong.parse::<Currency>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        for (code, digits) in [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("nonsense", 2)] {
            assert_eq!(minor_digits(code), digits, "{code}");
        }
    }
}
