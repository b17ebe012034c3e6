//! Reading products and variants.

use std::collections::HashSet;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult as _, JoinType, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _, QueryTrait as _, Statement,
};
use selvage_pool::{Class, Each, StoreError};

use super::entity::{product, variant};
use super::product_select::{ProductRow, RequestedRow, VariantOfProductRow};
use super::stored::{StoredProduct, VariantOfProduct};
use super::{PRODUCTS, Store};

impl Store {
    /// One product with the variants that are sold: one statement, or a share in one that reads what others ask for too.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn product_get(&self, slug: &str) -> Result<Option<StoredProduct>, StoreError> {
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

    async fn product_read(&self, slug: &str) -> Result<Option<StoredProduct>, StoreError> {
        let db = self.pool.named("product_get", Class::Sheddable);
        let row = ProductRow::find_by_statement(self.product_get_statement(slug)).one(&db).await?;
        Ok(row.map(StoredProduct::from))
    }

    /// The products behind `slugs`, each in its place: one statement.
    async fn products_read(&self, slugs: &[String]) -> Result<Vec<Option<StoredProduct>>, StoreError> {
        let db = self.pool.named("product_get", Class::Sheddable);
        let rows = db.query_all_raw(RequestedRow::statement(slugs)?).await?;
        // Who asked for one that is damaged reads it alone, and is told.
        let rows = Each::of(rows, |row| RequestedRow::from_query_result(row, "")).or_pass_over(PRODUCTS, "slug");
        let mut found: Vec<_> = slugs.iter().map(|_| None).collect();
        for row in rows {
            let place = usize::try_from(row.place).ok().and_then(|place| found.get_mut(place.checked_sub(1)?));
            let place = place.ok_or_else(|| StoreError::damaged("the place of a product", "it was not asked for"))?;
            *place = Some(row.product.into());
        }
        Ok(found)
    }

    /// The products behind `slugs`, each in its place, `None` where there is none: one statement, on SQLite one for each.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn product_list_of(&self, slugs: &[String]) -> Result<Vec<Option<StoredProduct>>, StoreError> {
        if !self.has_one_writer() {
            return self.products_read(slugs).await;
        }
        let mut found = Vec::with_capacity(slugs.len());
        for slug in slugs {
            found.push(self.product_read(slug).await?);
        }
        Ok(found)
    }

    /// The next `size` products behind the one with the slug `last`, by slug: one statement, in whose way those that are damaged
    /// don't stand.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn product_walk(&self, last: &str, size: u64) -> Result<Vec<StoredProduct>, StoreError> {
        let db = self.pool.named("product_walk", Class::Sheddable);
        let rows = db.query_all_raw(ProductRow::walk(last, size, db.backend())).await?;
        let rows = Each::of(rows, |row| ProductRow::from_query_result(row, ""));
        Ok(rows.or_pass_over(PRODUCTS, "slug").into_iter().map(StoredProduct::from).collect())
    }

    /// What [`Store::product_get`] asks the database, for those who measure what the database takes for it.
    pub fn product_get_statement(&self, slug: &str) -> Statement {
        ProductRow::statement(slug, self.pool.backend())
    }

    /// How many products there are.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn product_count(&self) -> Result<u64, StoreError> {
        Ok(product::Entity::find().count(&self.pool.named("product_count", Class::Normal)).await?)
    }

    /// Which of these slugs products have: one statement. At most some hundred at a time.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn product_list_known<'a>(
        &self,
        slugs: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashSet<String>, StoreError> {
        let known = product::Entity::find()
            .select_only()
            .column(product::Column::Slug)
            .filter(product::Column::Slug.is_in(slugs))
            .into_tuple::<String>()
            .all(&self.pool.named("product_list_known", Class::Normal))
            .await?;
        Ok(known.into_iter().collect())
    }

    /// The variants behind SKUs that are sold, each with its product, in no order: one statement.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn variant_list(&self, skus: &[String]) -> Result<Vec<VariantOfProduct>, StoreError> {
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        let db = self.pool.named("variant_list", Class::Normal);
        let product =
            variant::Entity::belongs_to(product::Entity).from(variant::Column::Product).to(product::Column::Slug);
        // Of a product no more than a line shows: its texts are many times as large.
        let rows = variant::Entity::find()
            .select_only()
            .columns(VariantOfProductRow::OF_VARIANT)
            .columns(VariantOfProductRow::OF_PRODUCT)
            .join(JoinType::InnerJoin, product.into())
            .filter(variant::Column::Sku.is_in(skus))
            .filter(variant::Column::Withdrawn.eq(false))
            .into_query();
        let rows = Each::of(db.query_all(&rows).await?, |row| VariantOfProductRow::from_query_result(row, ""));
        Ok(rows.or_pass_over("variants", "sku").into_iter().map(VariantOfProduct::from).collect())
    }
}
