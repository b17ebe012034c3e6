//! Products to rows and back. A row that isn't a product is damage, and said to be.

use std::sync::LazyLock;

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{DbBackend, DbErr, FromQueryResult, Statement, TryGetableFromJson};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entity::{product, variant};
use super::products::{StoredProduct, StoredVariant, VariantOf};
use crate::domain::product::{Audience, Picture, Product, Variant};

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

/// A product with the variants that are sold, in one row of one statement.
///
/// Plain SQL, for three reasons that were measured with 30 variants. A join repeats the product's wide columns 30 times,
/// and cost PostgreSQL more than the two statements before it; an array of arrays costs it as much as the variants alone.
/// SeaORM looks each of a row's columns up by name, 30 × 9 times in rows of their own. And it would write the same
/// statement anew for each call.
#[derive(FromQueryResult)]
pub(super) struct Whole {
    slug: String,
    title: String,
    description_html: String,
    category: String,
    audience: String,
    material: String,
    care: String,
    tags: Parsed<Vec<String>>,
    image_urls: Parsed<Vec<String>>,
    picture: Parsed<Picture>,
    currency: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
    /// `None`, or an empty array, without any.
    variants: Option<Parsed<Vec<Sold>>>,
}

/// SKU, size, colour, its digits, price, price before, grams, stock, reserved.
type Sold = (String, String, String, String, i64, Option<i64>, i32, i32, i32);

const COLUMNS: &str = "slug, title, description_html, category, audience, material, care, tags, image_urls, picture, \
    currency, version, created_at, updated_at";
/// Sorted before they are gathered, which was no slower than an aggregate that sorts for itself, and faster as a rule.
const POSTGRES_VARIANTS: &str = "SELECT json_agg(json_build_array(sku, size, colour, colour_hex, price, compare_at, \
    grams, stock, reserved)) FROM (SELECT * FROM variants WHERE product = slug AND NOT withdrawn ORDER BY position) AS sold";
const SQLITE_VARIANTS: &str = "SELECT json_group_array(json_array(sku, size, colour, colour_hex, price, compare_at, \
    grams, stock, reserved) ORDER BY position) FROM variants WHERE product = slug AND NOT withdrawn";

impl Whole {
    /// The statement, by which there is one or none.
    pub(super) fn of(slug: &str, backend: DbBackend) -> Statement {
        static WRITTEN: LazyLock<[String; 2]> = LazyLock::new(|| {
            [POSTGRES_VARIANTS, SQLITE_VARIANTS]
                .map(|variants| format!("SELECT {COLUMNS}, ({variants}) AS variants FROM products WHERE slug = $1"))
        });
        let sql = &WRITTEN[usize::from(backend != DbBackend::Postgres)];
        Statement::from_sql_and_values(backend, sql, [slug.into()])
    }
}

/// One of several products that are asked for at once.
#[derive(FromQueryResult)]
pub(super) struct WholeOf {
    /// Where it stands among those that were asked for, from 1 on.
    pub(super) place: i64,
    #[sea_orm(nested)]
    pub(super) whole: Whole,
}

impl WholeOf {
    /// PostgreSQL's statement, by which there is one or none for each of `slugs`, and for one that is there twice two.
    pub(super) fn each(slugs: &[String]) -> Result<Statement, DbErr> {
        static WRITTEN: LazyLock<String> = LazyLock::new(|| {
            format!(
                "SELECT place, {COLUMNS}, ({POSTGRES_VARIANTS}) AS variants \
                 FROM jsonb_array_elements_text($1) WITH ORDINALITY AS asked (wanted, place) \
                 JOIN products ON slug = wanted"
            )
        });
        // An array of texts as a parameter would need a feature of SeaORM's that nothing else does.
        Ok(Statement::from_sql_and_values(DbBackend::Postgres, &*WRITTEN, [json(&slugs)?.into()]))
    }
}

impl From<Whole> for StoredProduct {
    fn from(row: Whole) -> Self {
        let sold = row.variants.map(|sold| sold.0).unwrap_or_default();
        let available = sold.iter().map(|sold| sold.7 - sold.8).collect();
        let variant = |(sku, size, colour, colour_hex, price, compare_at, grams, stock, _reserved)| Variant {
            sku,
            size,
            colour,
            colour_hex,
            price,
            compare_at,
            grams,
            stock,
        };
        let product = Product {
            slug: row.slug,
            title: row.title,
            description_html: row.description_html,
            category: row.category,
            audience: Audience::from_word(&row.audience),
            material: row.material,
            care: row.care,
            tags: row.tags.0,
            image_urls: row.image_urls.0,
            picture: row.picture.0,
            variants: sold.into_iter().map(variant).collect(),
        };
        Self {
            product,
            available,
            currency: row.currency,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A variant with what a line shows of its product.
#[derive(FromQueryResult)]
pub(super) struct Offered {
    sku: String,
    size: String,
    colour: String,
    colour_hex: String,
    price: i64,
    compare_at: Option<i64>,
    grams: i32,
    stock: i32,
    reserved: i32,
    slug: String,
    title: String,
    currency: String,
    image_urls: Parsed<Vec<String>>,
    picture: Parsed<Picture>,
}

impl Offered {
    pub(super) const OF_VARIANT: [variant::Column; 9] = [
        variant::Column::Sku,
        variant::Column::Size,
        variant::Column::Colour,
        variant::Column::ColourHex,
        variant::Column::Price,
        variant::Column::CompareAt,
        variant::Column::Grams,
        variant::Column::Stock,
        variant::Column::Reserved,
    ];
    pub(super) const OF_PRODUCT: [product::Column; 5] = [
        product::Column::Slug,
        product::Column::Title,
        product::Column::Currency,
        product::Column::ImageUrls,
        product::Column::Picture,
    ];
}

impl From<Offered> for VariantOf {
    fn from(row: Offered) -> Self {
        let variant = Variant {
            sku: row.sku,
            size: row.size,
            colour: row.colour,
            colour_hex: row.colour_hex,
            price: row.price,
            compare_at: row.compare_at,
            grams: row.grams,
            stock: row.stock,
        };
        Self {
            variant: StoredVariant { variant, available: row.stock - row.reserved },
            currency: row.currency,
            slug: row.slug,
            title: row.title,
            image_url: row.image_urls.0.into_iter().next().unwrap_or_default(),
            picture: row.picture.0,
        }
    }
}

/// A column of JSON, read into what it is without a tree of values in between.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Parsed<T>(pub(super) T);

impl<T: DeserializeOwned> TryGetableFromJson for Parsed<T> {}

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
