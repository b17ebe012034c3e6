//! A product as the rows that are stored of it.

use sea_orm::ActiveValue::{NotSet, Set};
use selvage_pool::{StoreError, to_json};

use super::entity::{product, variant};
use crate::domain::product::Product;

/// A product's row; `version` and the moments are the caller's to set.
pub(super) fn product_row(product: &Product, currency: &str, now_ms: i64) -> Result<product::ActiveModel, StoreError> {
    let cheapest = product.cheapest();
    let [title, kind, material, description] = product.indexed();
    Ok(product::ActiveModel {
        id: NotSet,
        slug: Set(product.slug.clone()),
        title: Set(product.title.clone()),
        description_html: Set(product.description_html.clone()),
        category: Set(product.category.clone()),
        audience: Set(product.audience.word().to_owned()),
        material: Set(product.material.clone()),
        care: Set(product.care.clone()),
        tags: Set(to_json("tags", &product.tags)?),
        image_urls: Set(to_json("image_urls", &product.image_urls)?),
        picture: Set(to_json("picture", &product.picture)?),
        colours: Set(to_json("colours", &product.colours())?),
        currency: Set(currency.to_owned()),
        from_price: Set(cheapest.map_or(0, |variant| variant.price)),
        from_compare_at: Set(cheapest.and_then(|variant| variant.compare_at)),
        price_varies: Set(product.price_varies()),
        fingerprint: Set(product.fingerprint()),
        version: Set(1),
        created_at: Set(now_ms),
        updated_at: Set(now_ms),
        search_title: Set(title),
        search_kind: Set(kind),
        search_material: Set(material),
        search_description: Set(description),
    })
}

/// The rows of a product's variants, in their order. None of their stock is reserved yet.
pub(super) fn variant_rows(product: &Product) -> Vec<variant::ActiveModel> {
    let rows = product.variants.iter().zip(0..).map(|(variant, position)| variant::ActiveModel {
        sku: Set(variant.sku.clone()),
        product: Set(product.slug.clone()),
        position: Set(position),
        size: Set(variant.size.clone()),
        colour: Set(variant.colour.clone()),
        colour_hex: Set(variant.colour_hex.clone()),
        price: Set(variant.price),
        compare_at: Set(variant.compare_at),
        grams: Set(variant.grams),
        stock: Set(variant.stock),
        reserved: Set(0),
        withdrawn: Set(false),
    });
    rows.collect()
}
