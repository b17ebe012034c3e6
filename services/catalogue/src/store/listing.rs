//! Listings and searches.

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Func, IntoCondition as _, Order as Direction, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, FromQueryResult, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
};
use selvage_pool::{Class, Each, Pool, StoreError};

use super::entity::{product, variant};
use super::product_select::FromJson;
use super::{PRODUCTS, Store};
use crate::domain::listing::{Cursor, Filter, Order};
use crate::domain::product::Picture;
use crate::domain::{search, size};

/// The most sizes or colours that a listing is narrowed by, those of the most products: a page of more is no help.
const MAX_FACET: u64 = 60;

/// What to list.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What to look for, if anything.
    pub query: Option<search::Query>,
    /// Conditions.
    pub filter: Filter,
    /// How to sort.
    pub order: Order,
    /// Behind which product to begin.
    pub after: Option<Cursor>,
    /// 1 to 100.
    pub size: u64,
    /// Whether to count what it can be narrowed by.
    pub with_facets: bool,
}

/// What a listing shows of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// Its category.
    pub category: String,
    /// ISO 4217.
    pub currency: String,
    /// Of the cheapest variant, minor units.
    pub price: i64,
    /// Before a reduction.
    pub compare_at: Option<i64>,
    /// Whether variants differ.
    pub price_varies: bool,
    /// Names and hexadecimal digits.
    pub colours: Vec<(String, String)>,
    /// Whether any variant can be bought now.
    pub in_stock: bool,
    /// The first photograph.
    pub image_url: String,
    /// What is drawn.
    pub picture: Picture,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Its products.
    pub products: Vec<Summary>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
    /// How many products there are on all pages.
    pub total: u64,
    /// What it can be narrowed by, if that was asked for.
    pub facets: Option<Facets>,
}

/// What a listing can be narrowed by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets {
    /// Sizes and how many products have each.
    pub sizes: Vec<(String, i64)>,
    /// Colours with their hexadecimal digits.
    pub colours: Vec<(String, String, i64)>,
    /// Categories.
    pub categories: Vec<(String, i64)>,
    /// Lowest and highest price.
    pub prices: (i64, i64),
}

#[derive(FromQueryResult)]
struct Row {
    slug: String,
    title: String,
    category: String,
    currency: String,
    from_price: i64,
    from_compare_at: Option<i64>,
    price_varies: bool,
    colours: FromJson<Vec<(String, String)>>,
    image_urls: FromJson<Vec<String>>,
    picture: FromJson<Picture>,
    created_at: i64,
    in_stock: bool,
}

impl Store {
    /// A page of a listing or search: two statements, four more with facets.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn product_list(&self, listing: &Listing) -> Result<Listed, StoreError> {
        let name = if listing.query.is_some() { "product_search" } else { "product_list" };
        let db = self.pool.named(name, Class::Sheddable);
        let backend = db.backend();
        let matching = matching(listing, backend).filter(of_variants(&listing.filter));
        let total = matching.clone().count(&db).await?;
        let (products, more) = page(matching, listing, backend, &db).await?;
        let next = products.last().filter(|_| more).and_then(|last| cursor(listing, last));
        let facets = if listing.with_facets { Some(facets(listing, &db).await?) } else { None };
        Ok(Listed { products, next, total, facets })
    }
}

/// What fits by itself: query, category, audience.
fn matching(listing: &Listing, backend: DbBackend) -> Select<product::Entity> {
    let filter = &listing.filter;
    let mut select = product::Entity::find();
    if let Some(query) = &listing.query {
        select = select.filter(found_by(query, backend));
    }
    if !filter.category.is_empty() {
        select = select.filter(product::Column::Category.eq(filter.category.as_str()));
    }
    if let Some(audience) = filter.audience {
        select = select.filter(product::Column::Audience.is_in([audience.word(), "everyone"]));
    }
    select
}

fn found_by(query: &search::Query, backend: DbBackend) -> Condition {
    if backend == DbBackend::Postgres {
        return Expr::cust_with_values("products.search @@ to_tsquery('simple', $1)", [query.tsquery()])
            .into_condition();
    }
    let found = "products.id IN (SELECT rowid FROM product_search WHERE product_search MATCH ?)";
    Expr::cust_with_values(found, [query.fts5()]).into_condition()
}

/// One variant fits all that is said of variants.
fn of_variants(filter: &Filter) -> Condition {
    if !filter.is_about_variants() {
        return Condition::all();
    }
    let mut fits = Query::select();
    fits.expr(Expr::val(1))
        .from(variant::Entity)
        .and_where(
            Expr::col((variant::Entity, variant::Column::Product)).equals((product::Entity, product::Column::Slug)),
        )
        .and_where(is_sold());
    if !filter.sizes.is_empty() {
        fits.and_where(Expr::col((variant::Entity, variant::Column::Size)).is_in(filter.sizes.clone()));
    }
    if !filter.colours.is_empty() {
        fits.and_where(Expr::col((variant::Entity, variant::Column::Colour)).is_in(filter.colours.clone()));
    }
    if let Some(price) = filter.min_price {
        fits.and_where(Expr::col((variant::Entity, variant::Column::Price)).gte(price));
    }
    if let Some(price) = filter.max_price {
        fits.and_where(Expr::col((variant::Entity, variant::Column::Price)).lte(price));
    }
    if filter.in_stock {
        fits.and_where(can_be_bought());
    }
    Condition::all().add(Expr::exists(fits))
}

fn is_sold() -> Expr {
    Expr::col((variant::Entity, variant::Column::Withdrawn)).eq(false)
}

fn can_be_bought() -> Expr {
    Expr::col((variant::Entity, variant::Column::Stock)).gt(Expr::col((variant::Entity, variant::Column::Reserved)))
}

async fn page(
    matching: Select<product::Entity>,
    listing: &Listing,
    backend: DbBackend,
    db: &Pool,
) -> Result<(Vec<Summary>, bool), DbErr> {
    let in_stock = Query::select()
        .expr(Expr::val(1))
        .from(variant::Entity)
        .and_where(
            Expr::col((variant::Entity, variant::Column::Product)).equals((product::Entity, product::Column::Slug)),
        )
        .and_where(is_sold())
        .and_where(can_be_bought())
        .to_owned();
    let mut select = matching
        .select_only()
        .columns([
            product::Column::Slug,
            product::Column::Title,
            product::Column::Category,
            product::Column::Currency,
            product::Column::FromPrice,
            product::Column::FromCompareAt,
            product::Column::PriceVaries,
            product::Column::Colours,
            product::Column::ImageUrls,
            product::Column::Picture,
            product::Column::CreatedAt,
        ])
        .expr_as(Expr::exists(in_stock), "in_stock")
        .limit(listing.size + 1);
    let (key, direction) = match listing.order {
        Order::Newest => (product::Column::CreatedAt, Direction::Desc),
        Order::PriceAscending => (product::Column::FromPrice, Direction::Asc),
        Order::PriceDescending => (product::Column::FromPrice, Direction::Desc),
        Order::Title => (product::Column::Title, Direction::Asc),
        Order::Relevance => {
            if let Some(query) = &listing.query {
                select = by_relevance(select, query, backend);
            }
            if let Some(Cursor::Offset(offset)) = listing.after {
                select = select.offset(offset);
            }
            return summaries(db, select.order_by_asc(product::Column::Slug), listing.size).await;
        }
    };
    let descending = direction == Direction::Desc;
    let behind = |value: sea_orm::Value, slug: &str| {
        let beyond = if descending { key.lt(value.clone()) } else { key.gt(value.clone()) };
        let tie = Condition::all().add(key.eq(value)).add(product::Column::Slug.gt(slug));
        Condition::any().add(beyond).add(tie)
    };
    match &listing.after {
        Some(Cursor::Number(number, slug)) => select = select.filter(behind((*number).into(), slug)),
        Some(Cursor::Text(text, slug)) => select = select.filter(behind(text.clone().into(), slug)),
        Some(Cursor::Offset(_)) | None => {}
    }
    summaries(db, select.order_by(key, direction).order_by_asc(product::Column::Slug), listing.size).await
}

/// The first `size` products but those that are damaged, which stand in no other's way; and whether there are more.
async fn summaries(db: &Pool, select: Select<product::Entity>, size: u64) -> Result<(Vec<Summary>, bool), DbErr> {
    let mut rows = db.query_all(&select.into_query()).await?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let each = Each::of(rows, |row| Row::from_query_result(row, "").map(Summary::from));
    Ok((each.or_pass_over(PRODUCTS, "slug"), more))
}

/// Weights are A to D on PostgreSQL (1, 0.4, 0.2, 0.1 by default), and the same for the columns of FTS5.
fn by_relevance(select: Select<product::Entity>, query: &search::Query, backend: DbBackend) -> Select<product::Entity> {
    if backend == DbBackend::Postgres {
        let rank = Expr::cust_with_values("ts_rank(products.search, to_tsquery('simple', $1))", [query.tsquery()]);
        return select.order_by(rank, Direction::Desc);
    }
    let rank = "(SELECT bm25(product_search, 10.0, 4.0, 2.0, 1.0) FROM product_search \
                WHERE product_search MATCH ? AND product_search.rowid = products.id)";
    select.order_by(Expr::cust_with_values(rank, [query.fts5()]), Direction::Asc)
}

fn cursor(listing: &Listing, last: &Summary) -> Option<Cursor> {
    match listing.order {
        Order::Newest => Some(Cursor::Number(last.created_at, last.slug.clone())),
        Order::PriceAscending | Order::PriceDescending => Some(Cursor::Number(last.price, last.slug.clone())),
        Order::Title => Some(Cursor::Text(last.title.clone(), last.slug.clone())),
        Order::Relevance => {
            let before = if let Some(Cursor::Offset(offset)) = listing.after { offset } else { 0 };
            let next = before + listing.size;
            (next <= Cursor::DEEPEST).then_some(Cursor::Offset(next))
        }
    }
}

async fn facets(listing: &Listing, db: &Pool) -> Result<Facets, DbErr> {
    let backend = db.backend();
    let slugs = matching(listing, backend).select_only().column(product::Column::Slug).into_query();
    let variants =
        variant::Entity::find().filter(variant::Column::Product.in_subquery(slugs)).filter(is_sold()).select_only();
    let products = || Expr::from(Func::count_distinct(Expr::col(variant::Column::Product)));
    let mut sizes: Vec<(String, i64)> = variants
        .clone()
        .column(variant::Column::Size)
        .column_as(products(), "products")
        .group_by(variant::Column::Size)
        .order_by(products(), Direction::Desc)
        .order_by_asc(variant::Column::Size)
        .limit(MAX_FACET)
        .into_tuple()
        .all(db)
        .await?;
    sizes.sort_by_cached_key(|(size, _)| size::place(size));
    let colours = variants
        .clone()
        .column(variant::Column::Colour)
        .column_as(variant::Column::ColourHex.min(), "hex")
        .column_as(products(), "products")
        .group_by(variant::Column::Colour)
        .order_by(products(), Direction::Desc)
        .order_by_asc(variant::Column::Colour)
        .limit(MAX_FACET)
        .into_tuple()
        .all(db)
        .await?;
    let prices = variants
        .column_as(variant::Column::Price.min(), "lowest")
        .column_as(variant::Column::Price.max(), "highest")
        .into_tuple::<(Option<i64>, Option<i64>)>()
        .one(db)
        .await?;
    let (lowest, highest) = prices.unwrap_or_default();
    let categories = matching(listing, backend)
        .select_only()
        .column(product::Column::Category)
        .column_as(product::Column::Id.count(), "products")
        .group_by(product::Column::Category)
        .order_by_asc(product::Column::Category)
        .into_tuple()
        .all(db)
        .await?;
    Ok(Facets { sizes, colours, categories, prices: (lowest.unwrap_or_default(), highest.unwrap_or_default()) })
}

impl From<Row> for Summary {
    fn from(row: Row) -> Self {
        Self {
            slug: row.slug,
            title: row.title,
            category: row.category,
            currency: row.currency,
            price: row.from_price,
            compare_at: row.from_compare_at,
            price_varies: row.price_varies,
            colours: row.colours.0,
            in_stock: row.in_stock,
            image_url: row.image_urls.0.into_iter().next().unwrap_or_default(),
            picture: row.picture.0,
            created_at: row.created_at,
        }
    }
}
