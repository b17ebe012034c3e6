//! Feeds, read and written.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};
use selvage_catalogue::domain::product::{Audience, Product};
use selvage_catalogue::import::{self, Event, Format, ImportError, Item, Problem, Report};
use selvage_catalogue::store::Store;
use selvage_testkit::engines;

use crate::goods::catalogue;

const FEED: &str = include_str!("feed.csv");

fn read(feed: &[u8], format: Format) -> (Vec<Item>, Result<(), ImportError>) {
    let mut items = Vec::new();
    let read = import::parse(feed, format, "EUR", &mut |item| {
        items.push(item);
        ControlFlow::Continue(())
    });
    (items, read)
}

fn products(items: &[Item]) -> Vec<&Product> {
    let found = items.iter().filter_map(|item| if let Item::Product(found) = item { Some(found) } else { None });
    found.map(|found| &found.product).collect()
}

fn problems(items: &[Item]) -> Vec<&Problem> {
    let mut problems = Vec::new();
    for item in items {
        if let Item::Problem(problem) | Item::Failed(problem) = item {
            problems.push(problem);
        }
    }
    problems
}

fn named<'a>(items: &'a [Item], slug: &str) -> &'a Product {
    products(items).into_iter().find(|product| product.slug == slug).unwrap()
}

async fn import(store: &Store, feed: &[u8], format: Format, now_ms: i64) -> (Report, Vec<Problem>) {
    let mut problems = Vec::new();
    let observe = |event: Event<'_>| {
        if let Event::Problem(problem) = event {
            problems.push(problem.clone());
        }
    };
    let report = import::run(store, Cursor::new(feed.to_vec()), format, now_ms, observe).await.unwrap();
    (report, problems)
}

#[test]
fn a_feed_of_shopifys_is_read_with_its_quirks() {
    let (items, read) = read(FEED.as_bytes(), Format::ShopifyCsv);
    read.unwrap();
    let slugs: Vec<_> = products(&items).into_iter().map(|product| product.slug.as_str()).collect();
    assert_eq!(slugs, ["linen-shirt", "wool-jumper", "canvas-tote", "bad-price", "jeans", "thief", "candle"]);

    let shirt = named(&items, "linen-shirt");
    assert_eq!(shirt.description_html, "<p>Cool in summer.</p>\n<p>100% linen, <strong>striped</strong>.</p>");
    assert_eq!(
        (shirt.category.as_str(), shirt.audience, shirt.material.as_str()),
        ("shirts", Audience::Men, "100 % linen")
    );
    assert_eq!(shirt.tags, ["men", "linen", "summer"]);
    assert_eq!(shirt.image_urls, [1, 2, 3].map(|n| format!("https://cdn.example.com/linen-{n}.jpg")));
    assert_eq!((shirt.picture.garment.as_str(), shirt.picture.pattern.as_str()), ("shirt", "stripe"));
    let variants: Vec<_> = shirt.variants.iter().map(|v| (v.sku.as_str(), v.size.as_str(), v.price, v.stock)).collect();
    let wanted = [("LS-BLU-M", "M", 4_995, 4), ("LS-BLU-L", "L", 4_995, 0), ("LINEN-SHIRT/L/SAND", "L", 104_995, 2)];
    assert_eq!(variants, wanted, "a negative quantity is none, a blank SKU is derived");
    assert_eq!(shirt.variants.iter().map(|v| v.compare_at).collect::<Vec<_>>(), [Some(5_995), None, None]);
    assert_eq!((shirt.variants[0].colour.as_str(), shirt.variants[0].colour_hex.as_str()), ("Ocean Blue", "2f5b8a"));

    let jumper = named(&items, "wool-jumper");
    let only = &jumper.variants[0];
    assert_eq!((only.sku.as_str(), only.size.as_str(), only.colour.as_str()), ("WOOL-JUMPER", "One size", "Yellow"));
    assert_eq!((jumper.category.as_str(), jumper.material.as_str()), ("knitwear", "80 % wool, 20 % nylon"));
    assert_eq!(
        named(&items, "jeans").variants.iter().map(|v| v.size.as_str()).collect::<Vec<_>>(),
        ["30 / 32", "30 / 34"]
    );
    assert_eq!(named(&items, "canvas-tote").image_urls.len(), 1, "a row that stands apart is its product's too");
    assert_eq!(named(&items, "candle").category, "scented-candles");
    assert_eq!(items.iter().filter(|item| **item == Item::Hidden).count(), 1);
}

#[test]
fn what_is_wrong_is_told_by_line_field_and_reason() {
    let (items, _) = read(FEED.as_bytes(), Format::ShopifyCsv);
    let told: Vec<_> = problems(&items).into_iter().map(|p| (p.line, p.field.as_str(), p.reason.as_str())).collect();
    let wanted = [
        (7, "Image Src", "must be an https:// address; the image is left out"),
        (9, "Variant Price", "must be a number like 9.99, without a sign or a currency"),
        (11, "Handle", "is missing"),
        (12, "Title", "is missing"),
        (15, "Variant SKU", "has the SKU of line 14 again"),
    ];
    let mut sorted = told.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, wanted);
    assert_eq!(named(&items, "bad-price").variants.len(), 1, "the good row is kept");
}

#[test]
fn it_does_not_matter_how_a_feed_is_saved() {
    let (plain, _) = read(FEED.as_bytes(), Format::ShopifyCsv);
    for end in ["\r\n", "\r"] {
        let saved = format!("\u{feff}{}", FEED.replace('\n', end));
        assert_eq!(read(saved.as_bytes(), Format::ShopifyCsv).0, plain);
    }

    // Columns the other way round, with one that nobody knows, between semicolons.
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(FEED.as_bytes());
    let mut writer = csv::WriterBuilder::new().delimiter(b';').from_writer(Vec::new());
    for row in rows.records() {
        let row = row.unwrap();
        writer.write_record(row.iter().rev().chain(["Cost; per item"])).unwrap();
    }
    assert_eq!(read(&writer.into_inner().unwrap(), Format::ShopifyCsv).0, plain);
}

#[test]
fn a_feed_that_is_none_or_breaks_off_says_so_and_keeps_its_beginning() {
    let heading = |feed: &[u8]| read(feed, Format::ShopifyCsv).1.unwrap_err().to_string();
    assert_eq!(heading(b""), "the feed's first row must name its columns; there is none called Handle");
    assert!(heading(b"Handle,Title\n").ends_with("called Variant Price"));

    let endless = format!("Handle,Title,Variant Price\na,A,1\nb,\"B,1\n{}", "c,C,1\n".repeat(400_000));
    let (items, read) = read(endless.as_bytes(), Format::ShopifyCsv);
    assert!(matches!(read, Err(ImportError::Endless(3))), "{read:?}");
    assert_eq!(items.len(), 1, "the row before it");

    let long =
        format!("Handle,Title,Variant Price,Tags\n\na,A,1,{}\nb,B,1,\n\n\nc,C,1,,,\nd,\u{ff}x,1,", "x".repeat(70_000));
    let mut long = long.into_bytes();
    let at = long.iter().rposition(|byte| *byte == 0xc3).unwrap();
    long[at] = 0xff;
    let (items, _) = self::read(&long, Format::ShopifyCsv);
    let told: Vec<_> = problems(&items).into_iter().map(|p| (p.line, p.field.as_str())).collect();
    assert_eq!(told, [(7, ""), (3, "Tags"), (8, "Title")]);
    assert_eq!(products(&items).len(), 1);
}

#[test]
fn json_lines_are_read_and_what_is_missing_is_derived() {
    let feed = concat!(
        r#"{"slug": "harbour-shirt", "title": "Harbour Shirt", "description_html": "<p>Soft.<img src=x></p>", "#,
        r#""category": "shirts", "audience": "women", "tags": ["linen"], "image_urls": ["https://example.com/a.jpg"], "#,
        r#""picture": {"garment": "shirt", "cut": "relaxed", "pattern": "stripe", "accent": "f2ede4"}, "etag": "7", "#,
        r#""variants": [{"sku": "H-M", "size": "M", "colour": "Ink", "colour_hex": "26324a", "grams": 250, "#,
        r#""price": {"currency": "EUR", "minor_units": "4995"}, "compare_at_price": null, "initial_stock": 12}]}"#,
        "\n\n",
        r#"{"slug": "tee", "title": "Red Tee", "variants": [{"sku": "T", "price": {"currency": "EUR", "minor_units": 5}}]}"#,
        "\n[1]\n",
        r#"{"slug": "tee", "title": "Red Tee", "variants": [{"sku": "U", "price": {"currency": "EUR", "minor_units": 5}}]}"#,
        "\n",
        r#"{"slug": "x", "title": "X", "variants": [{"sku": "X", "price": {"currency": "USD", "minor_units": 5}}]}"#,
        "\n",
        r#"{"slug": "y", "title": "Y", "variants": [{"sku": "y?", "price": {"currency": "EUR", "minor_units": 5}}]}"#,
    );
    let (items, read) = read(feed.as_bytes(), Format::JsonLines);
    read.unwrap();
    let [shirt, tee] = products(&items)[..] else { panic!("{items:?}") };
    assert_eq!(shirt.description_html, "<p>Soft.</p>");
    assert_eq!((shirt.variants[0].price, shirt.variants[0].stock, shirt.audience), (4_995, 12, Audience::Women));
    assert_eq!((tee.category.as_str(), tee.picture.garment.as_str()), ("t-shirts", "tshirt"));
    assert_eq!((tee.variants[0].size.as_str(), tee.variants[0].colour_hex.as_str()), ("One size", "a63a3a"));
    let told: Vec<_> = problems(&items).into_iter().map(|p| (p.line, p.field.as_str())).collect();
    assert_eq!(told, [(4, ""), (5, "slug"), (6, "variants[0].price.currency"), (7, "variants[0].sku")]);
}

#[tokio::test]
async fn a_second_import_changes_nothing_and_stock_stays_the_shops_own() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let (report, problems) = import(&store, FEED.as_bytes(), Format::ShopifyCsv, 5_000).await;
        let wanted = Report {
            rows: 17,
            created: 6,
            updated: 0,
            unchanged: 0,
            failed: 2,
            hidden: 1,
            problems: problems.len() as u64,
        };
        assert_eq!(report, wanted);
        let stolen = problems.iter().find(|problem| problem.field == "SKU").unwrap();
        assert_eq!((stolen.line, stolen.reason.as_str()), (16, "TOTE is a SKU of the product 'canvas-tote'"));

        let known = store.product_get("linen-shirt").await.unwrap().unwrap();
        let adjusted = store.stock_adjust(uuid::Uuid::from_u128(1), "LS-BLU-M", 5, 6_000).await.unwrap();
        assert!(matches!(adjusted, selvage_catalogue::store::Adjusted::Done(_)));
        let (again, told_again) = import(&store, FEED.as_bytes(), Format::ShopifyCsv, 9_000).await;
        assert_eq!(again, Report { created: 0, unchanged: 6, ..report });
        assert_eq!(told_again, problems);
        let after = store.product_get("linen-shirt").await.unwrap().unwrap();
        assert_eq!((after.version, after.updated_at), (known.version, known.updated_at));
        assert_eq!(after.available, [9, 0, 2]);

        let changed = FEED.replace("Canvas Tote", "Big Canvas Tote");
        let (report, _) = import(&store, changed.as_bytes(), Format::ShopifyCsv, 10_000).await;
        assert_eq!((report.created, report.updated, report.unchanged), (0, 1, 5));
        let categories = store.category_list().await.unwrap();
        let category = |slug: &str| categories.iter().find(|category| category.slug == slug).unwrap();
        assert_eq!(
            (category("scented-candles").title.as_str(), category("scented-candles").products),
            ("Scented Candles", 1)
        );
        assert_eq!(category("jeans").blurb, "Good denim, five pockets, no gimmicks.");
    }
}

/// Batches end by products, by variants and by the feed.
#[tokio::test]
async fn a_feed_of_many_batches_arrives_whole_and_in_its_order() {
    let mut feed = String::from("Handle,Title,Option1 Name,Option1 Value,Variant Price\n");
    for product in 0..450 {
        let variants = if product == 100 { 200 } else { 1 + product % 15 };
        for variant in 0..variants {
            let title = if variant == 0 { format!("Shirt {product}") } else { String::new() };
            feed.push_str(&format!("shirt-{product},{title},Size,{variant},9.99\n"));
        }
    }
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let (report, problems) = import(&store, feed.as_bytes(), Format::ShopifyCsv, 1_000_000).await;
        assert_eq!((report.created, problems), (450, vec![]));
        assert_eq!(report.rows as usize, feed.lines().count() - 1);
        assert_eq!(store.product_get("shirt-100").await.unwrap().unwrap().product.variants.len(), 200);
        let first = store.product_get("shirt-0").await.unwrap().unwrap();
        let last = store.product_get("shirt-449").await.unwrap().unwrap();
        assert_eq!((first.created_at, last.created_at), (1_000_000, 1_000_000 - 449));
    }
}

#[tokio::test]
async fn a_feed_that_breaks_off_is_an_error_and_what_stood_before_is_kept() {
    let (store, _pool, _database) = catalogue(selvage_testkit::Engine::Sqlite).await;
    let mut feed = String::from("Handle,Title,Variant Price\n");
    (0..600).for_each(|n| feed.push_str(&format!("a{n},A,1\n")));
    feed.push_str(&format!("b,\"B,1\n{}", "c,C,1\n".repeat(400_000)));
    let failed = import::run(&store, Cursor::new(feed), Format::ShopifyCsv, 1, |_| ()).await;
    assert!(matches!(failed, Err(ImportError::Endless(602))), "{failed:?}");
    assert!(store.product_count().await.unwrap() > 0);
}

/// A shop that serves the database meanwhile is another process: it knows nothing of our queue for the writer's place, and
/// polls for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_open_writes_while_a_feed_comes_in() {
    let (store, _pool, database) = catalogue(selvage_testkit::Engine::Sqlite).await;
    let mut options = ConnectOptions::new(database.url());
    options.max_connections(1).sqlx_logging(false);
    let shop = Database::connect(options).await.unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let done = is_done.clone();
    let writing = tokio::spawn(async move {
        let (mut writes, mut longest) = (0, Duration::ZERO);
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            shop.execute_unprepared("UPDATE categories SET blurb = 'open' WHERE slug = 'bags'").await.unwrap();
            longest = longest.max(began.elapsed());
            writes += 1;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        (writes, longest)
    });
    let mut feed = String::from("Handle,Title,Option1 Name,Option1 Value,Variant Price\n");
    for product in 0..4_000 {
        for variant in 0..5 {
            let title = if variant == 0 { format!("Shirt {product}") } else { String::new() };
            feed.push_str(&format!("shirt-{product},{title},Size,{variant},9.99\n"));
        }
    }
    let began = Instant::now();
    let (report, _) = import(&store, feed.as_bytes(), Format::ShopifyCsv, 1_000_000).await;
    let took = began.elapsed();
    is_done.store(true, Ordering::Relaxed);
    let (writes, longest) = writing.await.unwrap();
    assert_eq!(report.created, 4_000);
    // Whoever waits for the feed's end waits for most of its time, on a busy machine as on an idle one.
    assert!(writes > 10 && longest * 3 < took, "{writes} writes, the longest {longest:?} in {took:?}");
}

#[tokio::test]
async fn a_zero_byte_in_a_feed_is_not_the_databases_to_find() {
    let csv = "Handle,Title,Body (HTML),Type,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Price\n\
               a\0b,A\0B,<p>x\0y</p>,Fig\0Candle,t\0u,Si\0ze,M\0L,S\0KU,9.99\n";
    let json = r#"{"slug": "c", "title": "C", "description_html": "x\u0000y", "category": "c\u0000d", "variants":
        [{"sku": "C", "price": {"currency": "EUR", "minor_units": 5}}]}"#;
    let described = r#"{"slug": "d", "title": "D", "description_html": "x\u0000y", "variants":
        [{"sku": "D", "price": {"currency": "EUR", "minor_units": 5}}]}"#;
    let json = format!("{}\n{}\n", json.replace('\n', " "), described.replace('\n', " "));
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let (report, problems) = import(&store, csv.as_bytes(), Format::ShopifyCsv, 1).await;
        assert_eq!((report.created, report.failed), (1, 0), "{engine:?} {problems:?}");
        let (report, problems) = import(&store, json.as_bytes(), Format::JsonLines, 1).await;
        assert_eq!((report.created, report.failed), (1, 1), "{engine:?} {problems:?}");
        assert_eq!(store.product_get("d").await.unwrap().unwrap().product.description_html, "xy");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(feed in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&feed, Format::JsonLines);
        let _ = read(&feed, Format::ShopifyCsv);
        let mut headed = b"Handle,Title,Variant Price,Option1 Name,Option1 Value,Variant SKU,Tags,Image Src\n".to_vec();
        headed.extend(feed);
        let _ = read(&headed, Format::ShopifyCsv);
    }

    /// Whatever stands in the fields: each product is one that the API would take, in line order, and each problem names a
    /// line that there is.
    #[test]
    fn whatever_is_found_is_right(
        rows in prop::collection::vec(prop::collection::vec("[ -~]{0,12}|\\PC{0,30}|[0-9.,]{0,9}|(a|b|c)", 9), 0..12),
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let heading = ["Handle", "Title", "Variant Price", "Option1 Name", "Option1 Value", "Body (HTML)", "Variant SKU",
            "Variant Grams", "Type"];
        writer.write_record(heading).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let feed = writer.into_inner().unwrap();
        let lines = feed.iter().filter(|byte| **byte == b'\n').count() as u64;
        let (items, read) = read(&feed, Format::ShopifyCsv);
        prop_assert!(read.is_ok());
        let mut skus = std::collections::HashSet::new();
        for product in products(&items) {
            prop_assert_eq!(product.check(), []);
            skus.clear();
            prop_assert!(product.variants.iter().all(|variant| skus.insert(&variant.sku)));
        }
        for problem in problems(&items) {
            prop_assert!((1..=lines).contains(&problem.line) && !problem.reason.is_empty(), "{:?}", problem);
        }
        prop_assert_eq!(read_again(&feed), items);
    }

    /// A line of JSON cut, doubled or bent anywhere.
    #[test]
    fn bent_json_never_panics(at in 0_usize..400, byte: u8, cut: bool) {
        let line = r#"{"slug":"s","title":"T","tags":["a"],"picture":{"garment":"shirt"},"audience":"men","variants":[{"sku":"S","grams":1,"price":{"currency":"EUR","minor_units":"5"},"initial_stock":3}]}"#;
        let mut line = line.as_bytes().to_vec();
        let at = at % line.len();
        if cut { line.truncate(at); } else { line[at] = byte; }
        let (items, read) = read(&line, Format::JsonLines);
        prop_assert!(read.is_ok());
        for product in products(&items) {
            prop_assert_eq!(product.check(), []);
        }
    }
}

fn read_again(feed: &[u8]) -> Vec<Item> {
    read(feed, Format::ShopifyCsv).0
}
