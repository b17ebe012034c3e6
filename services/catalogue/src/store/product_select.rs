//! The statements by which products and variants are read, and what their rows become.

use std::sync::LazyLock;

use sea_orm::{DbBackend, FromQueryResult, Statement, TryGetableFromJson};
use selvage_pool::{StoreError, to_json};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::entity::{product, variant};
use super::stored::{StoredProduct, StoredVariant, VariantOfProduct};
use crate::domain::product::{Audience, Picture, Product, Variant};

/// A product with the variants that are sold, in one row of one statement.
///
/// Plain SQL, for three reasons that were measured with 30 variants. A join repeats the product's wide columns 30 times,
/// and cost PostgreSQL more than the two statements before it; an array of arrays costs it as much as the variants alone.
/// SeaORM looks each of a row's columns up by name, 30 × 9 times in rows of their own. And it would write the same
/// statement anew for each call.
#[derive(FromQueryResult)]
pub(super) struct ProductRow {
    slug: String,
    title: String,
    description_html: String,
    category: String,
    audience: String,
    material: String,
    care: String,
    tags: FromJson<Vec<String>>,
    image_urls: FromJson<Vec<String>>,
    picture: FromJson<Picture>,
    currency: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
    /// `None`, or an empty array, without any.
    variants: Option<FromJson<Vec<VariantRow>>>,
}

/// A variant: the columns of a row, or an array of JSON whose values are in the order of these fields.
#[derive(Deserialize, FromQueryResult)]
pub(super) struct VariantRow {
    sku: String,
    size: String,
    colour: String,
    colour_hex: String,
    price: i64,
    compare_at: Option<i64>,
    grams: i32,
    stock: i32,
    reserved: i32,
}

const PRODUCT_COLUMNS: &str = "slug, title, description_html, category, audience, material, care, tags, image_urls, \
    picture, currency, version, created_at, updated_at";
const POSTGRES_VARIANTS: &str = "SELECT json_agg(json_build_array(sku, size, colour, colour_hex, price, compare_at, \
    grams, stock, reserved) ORDER BY position) FROM variants WHERE product = slug AND NOT withdrawn";
const SQLITE_VARIANTS: &str = "SELECT json_group_array(json_array(sku, size, colour, colour_hex, price, compare_at, \
    grams, stock, reserved) ORDER BY position) FROM variants WHERE product = slug AND NOT withdrawn";

impl ProductRow {
    /// The statement, by which there is one or none.
    pub(super) fn statement(slug: &str, backend: DbBackend) -> Statement {
        static WRITTEN: LazyLock<[String; 2]> = LazyLock::new(|| {
            [POSTGRES_VARIANTS, SQLITE_VARIANTS].map(|variants| {
                format!("SELECT {PRODUCT_COLUMNS}, ({variants}) AS variants FROM products WHERE slug = $1")
            })
        });
        let sql = &WRITTEN[usize::from(backend != DbBackend::Postgres)];
        Statement::from_sql_and_values(backend, sql, [slug.into()])
    }

    /// The statement by which all are read, `size` at a time: those behind the slug `last`.
    pub(super) fn walk(last: &str, size: u64, backend: DbBackend) -> Statement {
        static WRITTEN: LazyLock<[String; 2]> = LazyLock::new(|| {
            [POSTGRES_VARIANTS, SQLITE_VARIANTS].map(|variants| {
                format!(
                    "SELECT {PRODUCT_COLUMNS}, ({variants}) AS variants FROM products WHERE slug > $1 ORDER BY slug LIMIT $2"
                )
            })
        });
        let sql = &WRITTEN[usize::from(backend != DbBackend::Postgres)];
        Statement::from_sql_and_values(backend, sql, [last.into(), size.into()])
    }
}

/// One of several products that are asked for at once.
#[derive(FromQueryResult)]
pub(super) struct RequestedRow {
    /// Where it stands among those that were asked for, from 1 on.
    pub(super) place: i64,
    #[sea_orm(nested)]
    pub(super) product: ProductRow,
}

impl RequestedRow {
    /// PostgreSQL's statement, by which there is one or none for each of `slugs`, and for one that is there twice two.
    pub(super) fn statement(slugs: &[String]) -> Result<Statement, StoreError> {
        static WRITTEN: LazyLock<String> = LazyLock::new(|| {
            format!(
                "SELECT place, {PRODUCT_COLUMNS}, ({POSTGRES_VARIANTS}) AS variants \
                 FROM jsonb_array_elements_text($1) WITH ORDINALITY AS asked (wanted, place) \
                 JOIN products ON slug = wanted"
            )
        });
        // An array of texts as a parameter would need a feature of SeaORM's that nothing else does.
        Ok(Statement::from_sql_and_values(DbBackend::Postgres, &*WRITTEN, [to_json("slugs", &slugs)?.into()]))
    }
}

impl From<ProductRow> for StoredProduct {
    fn from(row: ProductRow) -> Self {
        let sold = row.variants.map(|sold| sold.0).unwrap_or_default();
        let available = sold.iter().map(|sold| sold.stock - sold.reserved).collect();
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
            variants: sold.into_iter().map(Variant::from).collect(),
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

impl From<VariantRow> for Variant {
    fn from(row: VariantRow) -> Self {
        Self {
            sku: row.sku,
            size: row.size,
            colour: row.colour,
            colour_hex: row.colour_hex,
            price: row.price,
            compare_at: row.compare_at,
            grams: row.grams,
            stock: row.stock,
        }
    }
}

impl From<VariantRow> for StoredVariant {
    fn from(row: VariantRow) -> Self {
        Self { available: row.stock - row.reserved, variant: row.into() }
    }
}

/// A variant with what a line of a cart shows of its product.
#[derive(FromQueryResult)]
pub(super) struct VariantOfProductRow {
    #[sea_orm(nested)]
    variant: VariantRow,
    slug: String,
    title: String,
    currency: String,
    image_urls: FromJson<Vec<String>>,
    picture: FromJson<Picture>,
}

impl VariantOfProductRow {
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

impl From<VariantOfProductRow> for VariantOfProduct {
    fn from(row: VariantOfProductRow) -> Self {
        Self {
            variant: row.variant.into(),
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
pub(super) struct FromJson<T>(pub(super) T);

impl<T: DeserializeOwned> TryGetableFromJson for FromJson<T> {}
