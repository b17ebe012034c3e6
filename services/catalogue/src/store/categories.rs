//! Categories.

use std::collections::HashMap;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};
use selvage_pool::{Class, Each, StoreError};

use super::Store;
use super::entity::{category, product};

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

impl Store {
    /// All categories in the shop's order: two statements.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn category_list(&self) -> Result<Vec<CategoryCount>, StoreError> {
        let db = self.pool.named("category_list", Class::Sheddable);
        let categories = category::Entity::find()
            .order_by_asc(category::Column::Position)
            .order_by_asc(category::Column::Slug)
            .into_query();
        let categories = Each::of(db.query_all(&categories).await?, |row| category::Model::from_query_result(row, ""));
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
        Ok(categories.or_pass_over("categories", "slug").into_iter().map(category).collect())
    }

    /// Adds categories (slug, title, blurb) that are not there yet, behind those that are.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing was added then.
    pub async fn category_add(&self, categories: &[(String, String, String)]) -> Result<(), StoreError> {
        if categories.is_empty() {
            return Ok(());
        }
        self.pool
            .run_tx("category_add", Class::Normal, |tx| async move {
                let there: Vec<String> =
                    category::Entity::find().select_only().column(category::Column::Slug).into_tuple().all(&tx).await?;
                let mut rows = Vec::new();
                for (slug, title, blurb) in categories {
                    if !there.contains(slug) {
                        rows.push(category::ActiveModel {
                            slug: Set(slug.clone()),
                            title: Set(title.clone()),
                            blurb: Set(blurb.clone()),
                            position: Set(i32::try_from(there.len() + rows.len()).unwrap_or(i32::MAX)),
                        });
                    }
                }
                // A statement that changes nothing is noted as a change of everything, too.
                if rows.is_empty() {
                    return Ok(());
                }
                let there = OnConflict::column(category::Column::Slug).do_nothing().to_owned();
                category::Entity::insert_many(rows).on_conflict(there).exec_without_returning(&tx).await?;
                Ok(())
            })
            .await
    }

    /// Whether there is such a category.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn category_exists(&self, slug: &str) -> Result<bool, StoreError> {
        let db = self.pool.named("category_exists", Class::Normal);
        let slug = category::Column::Slug.eq(slug);
        Ok(category::Entity::find().filter(slug).count(&db).await? > 0)
    }
}
