use std::fmt;
use std::str::FromStr;

/// A currency's ISO 4217 alphabetic code, as it stands in `selvage.money.v1.Money`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(String);

impl Currency {
    /// Its three letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many digits its minor units take behind the point, by ISO 4217; 2 if it isn't one of those with 0 or 3.
    pub fn digits(&self) -> usize {
        match self.0.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
            | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            _ => 2,
        }
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
    fn minor_units_have_the_currencys_digits() {
        for (code, digits) in [("EUR", 2), ("JPY", 0), ("KWD", 3)] {
            assert_eq!(code.parse().map(|currency: Currency| currency.digits()), Ok(digits), "{code}");
        }
    }
}
