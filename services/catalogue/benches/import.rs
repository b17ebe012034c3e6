//! How many rows of a feed a second are read, and written into SQLite: new, and again.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints figures, and fails by panicking")]

use std::fmt::Write as _;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use selvage_catalogue::import::{self, Format};
use selvage_catalogue::migration::Migrator;
use selvage_catalogue::store::Store;
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, database};

const PRODUCTS: usize = 5_000;
const VARIANTS: usize = 10;

#[tokio::main]
async fn main() {
    let feed = feed();
    let rows = (PRODUCTS * VARIANTS) as f64;
    let say = |what: &str, took: Duration| println!("{what:<28}{:>10.0} rows/s", rows / took.as_secs_f64());
    println!("{PRODUCTS} products of {VARIANTS} variants, {:.1} MB", feed.len() as f64 / 1e6);

    let began = Instant::now();
    import::parse(feed.as_bytes(), Format::ShopifyCsv, "EUR", &mut |_| ControlFlow::Continue(())).unwrap();
    say("read alone", began.elapsed());

    let database = database(Engine::Sqlite).await;
    selvage_pool::migrate::up::<Migrator>(database.url()).await.unwrap();
    let pool = Pool::open(Config::new("catalogue", database.url())).await.unwrap();
    let store = Store::new(pool, "EUR");
    for (what, feed) in [
        ("new products", feed.clone()),
        ("the same again", feed.clone()),
        ("all changed", feed.replace("Soft cotton", "Softer cotton")),
    ] {
        let began = Instant::now();
        let report = import::run(&store, Cursor::new(feed), Format::ShopifyCsv, 1, |_| ()).await.unwrap();
        say(what, began.elapsed());
        assert_eq!((report.failed, report.problems), (0, 0));
    }

    let began = Instant::now();
    let fresh = fresh().await;
    let planted = selvage_catalogue::plant_seed(&fresh.0, 1_800_000_000_000).await.unwrap();
    println!("{planted} default products planted in {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
}

async fn fresh() -> (Store, selvage_testkit::Database) {
    let database = database(Engine::Sqlite).await;
    selvage_pool::migrate::up::<Migrator>(database.url()).await.unwrap();
    let pool = Pool::open(Config::new("catalogue", database.url())).await.unwrap();
    (Store::new(pool, "EUR"), database)
}

fn feed() -> String {
    let mut feed = String::from(
        "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,\
         Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Variant Compare At Price,Image Src\n",
    );
    let body = "<p>Soft cotton, cut to last.</p><ul><li>100% cotton</li><li>Washed</li></ul>".repeat(4);
    for product in 0..PRODUCTS {
        for variant in 0..VARIANTS {
            let fields = if variant == 0 {
                format!("Striped Shirt {product},\"{body}\",Mill,Shirts,\"men, cotton\",TRUE,Size")
            } else {
                ",,,,,,".into()
            };
            let (size, colour) = (["XS", "S", "M", "L", "XL"][variant % 5], ["Navy", "Sand"][variant / 5]);
            let image = format!("https://cdn.example.com/{product}/{variant}.jpg");
            let option = if variant == 0 { "Color" } else { "" };
            writeln!(
                feed,
                "striped-shirt-{product},{fields},{size},{option},{colour},,250,12,{}.95,,{image}",
                20 + product % 90
            )
            .unwrap();
        }
    }
    feed
}
