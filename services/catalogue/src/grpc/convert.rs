//! The domain's words in the API's.

use selvage_proto::catalogue::v1 as api;
use selvage_proto::money::v1::Money;
use selvage_proto::time::timestamp;

use crate::domain::card::Summary;
use crate::domain::listing::Facets;
use crate::domain::product::{Audience, Picture, Variant};
use crate::domain::stock::State;
use crate::store::{CategoryCount, Reservation, StoredProduct, StoredVariant, VariantOfProduct};

pub(super) fn product(stored: StoredProduct) -> api::Product {
    let etag = stored.etag();
    let (product, currency) = (stored.product, stored.currency);
    let variants = product.variants.into_iter().zip(stored.available);
    api::Product {
        slug: product.slug,
        title: product.title,
        description_html: product.description_html,
        category: product.category,
        audience: audience(product.audience).into(),
        material: product.material,
        care: product.care,
        tags: product.tags,
        image_urls: product.image_urls,
        picture: Some(picture(product.picture)),
        variants: variants.map(|(variant, available)| variant_of(variant, available, &currency)).collect(),
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag,
    }
}

pub(super) fn variant(stored: StoredVariant, currency: &str) -> api::Variant {
    variant_of(stored.variant, stored.available, currency)
}

fn variant_of(variant: Variant, available: i32, currency: &str) -> api::Variant {
    api::Variant {
        sku: variant.sku,
        size: variant.size,
        colour: variant.colour,
        colour_hex: variant.colour_hex,
        price: Some(Money::new(currency, variant.price)),
        compare_at_price: variant.compare_at.map(|price| Money::new(currency, price)),
        available,
        grams: variant.grams,
        initial_stock: 0,
    }
}

pub(super) fn product_variant(found: VariantOfProduct) -> api::ProductVariant {
    api::ProductVariant {
        variant: Some(variant(found.variant, &found.currency)),
        slug: found.slug,
        title: found.title,
        image_url: found.image_url,
        picture: Some(picture(found.picture)),
    }
}

pub(super) fn summary(summary: Summary) -> api::ProductSummary {
    api::ProductSummary {
        slug: summary.slug,
        title: summary.title,
        category: summary.category,
        price: Some(Money::new(&summary.currency, summary.price)),
        compare_at_price: summary.compare_at.map(|price| Money::new(&summary.currency, price)),
        price_varies: summary.price_varies,
        colours: summary.colours.into_iter().map(|(name, hex)| api::Colour { name, hex }).collect(),
        in_stock: summary.in_stock,
        image_url: summary.image_url,
        picture: Some(picture(summary.picture)),
        create_time: Some(timestamp(summary.created_at)),
    }
}

pub(super) fn count(products: u64) -> i32 {
    i32::try_from(products).unwrap_or(i32::MAX)
}

pub(super) fn facets(facets: Facets) -> api::Facets {
    let value = |value: String, hex: String, count: i64| api::FacetValue {
        value,
        product_count: i32::try_from(count).unwrap_or(i32::MAX),
        hex,
    };
    api::Facets {
        sizes: facets.sizes.into_iter().map(|(size, count)| value(size, String::new(), count)).collect(),
        colours: facets.colours.into_iter().map(|(colour, hex, count)| value(colour, hex, count)).collect(),
        categories: facets.categories.into_iter().map(|(slug, count)| value(slug, String::new(), count)).collect(),
        lowest_price: facets.prices.0,
        highest_price: facets.prices.1,
    }
}

pub(super) fn category(category: CategoryCount) -> api::Category {
    api::Category {
        slug: category.slug,
        title: category.title,
        blurb: category.blurb,
        product_count: i32::try_from(category.products).unwrap_or(i32::MAX),
    }
}

pub(super) fn reservation(reservation: Reservation) -> api::Reservation {
    let state = match reservation.state {
        State::Held => api::reservation::State::Held,
        State::Committed => api::reservation::State::Committed,
        State::Released => api::reservation::State::Released,
    };
    let lines = reservation.lines.into_iter();
    api::Reservation {
        reservation_id: reservation.id.to_string(),
        state: state.into(),
        lines: lines.map(|line| api::ReservationLine { sku: line.sku, quantity: line.quantity }).collect(),
        expire_time: Some(timestamp(reservation.expires_at)),
    }
}

fn picture(picture: Picture) -> api::Picture {
    api::Picture { garment: picture.garment, cut: picture.cut, pattern: picture.pattern, accent: picture.accent }
}

fn audience(audience: Audience) -> api::Audience {
    match audience {
        Audience::Everyone => api::Audience::Everyone,
        Audience::Women => api::Audience::Women,
        Audience::Men => api::Audience::Men,
    }
}
