//! Listings: what an address asks for, and what can be asked next.

use std::iter::once;

use selvage_proto::catalogue::v1::{Audience, FacetValue, Facets, ProductFilter, ProductOrder};

use super::money;
use super::picture::fill;
use crate::fields::{Fields, encode};

/// As many products to a page: full rows of two, three and four.
pub const PAGE_SIZE: i32 = 24;
/// The catalogue's bounds.
const MAX_VALUES: usize = 20;
const MAX_VALUE_CHARS: usize = 60;
const MAX_QUERY_CHARS: usize = 200;
const MAX_TOKEN_BYTES: usize = 1_024;
/// Prices asked for, in major units: beyond it there is nothing to sell.
const MAX_PRICE: i64 = 1_000_000;

const ORDERS: [(&str, &str, ProductOrder); 4] = [
    ("newest", "Newest", ProductOrder::Newest),
    ("price-up", "Price, low to high", ProductOrder::PriceAscending),
    ("price-down", "Price, high to low", ProductOrder::PriceDescending),
    ("title", "Name", ProductOrder::Title),
];
const AUDIENCES: [(&str, &str, Audience); 2] = [("women", "Women", Audience::Women), ("men", "Men", Audience::Men)];

/// What a listing's address asks for. Reading it can't fail: what makes no sense isn't asked for.
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
    /// Where the page begins, as the catalogue said.
    pub token: String,
    /// Which page that is, from 1: for the visitor only.
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
        let minor = |major: Option<i64>| major.and_then(|major| money::from_major(major, currency));
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

/// One thing that can be asked for, in the filter form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// As it stands in the address.
    pub value: String,
    /// As people read it.
    pub label: String,
    /// How many products have it; -1 if that isn't counted.
    pub count: i32,
    /// Of a colour, as SVG takes it.
    pub fill: String,
    /// Whether it is asked for.
    pub checked: bool,
}

/// Something that is asked for, with the address that no longer asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chip {
    /// In words.
    pub label: String,
    /// Without it.
    pub href: String,
}

/// The filter form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Sizes to be had.
    pub sizes: Vec<Choice>,
    /// Colours to be had.
    pub colours: Vec<Choice>,
    /// For whom.
    pub audiences: Vec<Choice>,
    /// In which order.
    pub orders: Vec<Choice>,
    /// The order in use, in words.
    pub order_label: String,
    /// The bounds asked for, as they stand in their fields.
    pub min: String,
    /// See `min`.
    pub max: String,
    /// The bounds to be had, in major units.
    pub lowest: i64,
    /// See `lowest`.
    pub highest: i64,
    /// Only what can be bought now.
    pub in_stock: bool,
    /// What is asked for.
    pub chips: Vec<Chip>,
    /// The address that asks for nothing but the category or the words.
    pub clear_href: String,
}

impl Filters {
    /// The form for `query` at `path`.
    pub fn new(query: &Query, facets: &Facets, path: &str, currency: &str) -> Self {
        let choices = |facets: &[FacetValue], asked: &[String]| -> Vec<Choice> {
            let offered = facets.iter().map(|facet| Choice {
                value: facet.value.clone(),
                label: facet.value.clone(),
                count: facet.product_count,
                fill: fill(&facet.hex),
                checked: asked.contains(&facet.value),
            });
            // What is asked for stays in the form, even if nothing has it.
            let strange = asked.iter().filter(|value| !facets.iter().any(|facet| facet.value == **value));
            let strange = strange.map(|value| Choice {
                value: value.clone(),
                label: value.clone(),
                count: 0,
                fill: fill(""),
                checked: true,
            });
            offered.chain(strange).collect()
        };
        let plain = |value: &str, label: &str, checked| Choice {
            value: value.to_owned(),
            label: label.to_owned(),
            count: -1,
            fill: String::new(),
            checked,
        };
        let by_itself = if query.words.is_empty() { "Newest" } else { "Best match" };
        let mut orders: Vec<_> =
            ORDERS.iter().map(|(word, label, _)| plain(word, label, query.order == *word)).collect();
        if query.words.is_empty() {
            orders[0].checked |= query.order.is_empty();
        } else {
            orders.insert(0, plain("", by_itself, query.order.is_empty()));
        }
        let mut audiences = vec![plain("", "Everyone", query.audience.is_empty())];
        audiences.extend(AUDIENCES.iter().map(|(word, label, _)| plain(word, label, query.audience == *word)));
        Self {
            sizes: choices(&facets.sizes, &query.sizes),
            colours: choices(&facets.colours, &query.colours),
            audiences,
            order_label: orders.iter().find(|order| order.checked).map_or(by_itself, |order| &order.label).to_owned(),
            orders,
            min: query.min.map(|price| price.to_string()).unwrap_or_default(),
            max: query.max.map(|price| price.to_string()).unwrap_or_default(),
            lowest: money::to_major(facets.lowest_price, currency),
            highest: money::to_major(facets.highest_price, currency).saturating_add(1),
            in_stock: query.in_stock,
            chips: chips(query, path, currency),
            clear_href: Query { words: query.words.clone(), order: query.order, ..Query::default() }.href(path),
        }
    }
}

fn chips(query: &Query, path: &str, currency: &str) -> Vec<Chip> {
    let mut chips = Vec::new();
    let mut add = |label: String, without: Query| chips.push(Chip { label, href: without.href(path) });
    let but = |values: &[String], index: usize| {
        let mut values = values.to_vec();
        values.remove(index);
        values
    };
    for (index, size) in query.sizes.iter().enumerate() {
        add(format!("Size {size}"), Query { sizes: but(&query.sizes, index), ..query.clone() });
    }
    for (index, colour) in query.colours.iter().enumerate() {
        add(colour.clone(), Query { colours: but(&query.colours, index), ..query.clone() });
    }
    let price = |major: i64| money::text(money::from_major(major, currency).unwrap_or_default(), currency);
    if let Some(min) = query.min {
        add(format!("From {}", price(min)), Query { min: None, ..query.clone() });
    }
    if let Some(max) = query.max {
        add(format!("Up to {}", price(max)), Query { max: None, ..query.clone() });
    }
    if query.in_stock {
        add("In stock".to_owned(), Query { in_stock: false, ..query.clone() });
    }
    if let Some((_, label, _)) = AUDIENCES.iter().find(|(word, ..)| *word == query.audience) {
        add((*label).to_owned(), Query { audience: "", ..query.clone() });
    }
    chips
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

    #[test]
    fn a_chip_takes_back_one_wish() {
        let query = parse("size=M&size=L&stock=1");
        let filters = Filters::new(&query, &Facets::default(), "/c/shirts", "EUR");
        let hrefs: Vec<_> = filters.chips.iter().map(|chip| chip.href.as_str()).collect();
        assert_eq!(hrefs, ["/c/shirts?size=L&stock=1", "/c/shirts?size=M&stock=1", "/c/shirts?size=M&size=L"]);
        assert_eq!(filters.clear_href, "/c/shirts");
        // Nothing has these sizes, and they are in the form all the same.
        assert!(filters.sizes.iter().all(|size| size.checked && size.count == 0));
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
