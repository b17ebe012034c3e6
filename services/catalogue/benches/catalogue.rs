//! What a page of the index takes, by the number of products: `cargo bench --bench catalogue [-- PRODUCTS ...]`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints figures, and fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use selvage_catalogue::domain::listing::{Filter, Listing, Order};
use selvage_catalogue::domain::search::Query;
use selvage_catalogue::index::{Index, Writer};
use selvage_catalogue::planted_products;
use selvage_catalogue::store::StoredProduct;

/// A number that isn't given: a shop, and a hundred times as large a one.
const PRODUCTS: [usize; 2] = [1_000, 100_000];
const TIMES: usize = 200;
const NOW: i64 = 1_800_000_000_000;

#[tokio::main]
async fn main() {
    let given: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let numbers = if given.is_empty() { PRODUCTS.to_vec() } else { given };
    let mut shops = Vec::new();
    for products in numbers {
        shops.push(shop(products));
    }
    let mut pages = pages();
    println!(
        "{:<44}{}",
        "ms a page: the median, and 99 of 100",
        shops.iter().map(|shop| format!("{:>20}", shop.products)).collect::<String>()
    );
    for (what, listing) in &mut pages {
        let mut line = format!("{what:<44}");
        for shop in &shops {
            let mut took = Vec::new();
            let mut total = 0;
            for _ in 0..TIMES {
                let begun = Instant::now();
                total = shop.index.page(listing.clone()).await.unwrap().total;
                took.push(begun.elapsed());
            }
            took.sort();
            let ms = |at: usize| took[at].as_secs_f64() * 1e3;
            line += &format!("{:>8.2} {:>5.2} {total:>6}", ms(TIMES / 2), ms(TIMES * 99 / 100));
        }
        println!("{line}");
    }
}

struct Shop {
    products: usize,
    index: Index,
    _writer: Writer,
    _folder: tempfile::TempDir,
}

fn shop(products: usize) -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let (index, mut writer) = Index::open(folder.path()).unwrap();
    let (mut variants, mut writing) = (0, Duration::ZERO);
    for (product, created_at) in planted_products(products, NOW) {
        let available = product.variants.iter().map(|variant| variant.stock).collect::<Vec<_>>();
        variants += available.len();
        let stored = StoredProduct {
            product,
            available,
            currency: "EUR".into(),
            version: 1,
            created_at,
            updated_at: created_at,
        };
        let begun = Instant::now();
        writer.add(&stored).unwrap();
        writing += begun.elapsed();
    }
    let begun = Instant::now();
    writer.commit("0").unwrap();
    writing += begun.elapsed();
    println!(
        "{products} products, {variants} variants: indexed in {:.1} s, {:.1} MB on the disk, {:.0} MiB of anonymous memory",
        writing.as_secs_f64(),
        bytes(folder.path()) as f64 / 1e6,
        anonymous_kib() as f64 / 1024.0
    );
    Shop { products, index, _writer: writer, _folder: folder }
}

fn bytes(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn pages() -> Vec<(&'static str, Listing)> {
    let listing =
        |filter: Filter, order: Order| Listing { query: None, filter, order, after: None, size: 24, with_facets: true };
    let search = |text: &str| Listing { query: Query::parse(text), ..listing(Filter::default(), Order::Relevance) };
    let any = Filter::default;
    vec![
        ("everything, the newest", listing(any(), Order::Newest)),
        ("everything, by price", listing(any(), Order::PriceAscending)),
        ("everything, by title", listing(any(), Order::Title)),
        ("a category", listing(Filter { category: "shirts".into(), ..any() }, Order::Newest)),
        (
            "a category, size M, black",
            listing(
                Filter { category: "shirts".into(), sizes: vec!["M".into()], colours: vec!["Black".into()], ..any() },
                Order::PriceAscending,
            ),
        ),
        (
            "size M, ink, up to 60, in stock",
            listing(
                Filter {
                    sizes: vec!["M".into()],
                    colours: vec!["Ink".into()],
                    max_price: Some(6_000),
                    in_stock: true,
                    ..any()
                },
                Order::PriceAscending,
            ),
        ),
        ("linen", search("linen")),
        ("linen shirt", search("linen shirt")),
        ("linen, by price", Listing { order: Order::PriceAscending, ..search("linen") }),
        ("s", search("s")),
        ("a beginning: shir", search("shir")),
        ("one wrong letter: trosers", search("trosers")),
        ("blue dress for women", search("blue dress for women")),
        ("what isn't there: purple heron zeppelin", search("purple heron zeppelin")),
    ]
}
