//! Products to rows and back. A row that isn't a product is damage, and said to be.

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::DbErr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::entity::{product, variant};
use super::products::{StoredProduct, StoredVariant};
use crate::domain::product::{Audience, Product, Variant};

/// A product's row; `version` and the moments are the caller's to set.
pub(super) fn product_row(product: &Product, currency: &str, now_ms: i64) -> Result<product::ActiveModel, DbErr> {
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
        tags: Set(json(&product.tags)?),
        image_urls: Set(json(&product.image_urls)?),
        picture: Set(json(&product.picture)?),
        colours: Set(json(&product.colours())?),
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

pub(super) fn product(row: product::Model, variants: Vec<variant::Model>) -> Result<StoredProduct, DbErr> {
    let available = variants.iter().map(|variant| variant.stock - variant.reserved).collect();
    let product = Product {
        slug: row.slug,
        title: row.title,
        description_html: row.description_html,
        category: row.category,
        audience: Audience::from_word(&row.audience),
        material: row.material,
        care: row.care,
        tags: parse(row.tags)?,
        image_urls: parse(row.image_urls)?,
        picture: parse(row.picture)?,
        variants: variants.into_iter().map(|row| variant(row).variant).collect(),
    };
    Ok(StoredProduct {
        product,
        available,
        currency: row.currency,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

pub(super) fn variant(row: variant::Model) -> StoredVariant {
    StoredVariant {
        available: row.stock - row.reserved,
        variant: Variant {
            sku: row.sku,
            size: row.size,
            colour: row.colour,
            colour_hex: row.colour_hex,
            price: row.price,
            compare_at: row.compare_at,
            grams: row.grams,
            stock: row.stock,
        },
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<Value, DbErr> {
    serde_json::to_value(value).map_err(|error| DbErr::Json(error.to_string()))
}

pub(super) fn parse<T: DeserializeOwned>(value: Value) -> Result<T, DbErr> {
    serde_json::from_value(value).map_err(|error| DbErr::Json(error.to_string()))
}
