//! Goods and databases for the tests.

use selvage_catalogue::domain::product::{Audience, Picture, Product, Variant};
use selvage_catalogue::index::{Index, Keeper};
use selvage_catalogue::migration::Migrator;
use selvage_catalogue::store::Store;
use selvage_pool::{Config, Pool};
use selvage_testkit::{Database, Engine, database};

/// An empty catalogue of three categories.
pub(crate) async fn catalogue(engine: Engine) -> (Store, Pool, Database) {
    let database = database(engine).await;
    selvage_pool::migrate::up::<Migrator>(database.url()).await.expect("the schema");
    let config = Config { max_wait: std::time::Duration::from_secs(30), ..Config::new("catalogue", database.url()) };
    let pool = Pool::open(config).await.expect("a pool");
    let store = Store::new(pool.clone(), "EUR");
    let categories = ["shirts", "coats", "bags"].map(|slug| (slug.into(), slug.to_uppercase(), String::new()));
    store.category_add(&categories).await.expect("categories");
    (store, pool, database)
}

/// The index of what a catalogue has by now.
pub(crate) async fn indexed(store: &Store) -> Index {
    let folder = tempfile::tempdir().expect("a folder");
    let (index, writer) = Index::open(folder.path()).expect("an index");
    Keeper::new(store.clone(), writer).catch_up().await.expect("an index of the catalogue");
    // Its files are mapped: they needn't have names any more.
    index
}

/// A variant with `stock` pieces.
pub(crate) fn variant(sku: &str, size: &str, colour: &str, price: i64, stock: i32) -> Variant {
    Variant {
        sku: sku.into(),
        size: size.into(),
        colour: colour.into(),
        colour_hex: "2f4b6e".into(),
        price,
        grams: 250,
        stock,
        ..Variant::default()
    }
}

/// A product of these variants.
pub(crate) fn product(slug: &str, title: &str, category: &str, variants: Vec<Variant>) -> Product {
    Product {
        slug: slug.into(),
        title: title.into(),
        category: category.into(),
        audience: Audience::Everyone,
        picture: Picture {
            garment: "shirt".into(),
            cut: "regular".into(),
            pattern: "plain".into(),
            accent: "f2ede4".into(),
        },
        variants,
        ..Product::default()
    }
}
