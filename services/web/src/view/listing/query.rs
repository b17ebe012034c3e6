//! What a listing's address asks for.

use std::iter::once;

use selvage_proto::catalogue::v1::{Audience, ProductFilter, ProductOrder};

use super::words::{AUDIENCES, ORDERS};
use crate::fields::{Fields, encode};
use crate::view::money;

/// Products on a page: full rows of two, three and four.
pub const PAGE_SIZE: i32 = 24;
/// The catalogue's bounds of a filter.
const MAX_VALUES: usize = 20;
const MAX_VALUE_CHARS: usize = 60;
const MAX_QUERY_CHARS: usize = 200;
const MAX_TOKEN_BYTES: usize = 1_024;
/// The highest price that can be asked for, in major units.
const MAX_PRICE: i64 = 1_000_000;

/// What a listing's address asks for. Reading it can't fail: what makes no sense is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// What to search for; empty in a category.
    pub words: String,
    /// Sizes, any of which suffices.
    pub sizes: Vec<String>,
    /// Colour names, any of which suffices.
    pub colours: Vec<String>,
    /// Bounds of the price in major units, inclusive.
    pub min: Option<i64>,
    /// See `min`.
    pub max: Option<i64>,
    /// Only what can be bought now.
    pub in_stock: bool,
    /// "women", "men" or empty.
    pub audience: &'static str,
    /// One of the orders' words, or empty.
    pub order: &'static str,
    /// The catalogue's token for where the page begins; empty for the first page.
    pub token: String,
    /// The page's number from 1, which only the visitor reads.
    pub page: u32,
}

impl Query {
    /// Reads an address's query.
    pub fn parse(fields: &Fields) -> Self {
        let list = |name| {
            let mut values: Vec<String> = Vec::new();
            let right = |value: &&str| value.chars().count() <= MAX_VALUE_CHARS && !value.chars().any(char::is_control);
            for value in fields.all(name).filter(right) {
                if values.len() < MAX_VALUES && !values.iter().any(|known| known == value) {
                    values.push(value.to_owned());
                }
            }
            values
        };
        let price = |name| fields.get(name).parse().ok().filter(|price| (0..=MAX_PRICE).contains(price));
        let words: String = fields.get("q").chars().filter(|c| !c.is_control()).take(MAX_QUERY_CHARS).collect();
        let token = fields.get("from");
        let token = if token.len() <= MAX_TOKEN_BYTES { token } else { "" };
        Self {
            words: words.trim().to_owned(),
            sizes: list("size"),
            colours: list("colour"),
            min: price("min"),
            max: price("max"),
            in_stock: !fields.get("stock").is_empty(),
            audience: known(fields.get("for"), AUDIENCES.map(|(word, ..)| word)),
            order: known(fields.get("sort"), ORDERS.map(|(word, ..)| word)),
            token: token.to_owned(),
            page: if token.is_empty() { 1 } else { fields.get("page").parse().unwrap_or(2).clamp(2, 10_000) },
        }
    }

    /// The catalogue's filter, within `category` if it isn't empty.
    pub fn filter(&self, category: &str, currency: &str) -> ProductFilter {
        let minor = |major: Option<i64>| major.map(|major| money::from_major(major, currency));
        let audience = AUDIENCES.iter().find(|(word, ..)| *word == self.audience);
        ProductFilter {
            category: category.to_owned(),
            sizes: self.sizes.clone(),
            colours: self.colours.clone(),
            min_price: minor(self.min),
            max_price: minor(self.max),
            in_stock: self.in_stock,
            audience: audience.map_or(Audience::Unspecified, |(.., audience)| *audience).into(),
        }
    }

    /// The catalogue's order.
    pub fn order_by(&self) -> ProductOrder {
        let order = ORDERS.iter().find(|(word, ..)| *word == self.order);
        order.map_or(ProductOrder::Unspecified, |(.., order)| *order)
    }

    /// Whether anything is asked for that narrows the listing.
    pub fn is_narrowed(&self) -> bool {
        let lists = self.sizes.len() + self.colours.len();
        lists > 0 || self.min.is_some() || self.max.is_some() || self.in_stock || !self.audience.is_empty()
    }

    /// The address at `path` that asks for this, from its first page.
    pub fn href(&self, path: &str) -> String {
        let (min, max) = (self.min.map(|p| p.to_string()), self.max.map(|p| p.to_string()));
        let one = |name: &'static str, value: &str| (!value.is_empty()).then(|| (name, value.to_owned()));
        let all =
            |name: &'static str, values: &[String]| -> Vec<_> { values.iter().map(|v| (name, v.clone())).collect() };
        let fields: Vec<(&str, String)> = once(one("q", &self.words))
            .flatten()
            .chain(all("size", &self.sizes))
            .chain(all("colour", &self.colours))
            .chain(one("min", min.as_deref().unwrap_or_default()))
            .chain(one("max", max.as_deref().unwrap_or_default()))
            .chain(one("stock", if self.in_stock { "1" } else { "" }))
            .chain(one("for", self.audience))
            .chain(one("sort", self.order))
            .collect();
        if fields.is_empty() {
            return path.to_owned();
        }
        format!("{path}?{}", encode(fields.iter().map(|(name, value)| (*name, value.as_str()))))
    }

    /// The address of the page after this one.
    pub fn next_href(&self, path: &str, token: &str) -> String {
        let page = (self.page + 1).to_string();
        let href = self.href(path);
        let join = if href.contains('?') { '&' } else { '?' };
        format!("{href}{join}{}", encode([("from", token), ("page", page.as_str())]))
    }
}

/// `word` if it is one of `words`, else nothing.
fn known<const N: usize>(word: &str, words: [&'static str; N]) -> &'static str {
    words.into_iter().find(|known| *known == word).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Query {
        Query::parse(&Fields::parse(text.as_bytes()))
    }

    #[test]
    fn an_address_is_read_and_written() {
        let query = parse(
            "q=linen+shirt&size=M&size=L&size=M&colour=Sea+%26+Sky&min=20&max=90&stock=1&for=women&sort=price-up",
        );
        assert_eq!((query.sizes.len(), query.min, query.audience), (2, Some(20), "women"));
        let filter = query.filter("shirts", "EUR");
        assert_eq!((filter.min_price, filter.max_price, filter.audience()), (Some(2000), Some(9000), Audience::Women));
        let href = query.href("/search");
        assert_eq!(parse(href.split_once('?').unwrap().1), query);
        assert_eq!(Query::default().href("/c/shirts"), "/c/shirts");
        assert_eq!(parse("").next_href("/c/shirts", "a+b"), "/c/shirts?from=a%2Bb&page=2");
    }

    proptest! {
        #[test]
        fn any_address_is_read_within_the_catalogues_bounds(text in "\\PC{0,300}|(size=[a-z]{0,80}&){0,40}|min=-?[0-9]{1,30}&max=\\PC*") {
            let query = parse(&text);
            prop_assert!(query.sizes.len() <= MAX_VALUES && query.words.chars().count() <= MAX_QUERY_CHARS);
            prop_assert!(query.min.is_none_or(|price| (0..=MAX_PRICE).contains(&price)));
            let again = parse(query.href("/").split_once('?').map_or("", |(_, query)| query));
            prop_assert_eq!(Query { token: String::new(), page: 1, ..query }, again);
        }
    }
}
