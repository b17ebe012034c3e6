//! Requests, checked.

use selvage_proto::catalogue::v1 as api;
use selvage_proto::money::v1::Money;
use selvage_status::{Error, ErrorCode, Result};
use uuid::Uuid;

use crate::domain::listing::{Cursor, Filter, Order, identity};
use crate::domain::product::{Audience, MAX_VARIANTS, Picture, Product, Variant, Wrong, is_sku, is_slug};
use crate::domain::search;
use crate::domain::stock::Line;
use crate::store::Listing;

const MAX_LINES: usize = 100;
const MAX_FILTER_VALUES: usize = 20;
const MAX_QUERY: usize = 200;

pub(super) fn uuid(field: &str, text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::invalid(field, "must be a UUID"))
}

pub(super) fn slug(field: &str, text: &str) -> Result<()> {
    if is_slug(text) { Ok(()) } else { Err(Error::invalid(field, "must be 1 to 120 of a-z, 0-9 and single hyphens")) }
}

pub(super) fn sku(field: &str, text: &str) -> Result<()> {
    if is_sku(text) { Ok(()) } else { Err(Error::invalid(field, "must be 1 to 64 of A-Z, 0-9, '-', '.', '_' and '/'")) }
}

pub(super) fn skus(skus: &[String]) -> Result<()> {
    if !(1..=MAX_LINES).contains(&skus.len()) {
        return Err(Error::invalid("skus", format!("must be 1 to {MAX_LINES}, are {}", skus.len())));
    }
    all(skus.iter().enumerate().filter_map(|(index, text)| sku(&format!("skus[{index}]"), text).err()))
}

pub(super) fn lines(lines: Vec<api::ReservationLine>) -> Result<Vec<Line>> {
    if !(1..=MAX_LINES).contains(&lines.len()) {
        return Err(Error::invalid("lines", format!("must be 1 to {MAX_LINES}, are {}", lines.len())));
    }
    let wrong = lines.iter().enumerate().filter_map(|(index, line)| {
        let quantity = format!("lines[{index}].quantity");
        sku(&format!("lines[{index}].sku"), &line.sku).err().or_else(|| {
            let right = (1..=99).contains(&line.quantity);
            (!right).then(|| Error::invalid(quantity, format!("must be 1 to 99, is {}", line.quantity)))
        })
    });
    all(wrong)?;
    Ok(lines.into_iter().map(|line| Line { sku: line.sku, quantity: line.quantity }).collect())
}

/// The first of the errors, if there is one.
fn all(mut wrong: impl Iterator<Item = Error>) -> Result<()> {
    wrong.next().map_or(Ok(()), Err)
}

pub(super) fn hold_seconds(seconds: i32) -> Result<i64> {
    if (60..=86_400).contains(&seconds) {
        Ok(i64::from(seconds) * 1000)
    } else {
        Err(Error::invalid("hold_seconds", format!("must be 60 to 86,400, is {seconds}")))
    }
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

/// The listing, and what says which one it is.
pub(super) fn listing(asked: Asked) -> Result<(Listing, String)> {
    let size = match asked.page_size {
        0 => 24,
        size => u64::try_from(size).map_err(|_| Error::invalid("page_size", format!("must be 0 to 100, is {size}")))?,
    };
    let text = asked.query.unwrap_or_default();
    if text.chars().count() > MAX_QUERY {
        return Err(Error::invalid("query", format!("must be at most {MAX_QUERY} characters")));
    }
    let query = search::Query::parse(&text);
    let order = order(asked.order_by, query.is_some())?;
    let filter = filter(asked.filter.unwrap_or_default())?;
    let identity = identity(&text, &filter, order);
    let after = match asked.page_token.as_str() {
        "" => None,
        token => Some(Cursor::parse(token, &identity, order).ok_or_else(|| {
            Error::invalid("page_token", "isn't one of this listing: begin again without it, or ask as before")
        })?),
    };
    Ok((Listing { query, filter, order, after, size: size.min(100), with_facets: asked.with_facets }, identity))
}

fn order(value: i32, searching: bool) -> Result<Order> {
    match api::ProductOrder::try_from(value) {
        Ok(api::ProductOrder::Unspecified) => Ok(if searching { Order::Relevance } else { Order::Newest }),
        Ok(api::ProductOrder::Newest) => Ok(Order::Newest),
        Ok(api::ProductOrder::PriceAscending) => Ok(Order::PriceAscending),
        Ok(api::ProductOrder::PriceDescending) => Ok(Order::PriceDescending),
        Ok(api::ProductOrder::Title) => Ok(Order::Title),
        Err(_) => Err(Error::invalid("order_by", format!("is none of ProductOrder: {value}"))),
    }
}

fn filter(filter: api::ProductFilter) -> Result<Filter> {
    if !filter.category.is_empty() {
        slug("filter.category", &filter.category)?;
    }
    for (field, values) in [("filter.sizes", &filter.sizes), ("filter.colours", &filter.colours)] {
        if values.len() > MAX_FILTER_VALUES || values.iter().any(|value| value.len() > 240 || value.contains('\0')) {
            return Err(Error::invalid(field, format!("must be at most {MAX_FILTER_VALUES} values of 60 characters")));
        }
    }
    for (field, price) in [("filter.min_price", filter.min_price), ("filter.max_price", filter.max_price)] {
        if price.is_some_and(|price| price < 0) {
            return Err(Error::invalid(field, "must not be negative"));
        }
    }
    let audience = match api::Audience::try_from(filter.audience) {
        Ok(api::Audience::Unspecified) => None,
        Ok(wanted) => Some(audience(wanted)),
        Err(_) => return Err(Error::invalid("filter.audience", "is none of Audience")),
    };
    Ok(Filter {
        category: filter.category,
        sizes: filter.sizes,
        colours: filter.colours,
        min_price: filter.min_price,
        max_price: filter.max_price,
        in_stock: filter.in_stock,
        audience,
    })
}

fn audience(audience: api::Audience) -> Audience {
    match audience {
        api::Audience::Women => Audience::Women,
        api::Audience::Men => Audience::Men,
        api::Audience::Everyone | api::Audience::Unspecified => Audience::Everyone,
    }
}

/// A whole product, checked and safe to show.
pub(super) fn product(product: api::Product, currency: &str) -> Result<Product> {
    let mut wrong: Vec<Wrong> = Vec::new();
    let audience = api::Audience::try_from(product.audience).map(audience).unwrap_or_else(|_| {
        wrong.push(("audience".into(), "is none of Audience".into()));
        Audience::Everyone
    });
    let picture = product.picture.unwrap_or_default();
    let mut money = |money: Option<Money>, field: String| {
        let money = money.unwrap_or_default();
        if money.currency != currency {
            wrong.push((field, format!("must be in the shop's currency, {currency}")));
        }
        money.minor_units
    };
    let mut variants = Vec::with_capacity(product.variants.len().min(200));
    for (index, variant) in product.variants.into_iter().enumerate() {
        variants.push(Variant {
            price: money(variant.price, format!("variants[{index}].price")),
            compare_at: variant
                .compare_at_price
                .map(|before| money(Some(before), format!("variants[{index}].compare_at_price"))),
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
    wrong.extend(product.check());
    if wrong.is_empty() {
        product.sanitise();
        return Ok(product);
    }
    let error = Error::new(ErrorCode::InvalidArgument, "the product has wrong fields");
    Err(wrong.into_iter().fold(error, |error, (field, why)| error.field(format!("product.{field}"), why)))
}

/// Takes the fields that `mask` names from `new` into `old`.
pub(super) fn masked(mut old: Product, new: Product, mask: &[String]) -> Result<Product> {
    if mask.is_empty() {
        return Err(Error::invalid("update_mask", "must name at least one field"));
    }
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
            "variants" => {
                for variant in &new.variants {
                    match old.variants.iter_mut().find(|known| known.sku == variant.sku) {
                        Some(known) => known.clone_from(variant),
                        None => old.variants.push(variant.clone()),
                    }
                }
                if old.variants.len() > MAX_VARIANTS {
                    let many =
                        format!("would be {} with those that are there, of at most {MAX_VARIANTS}", old.variants.len());
                    return Err(Error::invalid("product.variants", many));
                }
            }
            _ => return Err(Error::invalid("update_mask", format!("'{path}' is not a field that can be changed"))),
        }
    }
    Ok(old)
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
                price: Some(Money { currency: currency.to_owned(), minor_units: variant.price }),
                compare_at_price: variant
                    .compare_at
                    .map(|minor_units| Money { currency: currency.to_owned(), minor_units }),
                grams: variant.grams,
                ..api::Variant::default()
            })
            .collect();
    }
    request
}
