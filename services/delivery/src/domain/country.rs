//! The countries that are served.

/// How far away a country is for the carrier, from the warehouse in Leipzig.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// The warehouse's own country.
    Home,
    /// Its neighbours in the customs union.
    Near,
    /// The rest of the customs union.
    Union,
    /// Europe behind a customs border.
    Border,
    /// Another continent.
    Overseas,
}

/// A country that is served.
#[derive(Debug, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166-1 alpha-2.
    pub code: &'static str,
    /// How far away it is.
    pub zone: Zone,
    /// The town of the parcel centre through which its parcels go.
    pub hub: &'static str,
    /// Shapes of its postal codes without spaces and hyphens, `9` for a digit and `A` for a letter; none: not checked.
    pub postal_codes: &'static [&'static str],
}

const fn country(code: &'static str, zone: Zone, hub: &'static str, postal_codes: &'static [&'static str]) -> Country {
    Country { code, zone, hub, postal_codes }
}

/// Sorted by code.
static COUNTRIES: [Country; 31] = [
    country("AT", Zone::Near, "Vienna", &["9999"]),
    country("BE", Zone::Near, "Liège", &["9999"]),
    country("BG", Zone::Union, "Sofia", &["9999"]),
    country("CH", Zone::Border, "Härkingen", &["9999"]),
    country("CY", Zone::Union, "Nicosia", &["9999"]),
    country("CZ", Zone::Near, "Prague", &["99999"]),
    country("DE", Zone::Home, "Leipzig", &["99999"]),
    country("DK", Zone::Near, "Brøndby", &["9999"]),
    country("EE", Zone::Union, "Tallinn", &["99999"]),
    country("ES", Zone::Union, "Madrid", &["99999"]),
    country("FI", Zone::Union, "Vantaa", &["99999"]),
    country("FR", Zone::Near, "Metz", &["99999"]),
    country("GB", Zone::Border, "Coventry", &["A99AA", "A999AA", "AA99AA", "AA999AA", "A9A9AA", "AA9A9AA"]),
    country("GR", Zone::Union, "Athens", &["99999"]),
    country("HR", Zone::Union, "Zagreb", &["99999"]),
    country("HU", Zone::Union, "Budapest", &["9999"]),
    country("IE", Zone::Union, "Portlaoise", &[]),
    country("IT", Zone::Union, "Bologna", &["99999"]),
    country("LT", Zone::Union, "Kaunas", &[]),
    country("LU", Zone::Near, "Bettembourg", &["9999", "A9999"]),
    country("LV", Zone::Union, "Riga", &[]),
    country("MT", Zone::Union, "Marsa", &[]),
    country("NL", Zone::Near, "Utrecht", &["9999AA"]),
    country("NO", Zone::Border, "Lørenskog", &["9999"]),
    country("PL", Zone::Near, "Łódź", &["99999"]),
    country("PT", Zone::Union, "Lisbon", &["9999999"]),
    country("RO", Zone::Union, "Sibiu", &["999999"]),
    country("SE", Zone::Union, "Rosersberg", &["99999"]),
    country("SI", Zone::Union, "Ljubljana", &["9999"]),
    country("SK", Zone::Union, "Žilina", &["99999"]),
    country("US", Zone::Overseas, "Cincinnati", &["99999", "999999999"]),
];

impl Country {
    /// The country with this code, if it is served.
    pub fn served(code: &str) -> Option<&'static Self> {
        COUNTRIES.binary_search_by_key(&code, |country| country.code).ok().map(|index| &COUNTRIES[index])
    }

    /// All countries that are served.
    pub fn all() -> &'static [Self] {
        &COUNTRIES
    }

    /// Whether `postal_code` could be one of this country's. Spaces, hyphens and case don't count: people differ there.
    pub fn takes_postal_code(&self, postal_code: &str) -> bool {
        if self.postal_codes.is_empty() {
            return postal_code.chars().all(|c| c.is_alphanumeric() || c == ' ' || c == '-');
        }
        let bare: Vec<char> = postal_code.chars().filter(|c| *c != ' ' && *c != '-').collect();
        self.postal_codes.iter().any(|shape| {
            shape.len() == bare.len()
                && shape.bytes().zip(&bare).all(|(wanted, found)| match wanted {
                    b'9' => found.is_ascii_digit(),
                    _ => found.is_ascii_alphabetic(),
                })
        })
    }
}

/// Whether this has the form of a country's code.
pub fn is_country_code(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_codes_are_codes() {
        assert!(COUNTRIES.is_sorted_by(|a, b| a.code < b.code));
        assert!(COUNTRIES.iter().all(|country| is_country_code(country.code)));
        assert!(
            COUNTRIES.iter().all(|country| country.postal_codes.iter().all(|s| s.bytes().all(|b| b"9A".contains(&b))))
        );
    }

    #[test]
    fn the_whole_union_and_its_main_neighbours_are_served() {
        for code in ["DE", "FR", "GB", "CH", "NO", "US", "MT"] {
            assert!(Country::served(code).is_some(), "{code}");
        }
        for code in ["", "de", "XX", "DEU", "KP"] {
            assert!(Country::served(code).is_none(), "{code}");
        }
    }

    #[test]
    fn postal_codes_have_their_countrys_shape() {
        for (code, right, wrong) in [
            ("DE", "04109", "0410"),
            ("NL", "1012 ab", "1012"),
            ("GB", "SW1A 1AA", "12345"),
            ("PL", "00-950", "0095"),
            ("PT", "1000-205", "1000"),
            ("US", "45202-1234", "4520"),
            ("IE", "D02 X285", "D02;X285"),
            ("LU", "L-1009", "LL-1009"),
        ] {
            let country = Country::served(code).unwrap();
            assert!(country.takes_postal_code(right), "{code} {right}");
            assert!(!country.takes_postal_code(wrong), "{code} {wrong}");
        }
    }
}
