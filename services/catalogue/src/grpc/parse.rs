//! Requests, checked: all wrong fields of a request are named at once.

use selvage_proto::catalogue::v1 as api;
use selvage_proto::money::v1::Money;
use selvage_status::{Error, FieldViolations, Result};
use uuid::Uuid;

use crate::domain::listing::{Cursor, Filter, Listing, Order, identity};
use crate::domain::product::{Audience, MAX_VARIANTS, Picture, Product, Variant, is_sku, is_slug};
use crate::domain::search;
use crate::domain::stock::Line;

const MAX_LINES: usize = 100;
const MAX_FILTER_VALUES: usize = 20;
const MAX_QUERY: usize = 200;
/// Products of a page that doesn't say its size.
const DEFAULT_PAGE: u64 = 24;
const MAX_PAGE: u64 = 100;

const NOT_A_UUID: &str = "must be a UUID";
const NOT_A_SKU: &str = "must be 1 to 64 of A-Z, 0-9, '-', '.', '_' and '/'";
const NOT_A_SLUG: &str = "must be 1 to 120 of a-z, 0-9 and single hyphens";

pub(super) fn reservation_id(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| Error::invalid("reservation_id", NOT_A_UUID))
}

pub(super) fn slug(field: &str, text: &str) -> Result<()> {
    if is_slug(text) { Ok(()) } else { Err(Error::invalid(field, NOT_A_SLUG)) }
}

pub(super) fn skus(skus: &[String]) -> Result<()> {
    let mut violations = FieldViolations::default();
    let count = skus.len();
    violations.require((1..=MAX_LINES).contains(&count), "skus", format!("must be 1 to {MAX_LINES}, are {count}"));
    let wrong = skus.iter().take(MAX_LINES).enumerate().filter(|(_, sku)| !is_sku(sku));
    wrong.for_each(|(index, _)| violations.add(format!("skus[{index}]"), NOT_A_SKU));
    violations.none()
}

/// Stock to set aside.
pub(super) struct ToReserve {
    pub(super) id: Uuid,
    pub(super) lines: Vec<Line>,
    /// For how long, in milliseconds.
    pub(super) hold_ms: i64,
}

pub(super) fn to_reserve(request: api::ReserveStockRequest) -> Result<ToReserve> {
    let mut violations = FieldViolations::default();
    let id = violations.parse("reservation_id", &request.reservation_id, NOT_A_UUID);
    let count = request.lines.len();
    violations.require((1..=MAX_LINES).contains(&count), "lines", format!("must be 1 to {MAX_LINES}, are {count}"));
    for (index, line) in request.lines.iter().take(MAX_LINES).enumerate() {
        violations.require(is_sku(&line.sku), format!("lines[{index}].sku"), NOT_A_SKU);
        let right = (1..=99).contains(&line.quantity);
        violations.require(right, format!("lines[{index}].quantity"), format!("must be 1 to 99, is {}", line.quantity));
    }
    let seconds = request.hold_seconds;
    let right = (60..=86_400).contains(&seconds);
    violations.require(right, "hold_seconds", format!("must be 60 to 86,400, is {seconds}"));
    let lines = request.lines.into_iter().map(|line| Line { sku: line.sku, quantity: line.quantity }).collect();
    violations.finish(id.map(|id| ToReserve { id, lines, hold_ms: i64::from(seconds) * 1000 }))
}

/// A change of stock on hand.
pub(super) struct Adjustment {
    pub(super) request_id: Uuid,
    pub(super) sku: String,
    pub(super) delta: i32,
}

pub(super) fn adjustment(request: api::AdjustStockRequest) -> Result<Adjustment> {
    let mut violations = FieldViolations::default();
    let request_id = violations.parse("request_id", &request.request_id, NOT_A_UUID);
    let (sku, delta) = (request.sku, request.delta);
    violations.require(is_sku(&sku), "sku", NOT_A_SKU);
    let right = delta != 0 && (-1_000_000..=1_000_000).contains(&delta);
    violations.require(right, "delta", "must be -1,000,000 to 1,000,000, and not 0");
    violations.finish(request_id.map(|request_id| Adjustment { request_id, sku, delta }))
}

/// A listing's request, with or without a query.
pub(super) struct Asked {
    pub(super) query: Option<String>,
    pub(super) page_size: i32,
    pub(super) page_token: String,
    pub(super) filter: Option<api::ProductFilter>,
    pub(super) order_by: i32,
    pub(super) with_facets: bool,
}

impl From<api::ListProductsRequest> for Asked {
    fn from(request: api::ListProductsRequest) -> Self {
        let api::ListProductsRequest { page_size, page_token, filter, order_by, with_facets } = request;
        Self { query: None, page_size, page_token, filter, order_by, with_facets }
    }
}

impl From<api::SearchProductsRequest> for Asked {
    fn from(request: api::SearchProductsRequest) -> Self {
        let api::SearchProductsRequest { query, page_size, page_token, filter, order_by, with_facets } = request;
        Self { query: Some(query), page_size, page_token, filter, order_by, with_facets }
    }
}

/// The listing, and what says which one it is.
pub(super) fn listing(asked: Asked) -> Result<(Listing, String)> {
    let mut violations = FieldViolations::default();
    let size = match asked.page_size {
        0 => Some(DEFAULT_PAGE),
        size => u64::try_from(size).ok().map(|size| size.min(MAX_PAGE)),
    };
    let size = violations.value("page_size", size, "must be 0 to 100");
    let text = asked.query.unwrap_or_default();
    let is_short = text.chars().count() <= MAX_QUERY;
    violations.require(is_short, "query", "must be at most 200 characters");
    let query = search::Query::parse(&text);
    let order = violations.value("order_by", order(asked.order_by, query.is_some()), "is none of ProductOrder");
    let filter = filter(asked.filter.unwrap_or_default(), &mut violations);
    // A page token is of one listing: without that there is none to compare it with.
    let (Some(size), Some(order), Some(filter)) = (size, order, filter) else { return violations.finish(None) };
    let identity = identity(&text, &filter, order);
    let after = match asked.page_token.as_str() {
        "" => None,
        token => {
            let cursor = Cursor::parse(token, &identity, order);
            violations.value(
                "page_token",
                cursor,
                "isn't one of this listing: begin again without it, or ask as before",
            )
        }
    };
    let listing = Listing { query, filter, order, after, size, with_facets: asked.with_facets };
    violations.finish(Some((listing, identity)))
}

fn order(value: i32, searching: bool) -> Option<Order> {
    Some(match api::ProductOrder::try_from(value).ok()? {
        api::ProductOrder::Unspecified if searching => Order::Relevance,
        api::ProductOrder::Unspecified | api::ProductOrder::Newest => Order::Newest,
        api::ProductOrder::PriceAscending => Order::PriceAscending,
        api::ProductOrder::PriceDescending => Order::PriceDescending,
        api::ProductOrder::Title => Order::Title,
    })
}

fn filter(filter: api::ProductFilter, violations: &mut FieldViolations) -> Option<Filter> {
    violations.require(filter.category.is_empty() || is_slug(&filter.category), "filter.category", NOT_A_SLUG);
    for (field, values) in [("filter.sizes", &filter.sizes), ("filter.colours", &filter.colours)] {
        let right =
            values.len() <= MAX_FILTER_VALUES && values.iter().all(|value| value.len() <= 240 && !value.contains('\0'));
        violations.require(right, field, "must be at most 20 values of 60 characters");
    }
    for (field, price) in [("filter.min_price", filter.min_price), ("filter.max_price", filter.max_price)] {
        violations.require(price.is_none_or(|price| price >= 0), field, "must not be negative");
    }
    let audience = match api::Audience::try_from(filter.audience) {
        Ok(api::Audience::Unspecified) => Some(None),
        Ok(wanted) => Some(Some(audience(wanted))),
        Err(_) => None,
    };
    let audience = violations.value("filter.audience", audience, NOT_AN_AUDIENCE)?;
    Some(Filter {
        category: filter.category,
        sizes: filter.sizes,
        colours: filter.colours,
        min_price: filter.min_price,
        max_price: filter.max_price,
        in_stock: filter.in_stock,
        audience,
    })
}

const NOT_AN_AUDIENCE: &str = "is none of Audience";

fn audience(audience: api::Audience) -> Audience {
    match audience {
        api::Audience::Women => Audience::Women,
        api::Audience::Men => Audience::Men,
        api::Audience::Everyone | api::Audience::Unspecified => Audience::Everyone,
    }
}

/// A whole product, checked and safe to show.
pub(super) fn product(product: api::Product, currency: &str) -> Result<Product> {
    let mut violations = FieldViolations::default();
    let audience = api::Audience::try_from(product.audience).map(audience).ok();
    let audience = violations.value("product.audience", audience, NOT_AN_AUDIENCE).unwrap_or_default();
    let picture = product.picture.unwrap_or_default();
    let mut money = |money: Option<Money>, field: String| {
        let money = money.unwrap_or_default();
        if money.currency != currency {
            violations.add(field, format!("must be in the shop's currency, {currency}"));
        }
        money.minor_units
    };
    let mut variants = Vec::with_capacity(product.variants.len().min(MAX_VARIANTS));
    for (index, variant) in product.variants.into_iter().enumerate() {
        variants.push(Variant {
            price: money(variant.price, format!("product.variants[{index}].price")),
            compare_at: variant
                .compare_at_price
                .map(|before| money(Some(before), format!("product.variants[{index}].compare_at_price"))),
            sku: variant.sku,
            size: variant.size,
            colour: variant.colour,
            colour_hex: variant.colour_hex,
            grams: variant.grams,
            stock: variant.initial_stock,
        });
    }
    let mut product = Product {
        slug: product.slug,
        title: product.title,
        description_html: product.description_html,
        category: product.category,
        audience,
        material: product.material,
        care: product.care,
        tags: product.tags,
        image_urls: product.image_urls,
        picture: Picture {
            garment: picture.garment,
            cut: picture.cut,
            pattern: picture.pattern,
            accent: picture.accent,
        },
        variants,
    };
    violations.add_below("product", product.check());
    violations.none()?;
    product.sanitise();
    Ok(product)
}

/// Takes the fields that `mask` names from `new` into `old`.
pub(super) fn masked(mut old: Product, new: Product, mask: &[String]) -> Result<Product> {
    let mut violations = FieldViolations::default();
    violations.require(!mask.is_empty(), "update_mask", "must name at least one field");
    for path in mask {
        match path.as_str() {
            "title" => old.title.clone_from(&new.title),
            "description_html" => old.description_html.clone_from(&new.description_html),
            "category" => old.category.clone_from(&new.category),
            "audience" => old.audience = new.audience,
            "material" => old.material.clone_from(&new.material),
            "care" => old.care.clone_from(&new.care),
            "tags" => old.tags.clone_from(&new.tags),
            "image_urls" => old.image_urls.clone_from(&new.image_urls),
            "picture" => old.picture = new.picture.clone(),
            "variants" => merge_variants(&mut old.variants, &new.variants),
            _ => violations.add("update_mask", format!("'{path}' is not a field that can be changed")),
        }
    }
    let count = old.variants.len();
    let description = format!("would be {count} with those that are there, of at most {MAX_VARIANTS}");
    violations.require(count <= MAX_VARIANTS, "product.variants", description);
    violations.finish(Some(old))
}

/// Variants with a known SKU are replaced, the others added.
fn merge_variants(old: &mut Vec<Variant>, new: &[Variant]) {
    for variant in new {
        match old.iter_mut().find(|known| known.sku == variant.sku) {
            Some(known) => known.clone_from(variant),
            None => old.push(variant.clone()),
        }
    }
}

/// An update's request with what its mask doesn't name filled in from what is stored, so that it is checked as a whole.
pub(super) fn masked_request(
    mut request: api::Product,
    stored: &crate::store::StoredProduct,
    mask: &[String],
    currency: &str,
) -> api::Product {
    let named = |field: &str| mask.iter().any(|path| path == field);
    let known = &stored.product;
    if !named("title") {
        request.title.clone_from(&known.title);
    }
    if !named("category") {
        request.category.clone_from(&known.category);
    }
    if !named("variants") {
        request.variants = known
            .variants
            .iter()
            .map(|variant| api::Variant {
                sku: variant.sku.clone(),
                size: variant.size.clone(),
                colour: variant.colour.clone(),
                colour_hex: variant.colour_hex.clone(),
                price: Some(Money::new(currency, variant.price)),
                compare_at_price: variant.compare_at.map(|price| Money::new(currency, price)),
                grams: variant.grams,
                ..api::Variant::default()
            })
            .collect();
    }
    request
}
