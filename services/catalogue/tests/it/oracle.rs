//! The index answers what the database would: for any products and filters, in any order, page by page, whatever has changed since.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use selvage_catalogue::domain::listing::{Cursor, Filter, Listing, Order};
use selvage_catalogue::domain::product::{Audience, Product};
use selvage_catalogue::index::{Index, Keeper};
use selvage_catalogue::store::Store;
use selvage_pool::Pool;
use selvage_testkit::engines;
use uuid::Uuid;

use crate::goods::{catalogue, product, variant};
use crate::plain;

const SIZES: [&str; 4] = ["S", "M", "L", "XL"];
const COLOURS: [&str; 3] = ["Ink", "Oat", "Moss"];
const TITLES: [&str; 5] = ["Ábel Shirt", "abel shirt", "Harbour Coat", "Éden Tote", "Zoë"];

/// Slugs are few, so that products are changed too.
fn goods() -> impl Strategy<Value = Product> {
    let offers = prop::collection::btree_map((0..4_usize, 0..3_usize), (1..5_i64, 0..3_i32), 1..5);
    (0..30_u32, 0..5_usize, 0..3_usize, 0..3_usize, offers).prop_map(|(number, title, category, audience, offers)| {
        let offers = offers.into_iter().map(|((size, colour), (price, stock))| {
            let sku = format!("P{number}-{}-{}", SIZES[size], COLOURS[colour]).to_uppercase();
            variant(&sku, SIZES[size], COLOURS[colour], price * 1_000, stock)
        });
        let category = ["shirts", "coats", "bags"][category];
        let mut product = product(&format!("p{number}"), TITLES[title], category, offers.collect());
        product.audience = [Audience::Everyone, Audience::Women, Audience::Men][audience];
        product
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let some = |values: &'static [&'static str]| {
        prop::sample::subsequence(values, 0..=2)
            .prop_map(|values| values.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let audience =
        prop::sample::select(vec![None, Some(Audience::Women), Some(Audience::Men), Some(Audience::Everyone)]);
    let category = prop::sample::select(vec!["", "", "shirts", "coats", "bags", "hats"]);
    let price = || prop::option::weighted(0.3, (0..6_i64).prop_map(|price| price * 1_000));
    (category, some(&SIZES), some(&COLOURS), price(), price(), any::<bool>(), audience).prop_map(
        |(category, sizes, colours, min_price, max_price, in_stock, audience)| Filter {
            category: category.to_owned(),
            sizes,
            colours,
            min_price,
            max_price,
            in_stock,
            audience,
        },
    )
}

/// A change of the catalogue.
#[derive(Clone, Debug)]
enum Change {
    Put(Vec<(Product, i64)>),
    /// All that can be bought of the first so many products, or one piece back.
    SellOut(u8),
    Restock(u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        prop::collection::vec((goods(), 0..8_i64), 1..12).prop_map(Change::Put),
        (0..4_u8).prop_map(Change::SellOut),
        (0..4_u8).prop_map(Change::Restock),
    ]
}

/// A filter, the number of an order, and how many products a page has.
type Asked = (Filter, usize, u64);

async fn make(store: &Store, change: Change) {
    match change {
        Change::Put(products) => {
            // Of one slug in a batch the last counts.
            let products: BTreeMap<_, _> = products.into_iter().map(|put| (put.0.slug.clone(), put)).collect();
            store.product_upsert(&products.into_values().collect::<Vec<_>>()).await.unwrap();
        }
        Change::SellOut(count) | Change::Restock(count) => {
            let all = store.product_walk("", 100).await.unwrap();
            for stored in all.iter().take(count.into()) {
                for (variant, available) in stored.product.variants.iter().zip(&stored.available) {
                    let delta = if matches!(change, Change::Restock(_)) { 1 } else { -available };
                    if delta != 0 {
                        let _ = store.stock_adjust(Uuid::now_v7(), &variant.sku, delta, 1).await.unwrap();
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn the_index_answers_what_the_database_would() {
    for engine in engines() {
        let mut runner = TestRunner::deterministic();
        let mut draw = {
            move |strategy: BoxedStrategy<(Vec<Change>, Vec<Asked>)>| strategy.new_tree(&mut runner).unwrap().current()
        };
        for _ in 0..8 {
            let (store, books, _database) = catalogue(engine).await;
            let folder = tempfile::tempdir().unwrap();
            let (mut index, writer) = Index::open(folder.path()).unwrap();
            let mut keeper = Keeper::new(store.clone(), writer);
            for round in 0..6 {
                let asked = prop::collection::vec((filter(), 0..4_usize, 1..9_u64), 12);
                let (changes, asked) = draw((prop::collection::vec(change(), 0..4), asked).boxed());
                for change in changes {
                    make(&store, change).await;
                }
                if round % 2 == 1 {
                    // The process ends, and another one goes on.
                    drop(keeper);
                    drop(index);
                    let (again, writer) = Index::open(folder.path()).unwrap();
                    assert!(again.is_ready() && writer.position().is_some(), "it is on the disk");
                    (index, keeper) = (again, Keeper::new(store.clone(), writer));
                }
                keeper.catch_up().await.unwrap();
                for (filter, order, size) in asked {
                    let order = [Order::Newest, Order::PriceAscending, Order::PriceDescending, Order::Title][order];
                    compare(
                        &store,
                        &books,
                        &index,
                        &Listing { query: None, filter, order, after: None, size, with_facets: true },
                    )
                    .await;
                }
            }
        }
    }
}

/// Compares all pages of a listing with what the database says of it, and with what every product's card says.
async fn compare(store: &Store, books: &Pool, index: &Index, listing: &Listing) {
    let (mut shown, mut page) = (Vec::new(), listing.clone());
    let first = index.page(page.clone()).await.unwrap();
    loop {
        let made = index.page(page.clone()).await.unwrap();
        assert_eq!((made.total, made.products.len() as u64 <= listing.size), (first.total, true));
        assert!(made.next.is_none() || made.products.len() as u64 == listing.size, "{listing:?}");
        shown.extend(made.products);
        let Some(next) = made.next else { break };
        page.after = Some(Cursor::parse(&next.token("x"), "x", listing.order).expect("our own token"));
    }
    assert_eq!(shown.len() as u64, first.total, "{listing:?}");

    let (fitting, plain) = plain::listing(books, &listing.filter).await;
    let facets = first.facets.expect("they were asked for");
    assert_eq!(facets.sizes, plain.sizes, "{listing:?}");
    assert_eq!(facets.colours, plain.colours, "{listing:?}");
    assert_eq!(facets.categories, plain.categories, "{listing:?}");

    let mut right = Vec::new();
    for slug in fitting {
        let stored = store.product_get(&slug).await.unwrap().unwrap();
        let fitting = stored.product.variants.iter().zip(&stored.available).filter(|(variant, _)| {
            let has = |wanted: &[String], value: &String| wanted.is_empty() || wanted.contains(value);
            has(&listing.filter.sizes, &variant.size) && has(&listing.filter.colours, &variant.colour)
        });
        let fitting: Vec<_> = fitting.map(|(variant, available)| (variant.price, *available > 0)).collect();
        let can_be_bought = fitting.iter().any(|(_, available)| *available);
        let prices = fitting.iter().filter(|(_, available)| *available || !can_be_bought).map(|(price, _)| *price);
        let (lowest, highest) = (listing.filter.min_price.unwrap_or(0), listing.filter.max_price.unwrap_or(i64::MAX));
        let Some(price) = prices.filter(|price| (lowest..=highest).contains(price)).min() else { continue };
        right.push((stored, price, can_be_bought));
    }
    let name = |title: &str| title.to_lowercase().replace(['á', 'é', 'ë'], "e").replace("ebel", "abel");
    right.sort_by_key(|(stored, price, _)| {
        let key = match listing.order {
            Order::PriceAscending => *price,
            Order::PriceDescending => -price,
            Order::Newest => -stored.created_at,
            Order::Title | Order::Relevance => 0,
        };
        let title = if listing.order == Order::Title { name(&stored.product.title) } else { String::new() };
        (key, title, stored.product.slug.clone())
    });
    let right: Vec<_> =
        right.into_iter().map(|(stored, price, can_be_bought)| (stored.product.slug, price, can_be_bought)).collect();
    let shown: Vec<_> = shown.into_iter().map(|product| (product.slug, product.price, product.in_stock)).collect();
    assert_eq!(shown, right, "{listing:?}");
}
