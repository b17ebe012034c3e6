//! Products, variants and categories.

use std::collections::{BTreeMap, HashMap};

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, ExprTrait as _, FromQueryResult as _,
    JoinType, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement,
};
use selvage_pool::{Class, Tx, is_unique_violation};

use super::entity::{category, product, variant};
use super::rows::{Offered, Whole, WholeOf};
use super::{Store, rows};
use crate::domain::product::{Picture, Product, Variant};

/// How often storing is tried: each failure means that another has stored something of the same, and two imports of one
/// feed, of which each batch meets two or three of the other's, get past each other.
const RACES: u32 = 5;

/// A product as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProduct {
    /// It.
    pub product: Product,
    /// What can be bought now of each variant, in their order.
    pub available: Vec<i32>,
    /// ISO 4217.
    pub currency: String,
    /// Grows with each change.
    pub version: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
}

/// A variant as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVariant {
    /// It, with its stock on hand.
    pub variant: Variant,
    /// What can be bought now.
    pub available: i32,
}

/// A variant with what a line shows of its product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantOf {
    /// It.
    pub variant: StoredVariant,
    /// ISO 4217.
    pub currency: String,
    /// Its product.
    pub slug: String,
    /// The product's title.
    pub title: String,
    /// The product's first photograph, if it has one.
    pub image_url: String,
    /// What is drawn.
    pub picture: Picture,
}

/// A category and how many products it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryCount {
    /// Its id.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// One sentence.
    pub blurb: String,
    /// How many products.
    pub products: u64,
}

/// Why a product can't be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkuTaken {
    /// The SKU.
    pub sku: String,
    /// The product that has it.
    pub by: String,
}

/// What became of storing a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Done,
    /// There is one with its slug.
    SlugTaken,
    /// One of its SKUs is another product's.
    SkuTaken(SkuTaken),
    /// It isn't the version that the caller meant.
    Changed,
    /// There is none with that slug.
    Missing,
}

/// What became of keeping many products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// New ones.
    pub created: u64,
    /// Those that were different.
    pub updated: u64,
    /// Those that were there already.
    pub unchanged: u64,
    /// Those that couldn't be stored, each by its slug.
    pub refused: Vec<(String, SkuTaken)>,
}

impl Store {
    /// One product with the variants that are sold: one statement.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn product_get(&self, slug: &str) -> Result<Option<StoredProduct>, DbErr> {
        if self.has_one_writer() {
            // A file of this machine answers without a round trip: there is nothing to save.
            return self.product_read(slug).await;
        }
        self.products
            .get(slug, async |slugs| match slugs.as_slice() {
                [slug] => Ok(vec![self.product_read(slug).await?]),
                slugs => self.products_read(slugs).await,
            })
            .await
    }

    async fn product_read(&self, slug: &str) -> Result<Option<StoredProduct>, DbErr> {
        let db = self.pool.named("product_get", Class::Sheddable);
        let row = Whole::find_by_statement(self.product_get_statement(slug)).one(&db).await?;
        Ok(row.map(StoredProduct::from))
    }

    /// The products behind `slugs`, each in its place: one statement.
    async fn products_read(&self, slugs: &[String]) -> Result<Vec<Option<StoredProduct>>, DbErr> {
        let db = self.pool.named("product_get", Class::Sheddable);
        let rows = WholeOf::find_by_statement(WholeOf::each(slugs)?).all(&db).await?;
        let mut found: Vec<_> = slugs.iter().map(|_| None).collect();
        for row in rows {
            let place = usize::try_from(row.place).ok().and_then(|place| found.get_mut(place.checked_sub(1)?));
            *place.ok_or_else(|| DbErr::Custom(format!("place {} was not asked for", row.place)))? =
                Some(row.whole.into());
        }
        Ok(found)
    }

    /// What [`Store::product_get`] asks the database, for those who measure what the database takes for it.
    pub fn product_get_statement(&self, slug: &str) -> Statement {
        Whole::of(slug, self.pool.backend())
    }

    /// The variants behind SKUs that are sold, each with its product, in no order: one statement.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn variants_get(&self, skus: &[String]) -> Result<Vec<VariantOf>, DbErr> {
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        let db = self.pool.named("variants_get", Class::Normal);
        let product =
            variant::Entity::belongs_to(product::Entity).from(variant::Column::Product).to(product::Column::Slug);
        // Of a product no more than a line shows: its texts are many times as large.
        let rows = variant::Entity::find()
            .select_only()
            .columns(Offered::OF_VARIANT)
            .columns(Offered::OF_PRODUCT)
            .join(JoinType::InnerJoin, product.into())
            .filter(variant::Column::Sku.is_in(skus))
            .filter(variant::Column::Withdrawn.eq(false))
            .into_model::<Offered>()
            .all(&db)
            .await?;
        Ok(rows.into_iter().map(VariantOf::from).collect())
    }

    /// All categories in the shop's order: two statements.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn category_list(&self) -> Result<Vec<CategoryCount>, DbErr> {
        let db = self.pool.named("category_list", Class::Sheddable);
        let categories = category::Entity::find()
            .order_by_asc(category::Column::Position)
            .order_by_asc(category::Column::Slug)
            .all(&db)
            .await?;
        let counts: Vec<(String, i64)> = product::Entity::find()
            .select_only()
            .column(product::Column::Category)
            .column_as(product::Column::Id.count(), "products")
            .group_by(product::Column::Category)
            .into_tuple()
            .all(&db)
            .await?;
        let counts: HashMap<_, _> = counts.into_iter().collect();
        let category = |row: category::Model| CategoryCount {
            products: counts.get(&row.slug).copied().and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
            slug: row.slug,
            title: row.title,
            blurb: row.blurb,
        };
        Ok(categories.into_iter().map(category).collect())
    }

    /// Adds categories (slug, title, blurb) that are not there yet, behind those that are.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn categories_keep(&self, categories: &[(String, String, String)]) -> Result<(), DbErr> {
        if categories.is_empty() {
            return Ok(());
        }
        self.pool
            .run_tx("categories_keep", Class::Normal, |tx| async move {
                let there = category::Entity::find().count(&tx).await?;
                let first = i32::try_from(there).unwrap_or(i32::MAX / 2);
                let rows =
                    categories.iter().zip(first..).map(|((slug, title, blurb), position)| category::ActiveModel {
                        slug: Set(slug.clone()),
                        title: Set(title.clone()),
                        blurb: Set(blurb.clone()),
                        position: Set(position),
                    });
                let there = OnConflict::column(category::Column::Slug).do_nothing().to_owned();
                category::Entity::insert_many(rows).on_conflict(there).exec_without_returning(&tx).await.map(drop)
            })
            .await
    }

    /// Whether there is such a category.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn category_exists(&self, slug: &str) -> Result<bool, DbErr> {
        let db = self.pool.named("category_exists", Class::Normal);
        category::Entity::find_by_id(slug).count(&db).await.map(|count| count > 0)
    }

    /// How many products there are.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn product_count(&self) -> Result<u64, DbErr> {
        product::Entity::find().count(&self.pool.named("product_count", Class::Normal)).await
    }

    /// Adds a product.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn product_create(&self, product: &Product, now_ms: i64) -> Result<Put, DbErr> {
        let row = &rows::product_row(product, &self.currency, now_ms)?;
        again_if_raced(|| {
            self.pool.run_tx("product_create", Class::Normal, |tx| async move {
                let slug = product::Column::Slug.eq(product.slug.as_str());
                if product::Entity::find().filter(slug).count(&tx).await? > 0 {
                    return Ok(Put::SlugTaken);
                }
                if let Some(taken) = sku_taken(&tx, std::slice::from_ref(product)).await?.remove(&product.slug) {
                    return Ok(Put::SkuTaken(taken));
                }
                product::Entity::insert(row.clone()).exec_without_returning(&tx).await?;
                variant::Entity::insert_many(rows::variant_rows(product)).exec_without_returning(&tx).await?;
                Ok(Put::Done)
            })
        })
        .await
    }

    /// Stores a product's new content, if it still has `version` (or whichever, without one). Variants that it no longer
    /// has are withdrawn, those that it has again are sold again; the stock of all stays what it is.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn product_update(&self, product: &Product, version: Option<i64>, now_ms: i64) -> Result<Put, DbErr> {
        again_if_raced(|| {
            self.pool.run_tx("product_update", Class::Normal, |tx| async move {
                if let Some(taken) = sku_taken(&tx, std::slice::from_ref(product)).await?.remove(&product.slug) {
                    return Ok(Put::SkuTaken(taken));
                }
                lock_variants(&tx, std::iter::once(product.slug.as_str())).await?;
                self.overwrite(&tx, product, version, now_ms).await
            })
        })
        .await
    }

    async fn overwrite(&self, tx: &Tx, product: &Product, version: Option<i64>, now_ms: i64) -> Result<Put, DbErr> {
        let stored = product::Entity::find().filter(product::Column::Slug.eq(product.slug.as_str())).one(tx).await?;
        let Some(stored) = stored else { return Ok(Put::Missing) };
        if version.is_some_and(|version| version != stored.version) {
            return Ok(Put::Changed);
        }
        let mut row = rows::product_row(product, &self.currency, now_ms)?;
        row.id = sea_orm::ActiveValue::NotSet;
        row.created_at = sea_orm::ActiveValue::NotSet;
        row.version = Set(stored.version + 1);
        let updated = product::Entity::update_many()
            .set(row)
            .filter(product::Column::Id.eq(stored.id))
            .filter(product::Column::Version.eq(stored.version))
            .exec(tx)
            .await?;
        if updated.rows_affected == 0 {
            return Ok(Put::Changed);
        }
        variant::Entity::update_many()
            .col_expr(variant::Column::Withdrawn, Expr::value(true))
            .filter(variant::Column::Product.eq(product.slug.as_str()))
            .filter(variant::Column::Withdrawn.eq(false))
            .filter(variant::Column::Sku.is_not_in(product.variants.iter().map(|variant| variant.sku.as_str())))
            .exec(tx)
            .await?;
        let own = Expr::col((variant::Entity, variant::Column::Product)).eq(product.slug.as_str());
        let changed = OnConflict::column(variant::Column::Sku)
            .update_columns([
                variant::Column::Position,
                variant::Column::Size,
                variant::Column::Colour,
                variant::Column::ColourHex,
                variant::Column::Price,
                variant::Column::CompareAt,
                variant::Column::Grams,
                variant::Column::Withdrawn,
            ])
            .action_and_where(own)
            .to_owned();
        let rows = rows::variant_rows(product);
        let wanted = rows.len() as u64;
        let written = variant::Entity::insert_many(rows).on_conflict(changed).exec_without_returning(tx).await?;
        // A SKU has become another product's since it was looked for.
        if written < wanted { Err(DbErr::RecordNotInserted) } else { Ok(Put::Done) }
    }

    /// Stores those of many products that are new or different, in one transaction. At most some hundred at a time.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn products_keep(&self, products: &[(Product, i64)]) -> Result<Kept, DbErr> {
        again_if_raced(|| {
            self.pool.run_tx("products_keep", Class::Normal, |tx| async move {
                let all: Vec<_> = products.iter().map(|(product, _)| product.clone()).collect();
                let mut kept = Kept::default();
                let taken = sku_taken(&tx, &all).await?;
                let slugs = all.iter().map(|product| product.slug.as_str());
                let known: Vec<(String, String, String)> = product::Entity::find()
                    .select_only()
                    .columns([product::Column::Slug, product::Column::Fingerprint, product::Column::Currency])
                    .filter(product::Column::Slug.is_in(slugs))
                    .into_tuple()
                    .all(&tx)
                    .await?;
                let known: HashMap<_, _> =
                    known.into_iter().map(|(slug, fingerprint, currency)| (slug, (fingerprint, currency))).collect();
                let (mut new_products, mut new_variants, mut changed) = (Vec::new(), Vec::new(), Vec::new());
                for (product, at_ms) in products {
                    if let Some(taken) = taken.get(&product.slug) {
                        kept.refused.push((product.slug.clone(), taken.clone()));
                        continue;
                    }
                    match known.get(&product.slug) {
                        None => {
                            new_products.push(rows::product_row(product, &self.currency, *at_ms)?);
                            new_variants.extend(rows::variant_rows(product));
                            kept.created += 1;
                        }
                        Some((fingerprint, currency))
                            if *currency == self.currency && *fingerprint == product.fingerprint() =>
                        {
                            kept.unchanged += 1;
                        }
                        Some(_) => changed.push((product, *at_ms)),
                    }
                }
                lock_variants(&tx, changed.iter().map(|(product, _)| product.slug.as_str())).await?;
                for (product, at_ms) in changed {
                    self.overwrite(&tx, product, None, at_ms).await?;
                    kept.updated += 1;
                }
                // 24 and 12 values a row: both engines take over 32,000 in a statement.
                for rows in new_products.chunks(500) {
                    product::Entity::insert_many(rows.to_vec()).exec_without_returning(&tx).await?;
                }
                for rows in new_variants.chunks(1_000) {
                    variant::Entity::insert_many(rows.to_vec()).exec_without_returning(&tx).await?;
                }
                Ok(kept)
            })
        })
        .await
    }
}

/// Does `work` again if the same slug or SKU was stored by somebody else while it ran: its checks see that now. PostgreSQL
/// alone comes to this.
async fn again_if_raced<T, Fut: Future<Output = Result<T, DbErr>>>(work: impl Fn() -> Fut) -> Result<T, DbErr> {
    for _ in 1..RACES {
        match work().await {
            Err(error) if is_unique_violation(&error) || matches!(error, DbErr::RecordNotInserted) => {}
            done => return done,
        }
    }
    work().await
}

/// Takes the rows of products' variants in the order of SKUs, as reservations do, whose order is that of bytes: neither
/// waits for the other in a circle. SQLite has one writer.
async fn lock_variants<'a>(tx: &Tx, slugs: impl ExactSizeIterator<Item = &'a str>) -> Result<(), DbErr> {
    if slugs.len() == 0 || tx.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let rows = variant::Entity::find()
        .select_only()
        .column(variant::Column::Sku)
        .filter(variant::Column::Product.is_in(slugs))
        .order_by_asc(Expr::cust("sku COLLATE \"C\""))
        .lock_exclusive();
    rows.into_tuple::<String>().all(tx).await.map(drop)
}

/// Which of the products have a SKU that is another's, in the database or before them in the list.
async fn sku_taken(tx: &Tx, products: &[Product]) -> Result<BTreeMap<String, SkuTaken>, DbErr> {
    let skus = products.iter().flat_map(|product| &product.variants).map(|variant| variant.sku.as_str());
    let owners: Vec<(String, String)> = variant::Entity::find()
        .select_only()
        .columns([variant::Column::Sku, variant::Column::Product])
        .filter(Expr::col(variant::Column::Sku).is_in(skus))
        .into_tuple()
        .all(tx)
        .await?;
    let mut owners: HashMap<String, String> = owners.into_iter().collect();
    let mut taken = BTreeMap::new();
    for product in products {
        let foreign = product.variants.iter().find_map(|variant| {
            let owner = owners.get(&variant.sku).filter(|owner| **owner != product.slug)?;
            Some(SkuTaken { sku: variant.sku.clone(), by: owner.clone() })
        });
        match foreign {
            Some(foreign) => drop(taken.insert(product.slug.clone(), foreign)),
            None => {
                for variant in &product.variants {
                    owners.entry(variant.sku.clone()).or_insert_with(|| product.slug.clone());
                }
            }
        }
    }
    Ok(taken)
}

impl StoredProduct {
    /// Says which content this is, for the guard against lost updates.
    pub fn etag(&self) -> String {
        self.version.to_string()
    }
}
