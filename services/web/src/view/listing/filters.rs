//! The form by which a listing is narrowed, and the filters in force.

use selvage_proto::catalogue::v1::{FacetValue, Facets};

use super::query::Query;
use super::words::{AUDIENCES, ORDERS};
use crate::view::money;
use crate::view::picture::fill;

/// A value that the listing can be narrowed to, in the filter form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// As it stands in the address.
    pub value: String,
    /// As people read it.
    pub label: String,
    /// How many products have it; `None` if that isn't counted.
    pub count: Option<i32>,
    /// Of a colour, as SVG takes it.
    pub fill: String,
    /// Whether the address asks for it.
    pub checked: bool,
}

/// A filter in force, with the address that no longer asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chip {
    /// As people read it.
    pub label: String,
    /// The listing without it.
    pub href: String,
}

/// The filter form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Sizes that occur.
    pub sizes: Vec<Choice>,
    /// Colours that occur.
    pub colours: Vec<Choice>,
    /// For whom.
    pub audiences: Vec<Choice>,
    /// In which order.
    pub orders: Vec<Choice>,
    /// The order in use, in words.
    pub order_label: String,
    /// The lowest price asked for, as it stands in its field; empty if none is.
    pub min: String,
    /// The highest price asked for; see `min`.
    pub max: String,
    /// The lowest and the highest price in the listing, in major units; `None` if nothing is in it.
    pub prices: Option<(i64, i64)>,
    /// Only what can be bought now.
    pub in_stock: bool,
    /// The filters in force.
    pub chips: Vec<Chip>,
    /// The address that asks for nothing but the category or the words.
    pub clear_href: String,
}

impl Filters {
    /// The form for `query` at `path`, with the values that occur in the listing; `None` if nothing is in it.
    pub fn new(query: &Query, facets: Option<&Facets>, path: &str, currency: &str) -> Self {
        let choices = |facets: &[FacetValue], asked: &[String]| -> Vec<Choice> {
            let offered = facets.iter().map(|facet| Choice {
                value: facet.value.clone(),
                label: facet.value.clone(),
                count: Some(facet.product_count),
                fill: fill(&facet.hex),
                checked: asked.contains(&facet.value),
            });
            // A value that the address asks for stays in the form, even if no product has it.
            let unoffered = asked.iter().filter(|value| !facets.iter().any(|facet| facet.value == **value));
            let unoffered = unoffered.map(|value| Choice {
                value: value.clone(),
                label: value.clone(),
                count: Some(0),
                fill: fill(""),
                checked: true,
            });
            offered.chain(unoffered).collect()
        };
        let plain = |value: &str, label: &str, checked| Choice {
            value: value.to_owned(),
            label: label.to_owned(),
            count: None,
            fill: String::new(),
            checked,
        };
        let default_order = if query.words.is_empty() { "Newest" } else { "Best match" };
        let mut orders: Vec<_> =
            ORDERS.iter().map(|(word, label, _)| plain(word, label, query.order == *word)).collect();
        if query.words.is_empty() {
            orders[0].checked |= query.order.is_empty();
        } else {
            orders.insert(0, plain("", default_order, query.order.is_empty()));
        }
        let mut audiences = vec![plain("", "Everyone", query.audience.is_empty())];
        audiences.extend(AUDIENCES.iter().map(|(word, label, _)| plain(word, label, query.audience == *word)));
        Self {
            sizes: choices(facets.map_or(&[], |facets| &facets.sizes), &query.sizes),
            colours: choices(facets.map_or(&[], |facets| &facets.colours), &query.colours),
            audiences,
            order_label: orders
                .iter()
                .find(|order| order.checked)
                .map_or(default_order, |order| &order.label)
                .to_owned(),
            orders,
            min: query.min.map(|price| price.to_string()).unwrap_or_default(),
            max: query.max.map(|price| price.to_string()).unwrap_or_default(),
            // Facets of no products have 0 for both.
            prices: facets.filter(|facets| facets.highest_price > 0).map(|facets| {
                let [low, high] = [facets.lowest_price, facets.highest_price];
                (money::to_major(low, currency), money::to_major(high, currency).saturating_add(1))
            }),
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
    let price = |major: i64| money::text(money::from_major(major, currency), currency);
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
    use super::*;
    use crate::fields::Fields;

    #[test]
    fn a_chip_takes_back_one_wish() {
        let query = Query::parse(&Fields::parse(b"size=M&size=L&stock=1"));
        let filters = Filters::new(&query, None, "/c/shirts", "EUR");
        let hrefs: Vec<_> = filters.chips.iter().map(|chip| chip.href.as_str()).collect();
        assert_eq!(hrefs, ["/c/shirts?size=L&stock=1", "/c/shirts?size=M&stock=1", "/c/shirts?size=M&size=L"]);
        assert_eq!(filters.clear_href, "/c/shirts");
        // No product has these sizes, and they are in the form all the same.
        assert!(filters.sizes.iter().all(|size| size.checked && size.count == Some(0)));
    }

    #[test]
    fn an_empty_listing_has_no_prices_rather_than_0() {
        let (none, some) =
            (Facets::default(), Facets { lowest_price: 1990, highest_price: 24_900, ..Facets::default() });
        for (facets, expected) in [(None, None), (Some(&none), None), (Some(&some), Some((19, 250)))] {
            assert_eq!(Filters::new(&Query::default(), facets, "/search", "EUR").prices, expected);
        }
    }
}
