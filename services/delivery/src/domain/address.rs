//! Postal addresses.

use serde::{Deserialize, Serialize};

use super::country::{Country, is_country_code};

const MAX_TEXT: usize = 100;
const MAX_LINES: usize = 3;
const MAX_POSTAL_CODE: usize = 20;

/// A postal address that passed [`Address::check`], or was stored after it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Who receives it, 1 to 100 characters.
    pub recipient: String,
    /// Street and house, 1 to 3 lines of 1 to 100 characters.
    pub lines: Vec<String>,
    /// At most 20 characters; empty where a country has none.
    pub postal_code: String,
    /// The town, 1 to 100 characters.
    pub city: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

/// A wrong field of an address by its name in the API, for example `lines[1]`, and what would be right, for people.
pub type WrongField = (String, String);

impl Address {
    /// Trims the white space around each part and checks them all. A country that isn't served is no wrong field: its
    /// postal codes are not checked.
    ///
    /// # Errors
    /// All fields that are wrong.
    pub fn check(self) -> Result<Self, Vec<WrongField>> {
        let address = Self {
            recipient: self.recipient.trim().to_owned(),
            lines: self.lines.iter().map(|line| line.trim().to_owned()).collect(),
            postal_code: self.postal_code.trim().to_owned(),
            city: self.city.trim().to_owned(),
            country: self.country,
        };
        let mut wrong = Vec::new();
        text("recipient", &address.recipient, &mut wrong);
        if address.lines.is_empty() || address.lines.len() > MAX_LINES {
            wrong.push(wrong_field("lines", format!("must be 1 to {MAX_LINES} lines, are {}", address.lines.len())));
        }
        for (index, line) in address.lines.iter().take(MAX_LINES).enumerate() {
            text(format!("lines[{index}]"), line, &mut wrong);
        }
        text("city", &address.city, &mut wrong);
        if is_country_code(&address.country) {
            address.check_postal_code(&mut wrong);
        } else {
            wrong.push(wrong_field("country", "must be an ISO 3166-1 alpha-2 code, for example \"DE\""));
        }
        if wrong.is_empty() { Ok(address) } else { Err(wrong) }
    }

    fn check_postal_code(&self, wrong: &mut Vec<WrongField>) {
        let code = &self.postal_code;
        if code.chars().count() > MAX_POSTAL_CODE {
            wrong.push(wrong_field("postal_code", format!("must have at most {MAX_POSTAL_CODE} characters")));
        } else if code.chars().any(char::is_control) {
            wrong.push(wrong_field("postal_code", "must not have control characters"));
        } else if Country::served(&self.country).is_some_and(|country| !country.takes_postal_code(code)) {
            wrong.push(wrong_field("postal_code", format!("is not a postal code of {}", self.country)));
        }
    }
}

fn wrong_field(field: impl Into<String>, description: impl Into<String>) -> WrongField {
    (field.into(), description.into())
}

fn text(field: impl Into<String>, value: &str, wrong: &mut Vec<WrongField>) {
    let length = value.chars().count();
    if length == 0 || length > MAX_TEXT {
        wrong.push(wrong_field(field, format!("must have 1 to {MAX_TEXT} characters, has {length}")));
    } else if value.chars().any(char::is_control) {
        wrong.push(wrong_field(field, "must not have control characters"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn home() -> Address {
        Address {
            recipient: "Ada Weber".into(),
            lines: vec![" Nikolaistraße 3 ".into()],
            postal_code: "04109".into(),
            city: "Leipzig".into(),
            country: "DE".into(),
        }
    }

    #[test]
    fn a_right_address_is_trimmed() {
        assert_eq!(home().check().unwrap().lines, ["Nikolaistraße 3"]);
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let address = Address {
            recipient: " ".into(),
            lines: vec!["ok".into(), "x".repeat(101)],
            postal_code: "1".into(),
            city: "Leip\u{0}zig".into(),
            country: "DE".into(),
        };
        let fields: Vec<_> = address.check().unwrap_err().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["recipient", "lines[1]", "city", "postal_code"]);
    }

    #[test]
    fn a_country_that_is_not_served_is_another_matter() {
        assert!(Address { country: "NZ".into(), postal_code: "6011".into(), ..home() }.check().is_ok());
        assert!(Address { country: "Germany".into(), ..home() }.check().is_err());
    }

    proptest! {
        #[test]
        fn checking_twice_changes_nothing(
            recipient in ".{0,110}", lines in prop::collection::vec(".{0,20}", 0..5), postal_code in ".{0,25}",
            city in ".{0,110}", country in "DE|GB|NZ|..",
        ) {
            if let Ok(address) = (Address { recipient, lines, postal_code, city, country }).check() {
                prop_assert_eq!(address.clone().check(), Ok(address));
            }
        }
    }
}
