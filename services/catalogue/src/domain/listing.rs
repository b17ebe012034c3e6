//! What a listing shows, and where its next page begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::product::{Audience, is_slug};
use super::search::Query;

/// What to list.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What to look for, if anything.
    pub query: Option<Query>,
    /// Conditions.
    pub filter: Filter,
    /// How to sort.
    pub order: Order,
    /// Behind which product to begin.
    pub after: Option<Cursor>,
    /// 1 to 100.
    pub size: u64,
    /// Whether to count what it can be narrowed by.
    pub with_facets: bool,
}

/// What a listing can be narrowed by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets {
    /// Sizes and how many products have each.
    pub sizes: Vec<(String, i64)>,
    /// Colours with their hexadecimal digits.
    pub colours: Vec<(String, String, i64)>,
    /// Categories.
    pub categories: Vec<(String, i64)>,
    /// Lowest and highest price.
    pub prices: (i64, i64),
}

/// How a listing is sorted. Ties are broken by slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Best match first; only with a query.
    Relevance,
    /// Newest first.
    Newest,
    /// Cheapest first.
    PriceAscending,
    /// Dearest first.
    PriceDescending,
    /// By title.
    Title,
}

/// Conditions that all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A category's slug; empty for all.
    pub category: String,
    /// Any of these; empty for all.
    pub sizes: Vec<String>,
    /// Any of these; empty for all.
    pub colours: Vec<String>,
    /// Minor units, inclusive.
    pub min_price: Option<i64>,
    /// Minor units, inclusive.
    pub max_price: Option<i64>,
    /// Only what can be bought now.
    pub in_stock: bool,
    /// `None` for all. What is for everyone is for women and men too.
    pub audience: Option<Audience>,
}

/// Behind which product a page begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// By number: newest and prices.
    Number(i64, String),
    /// By text: titles.
    Text(String, String),
    /// By how well products match: a place among those that have these words of the query, a bit for each.
    Match {
        /// Smaller is better.
        rank: u64,
        /// The words.
        words: u8,
        /// Of the last product.
        slug: String,
    },
}

impl Cursor {
    /// Writes it as a page token that holds only for the same listing.
    pub fn token(&self, listing: &str) -> String {
        let body = serde_json::to_vec(&(check(listing), self)).expect("numbers and strings");
        URL_SAFE_NO_PAD.encode(body)
    }

    /// Reads a page token; `None` if it isn't one of this listing. Anybody can make one up, so what is in it is looked at
    /// as any other text: PostgreSQL takes no zero byte.
    pub fn parse(token: &str, listing: &str, order: Order) -> Option<Self> {
        let body = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (of, cursor): (String, Self) = serde_json::from_slice(&body).ok()?;
        let fits = match (&cursor, order) {
            (Self::Match { words, slug, .. }, Order::Relevance) => *words > 0 && is_slug(slug),
            (Self::Text(text, slug), Order::Title) => is_slug(slug) && !text.contains('\0'),
            (Self::Number(_, slug), Order::Newest | Order::PriceAscending | Order::PriceDescending) => is_slug(slug),
            _ => false,
        };
        (fits && of == check(listing)).then_some(cursor)
    }
}

/// Says which listing a token is of: its query, filter and order.
pub fn identity(query: &str, filter: &Filter, order: Order) -> String {
    format!("{query:?} {filter:?} {order:?}")
}

fn check(listing: &str) -> String {
    Sha256::digest(listing.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_is_of_its_own_listing_alone(number: i64, slug in "[a-z]{1,9}", other in "\\PC{0,9}") {
            let listing = identity("shirt", &Filter::default(), Order::Newest);
            let cursor = Cursor::Number(number, slug);
            let token = cursor.token(&listing);
            prop_assert_eq!(Cursor::parse(&token, &listing, Order::Newest), Some(cursor));
            prop_assert_eq!(Cursor::parse(&token, &listing, Order::Title), None);
            let elsewhere = identity(&format!("{other}x"), &Filter::default(), Order::Newest);
            prop_assert_eq!(Cursor::parse(&token, &elsewhere, Order::Newest), None);
        }

        #[test]
        fn no_token_panics(token in "\\PC{0,80}") {
            prop_assert_eq!(Cursor::parse(&token, "x", Order::Newest), None);
        }
    }
}
