//! What a listing has, by statements that say it plainly: they count and group all that fits, which takes a large shop seconds.

use std::fmt::Write as _;

use selvage_catalogue::domain::listing::{Facets, Filter};
use selvage_catalogue::domain::product::Audience;
use selvage_catalogue::domain::size;
use selvage_pool::Pool;
use selvage_pool::sea_orm::{ConnectionTrait as _, QueryResult, Statement};

/// The products that fit a filter, whatever they cost, and what those of its category and audience can be narrowed by but for prices.
pub(crate) async fn listing(books: &Pool, filter: &Filter) -> (Vec<String>, Facets) {
    let matching = matching(filter);
    let sold = format!("SELECT {{}} FROM variants v WHERE NOT v.withdrawn AND v.product IN (SELECT p.slug {matching})");
    let of_sold = |columns: &str| sold.replace("{}", columns);
    let products = "COUNT(DISTINCT v.product) AS products";
    let order = "ORDER BY products DESC, 1";
    let fitting = rows(books, &format!("SELECT p.slug {matching} {}", fits(filter))).await;
    let sizes = rows(books, &format!("{} GROUP BY v.size", of_sold(&format!("v.size AS name, {products}")))).await;
    let colours = of_sold(&format!("v.colour AS name, MIN(v.colour_hex) AS hex, {products}"));
    let colours = rows(books, &format!("{colours} GROUP BY v.colour {order}")).await;
    let categories =
        format!("SELECT p.category AS name, COUNT(*) AS products {matching} GROUP BY p.category ORDER BY 1");
    let categories = rows(books, &categories).await;
    let mut sizes: Vec<_> = sizes.iter().map(|row| (text(row, "name"), number(row))).collect();
    sizes.sort_by(|(one, of_one), (other, of_other)| of_other.cmp(of_one).then_with(|| one.cmp(other)));
    sizes.sort_by_cached_key(|(name, _)| size::place(name));
    let facets = Facets {
        sizes,
        colours: colours.iter().map(|row| (text(row, "name"), text(row, "hex"), number(row))).collect(),
        categories: categories.iter().map(|row| (text(row, "name"), number(row))).collect(),
        prices: (0, 0),
    };
    (fitting.iter().map(|row| text(row, "slug")).collect(), facets)
}

/// What fits by itself.
fn matching(filter: &Filter) -> String {
    let mut sql = "FROM products p WHERE TRUE".to_owned();
    if !filter.category.is_empty() {
        write!(sql, " AND p.category = '{}'", filter.category).unwrap();
    }
    let audience = match filter.audience {
        None => return sql,
        Some(Audience::Everyone) => "everyone",
        Some(Audience::Women) => "women",
        Some(Audience::Men) => "men",
    };
    sql + &format!(" AND p.audience IN ('{audience}', 'everyone')")
}

/// One variant fits all that is said of variants but its price.
fn fits(filter: &Filter) -> String {
    let mut sql = "AND EXISTS (SELECT 1 FROM variants v WHERE v.product = p.slug AND NOT v.withdrawn".to_owned();
    for (column, wanted) in [("size", &filter.sizes), ("colour", &filter.colours)] {
        if !wanted.is_empty() {
            write!(sql, " AND v.{column} IN ('{}')", wanted.join("', '")).unwrap();
        }
    }
    if filter.in_stock {
        sql += " AND v.stock > v.reserved";
    }
    sql + ")"
}

async fn rows(books: &Pool, sql: &str) -> Vec<QueryResult> {
    let statement = Statement::from_string(books.get_database_backend(), sql);
    books.query_all_raw(statement).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn text(row: &QueryResult, column: &str) -> String {
    row.try_get("", column).expect("a text")
}

fn number(row: &QueryResult) -> i64 {
    row.try_get("", "products").expect("a number")
}
