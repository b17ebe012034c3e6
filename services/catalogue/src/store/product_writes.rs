//! Storing products.

use std::collections::{BTreeMap, HashMap};

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, ExprTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use selvage_pool::{Class, StoreError, Tx, is_unique_violation};

use super::Store;
use super::entity::{product, variant};
use super::product_rows::{product_row, variant_rows};
use crate::domain::product::Product;

/// How often storing is tried: each failure means that another has stored something of the same, and two imports of one
/// feed, of which each batch meets two or three of the other's, get past each other.
const RACES: u32 = 5;

/// A SKU that can't be stored, for another product has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkuTaken {
    /// The SKU.
    pub sku: String,
    /// The product that has it.
    pub by: String,
}

/// What became of storing a product.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a product that was not stored is no error of the database's"]
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

/// What became of storing many products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upserted {
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
    /// Adds a product. What stands in its way is in the [`Put`].
    ///
    /// # Errors
    /// [`StoreError::Database`]; unless its kind is "outcome unknown", nothing was stored.
    pub async fn product_create(&self, product: &Product, now_ms: i64) -> Result<Put, StoreError> {
        let row = &product_row(product, &self.currency, now_ms)?;
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
                variant::Entity::insert_many(variant_rows(product)).exec_without_returning(&tx).await?;
                Ok(Put::Done)
            })
        })
        .await
    }

    /// Stores a product's new content, if it still has `version` (or whichever, without one). Variants that it no longer
    /// has are withdrawn, those that it has again are sold again; the stock of all stays what it is. What stands in its way
    /// is in the [`Put`].
    ///
    /// # Errors
    /// [`StoreError::Database`]; unless its kind is "outcome unknown", nothing was stored.
    pub async fn product_update(
        &self,
        product: &Product,
        version: Option<i64>,
        now_ms: i64,
    ) -> Result<Put, StoreError> {
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

    async fn overwrite(
        &self,
        tx: &Tx,
        product: &Product,
        version: Option<i64>,
        now_ms: i64,
    ) -> Result<Put, StoreError> {
        let stored = product::Entity::find().filter(product::Column::Slug.eq(product.slug.as_str())).one(tx).await?;
        let Some(stored) = stored else { return Ok(Put::Missing) };
        if version.is_some_and(|version| version != stored.version) {
            return Ok(Put::Changed);
        }
        let mut row = product_row(product, &self.currency, now_ms)?;
        row.id = NotSet;
        row.created_at = NotSet;
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
        let rows = variant_rows(product);
        let wanted = rows.len() as u64;
        let written = variant::Entity::insert_many(rows).on_conflict(changed).exec_without_returning(tx).await?;
        // A SKU has become another product's since it was looked for.
        if written < wanted { Err(raced()) } else { Ok(Put::Done) }
    }

    /// Stores those of many products that are new or different, in one transaction. At most some hundred at a time.
    ///
    /// # Errors
    /// [`StoreError::Database`]: none of them was stored, or if its kind is "outcome unknown", all or none. Doing it again is
    /// safe.
    pub async fn product_upsert(&self, products: &[(Product, i64)]) -> Result<Upserted, StoreError> {
        again_if_raced(|| {
            self.pool.run_tx("product_upsert", Class::Normal, |tx| async move {
                let all: Vec<_> = products.iter().map(|(product, _)| product.clone()).collect();
                let mut upserted = Upserted::default();
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
                        upserted.refused.push((product.slug.clone(), taken.clone()));
                        continue;
                    }
                    match known.get(&product.slug) {
                        None => {
                            new_products.push(product_row(product, &self.currency, *at_ms)?);
                            new_variants.extend(variant_rows(product));
                            upserted.created += 1;
                        }
                        Some((fingerprint, currency))
                            if *currency == self.currency && *fingerprint == product.fingerprint() =>
                        {
                            upserted.unchanged += 1;
                        }
                        Some(_) => changed.push((product, *at_ms)),
                    }
                }
                lock_variants(&tx, changed.iter().map(|(product, _)| product.slug.as_str())).await?;
                for (product, at_ms) in changed {
                    match self.overwrite(&tx, product, None, at_ms).await? {
                        Put::Done => upserted.updated += 1,
                        // Somebody has changed or removed it since it was looked at: all of it is looked at again.
                        Put::Changed | Put::Missing | Put::SlugTaken | Put::SkuTaken(_) => return Err(raced()),
                    }
                }
                // 24 and 12 values a row: both engines take over 32,000 in a statement.
                for rows in new_products.chunks(500) {
                    product::Entity::insert_many(rows.to_vec()).exec_without_returning(&tx).await?;
                }
                for rows in new_variants.chunks(1_000) {
                    variant::Entity::insert_many(rows.to_vec()).exec_without_returning(&tx).await?;
                }
                Ok(upserted)
            })
        })
        .await
    }
}

/// Does `work` again if the same slug or SKU was stored by somebody else while it ran: its checks see that now. PostgreSQL
/// alone comes to this.
async fn again_if_raced<T, Fut: Future<Output = Result<T, StoreError>>>(
    work: impl Fn() -> Fut,
) -> Result<T, StoreError> {
    for _ in 1..RACES {
        match work().await {
            Err(StoreError::Database(error)) if is_race(&error) => {}
            done => return done,
        }
    }
    work().await
}

/// Somebody else has stored something of the same since it was looked at.
fn raced() -> StoreError {
    DbErr::RecordNotInserted.into()
}

fn is_race(error: &DbErr) -> bool {
    is_unique_violation(error) || matches!(error, DbErr::RecordNotInserted)
}

/// Takes the rows of products' variants in the order of SKUs, as reservations do, whose order is that of bytes: neither
/// waits for the other in a circle. SQLite has one writer.
async fn lock_variants<'a>(tx: &Tx, slugs: impl ExactSizeIterator<Item = &'a str>) -> Result<(), StoreError> {
    if slugs.len() == 0 || tx.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let rows = variant::Entity::find()
        .select_only()
        .column(variant::Column::Sku)
        .filter(variant::Column::Product.is_in(slugs))
        .order_by_asc(Expr::cust("sku COLLATE \"C\""))
        .lock_exclusive();
    rows.into_tuple::<String>().all(tx).await?;
    Ok(())
}

/// Which of the products have a SKU that is another's, in the database or before them in the list.
async fn sku_taken(tx: &Tx, products: &[Product]) -> Result<BTreeMap<String, SkuTaken>, StoreError> {
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
