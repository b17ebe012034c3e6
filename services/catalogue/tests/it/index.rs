//! The index's files, whatever becomes of them; and what is found by which words.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use selvage_catalogue::domain::listing::{Filter, Listing, Order};
use selvage_catalogue::domain::product::{Audience, Product};
use selvage_catalogue::domain::search::Query;
use selvage_catalogue::index::{Index, Keeper, OpenError, Page};
use selvage_catalogue::store::{Put, Store};
use selvage_testkit::{Database, Engine};

use crate::goods::{catalogue, indexed, product, variant};

fn search(text: &str) -> Listing {
    let order = Order::Relevance;
    Listing { query: Query::parse(text), filter: Filter::default(), order, after: None, size: 24, with_facets: true }
}

async fn find(index: &Index, text: &str) -> Page {
    index.page(search(text)).await.unwrap()
}

async fn slugs(index: &Index, text: &str) -> Vec<String> {
    find(index, text).await.products.into_iter().map(|product| product.slug).collect()
}

async fn shop(products: &[Product]) -> (Store, Database) {
    let (store, _pool, database) = catalogue(Engine::Sqlite).await;
    for (at, product) in (1..).zip(products) {
        assert_eq!(store.product_create(product, at).await.unwrap(), Put::Done);
    }
    (store, database)
}

fn shirt(slug: &str, title: &str, tags: &[&str]) -> Product {
    let sku = format!("{}-M", slug.to_uppercase());
    let mut shirt = product(slug, title, "shirts", vec![variant(&sku, "M", "Ink", 2_000, 3)]);
    shirt.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    shirt.picture.garment = String::new();
    shirt
}

#[tokio::test]
async fn an_index_that_is_damaged_is_made_anew_and_is_right_then() {
    let (store, _database) = shop(&[shirt("heron", "Heron Shirt", &[]), shirt("plover", "Plover Shirt", &[])]).await;
    let folder = tempfile::tempdir().unwrap();
    let make = async || {
        let (index, writer) = Index::open(folder.path()).unwrap();
        let was_there = index.is_ready();
        Keeper::new(store.clone(), writer).catch_up().await.unwrap();
        assert_eq!(slugs(&index, "shirt").await, ["plover", "heron"], "the newest first");
        was_there
    };
    assert!(!make().await);
    assert!(make().await, "what is sound is used again");
    let files = |folder: &Path| -> Vec<PathBuf> {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
    };
    for number in 0..files(folder.path()).len() {
        for damage in ["a byte", "the end", "all of it"] {
            let files = files(folder.path());
            let Some(path) = files.get(number) else { continue };
            let mut bytes = fs::read(path).unwrap();
            match damage {
                "a byte" => {
                    let middle = bytes.len() / 2;
                    let Some(byte) = bytes.get_mut(middle) else { continue };
                    *byte ^= 0x55;
                    fs::write(path, bytes).unwrap();
                }
                "the end" => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
                _ => fs::remove_file(path).unwrap(),
            }
            // Whether it was noticed or did no harm, it is right.
            make().await;
        }
    }
    assert!(make().await);
}

#[tokio::test]
async fn a_folder_is_one_process_s_and_must_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let (_index, writer) = Index::open(folder.path()).unwrap();
    let taken = Index::open(folder.path()).unwrap_err();
    assert!(matches!(taken, OpenError::Taken(_)), "{taken}");
    drop(writer);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let why = Index::open(&file).unwrap_err().to_string();
    assert!(why.contains("can't be written"), "{why}");
}

#[tokio::test]
async fn words_are_found_in_any_form_and_meaning() {
    let mut weiss = shirt("weiss", "Weiße Bluse", &[]);
    weiss.description_html = "<ul><li>Machine wash</li><li>Do not bleach</li></ul><p>fish&nbsp;net</p>".into();
    let mut women = shirt("women", "Garden Dress", &["florals"]);
    women.audience = Audience::Women;
    let mut men = shirt("men", "Work Dress", &[]);
    men.audience = Audience::Men;
    let (store, _database) = shop(&[
        weiss,
        women,
        men,
        shirt("lodz", "Łódź Straße Tee", &[]),
        shirt("japan", "リネンシャツ", &[]),
        shirt("scarf", "Merino Scarf", &["wool"]),
        shirt("jumper", "Harbour Jumper", &[]),
        shirt("tshirt", "Breton T-Shirt", &[]),
    ])
    .await;
    let index = indexed(&store).await;
    for (text, found) in [
        ("weisse bluse", &["weiss"][..]),
        ("WEIßE", &["weiss"]),
        ("lodz strasse", &["lodz"]),
        ("シャツ", &["japan"]),
        ("scarves", &["scarf"]),
        ("sweater", &["jumper"]),
        ("sweter", &["jumper"]),
        ("women's dress", &["women"]),
        ("dress for ladies", &["women"]),
        ("men's dress", &["men"]),
        ("tee breton", &["tshirt"]),
        ("bleach wash", &["weiss"]),
        ("net", &["weiss"]),
        ("flo", &["women"]),
        ("harbuor", &["jumper"]),
        ("jumper-m", &["jumper"]),
        ("nbsp", &[]),
        ("washdo", &[]),
        ("tshirt", &["lodz", "tshirt"]),
    ] {
        let mut slugs = slugs(&index, text).await;
        slugs.sort();
        assert_eq!(slugs, found, "{text}");
    }
    assert_eq!(find(&index, "harbuor").await.corrected.as_deref(), Some("harbour"));
    let best = find(&index, "purple merino scarf").await;
    assert_eq!((best.left_out, best.total), (vec!["purple".to_owned()], 1), "the best of what there is");
    let none = find(&index, "zeppelin").await;
    assert_eq!((none.left_out, none.total), (vec!["zeppelin".to_owned()], 0));
}

#[tokio::test]
async fn as_typed_before_other_forms_and_what_can_be_bought_before_what_cannot() {
    let mut gone = shirt("gone", "Linen Shirt", &[]);
    gone.variants[0].stock = 0;
    let goods = [
        shirt("tagged", "Coat", &["shirt"]),
        gone,
        shirt("other-form", "Linen Shirts", &[]),
        shirt("typed", "Linen Shirt", &[]),
    ];
    let (store, _database) = shop(&goods).await;
    let index = indexed(&store).await;
    assert_eq!(slugs(&index, "shirt").await, ["typed", "other-form", "tagged", "gone"]);
    assert_eq!(slugs(&index, "linen shirt").await, ["typed", "other-form", "gone"]);
}

#[tokio::test]
async fn pages_neither_repeat_nor_miss_what_does_not_change_meanwhile() {
    let goods: Vec<_> = (0..40).map(|n| shirt(&format!("s{n:02}"), "Linen Shirt", &[])).collect();
    let (store, _database) = shop(&goods).await;
    let folder = tempfile::tempdir().unwrap();
    let (index, writer) = Index::open(folder.path()).unwrap();
    let keeper = Keeper::new(store.clone(), writer);
    keeper.catch_up().await.unwrap();
    for order in [Order::Relevance, Order::Newest, Order::PriceAscending, Order::Title] {
        let (mut seen, mut round) = (Vec::new(), 0);
        let mut page = Listing { order, size: 7, ..search("linen shirt") };
        loop {
            let made = index.page(page.clone()).await.unwrap();
            seen.extend(made.products.into_iter().map(|product| product.slug));
            let Some(next) = made.next else { break };
            page.after = Some(next);
            // One comes, and one is called otherwise and costs more: all that change have odd numbers.
            round += 1;
            let new = shirt(&format!("{order:?}-{round}").to_lowercase(), "Linen Shirt", &[]);
            assert_eq!(store.product_create(&new, 20).await.unwrap(), Put::Done);
            let mut other = goods[(4 * round + 1) % 40].clone();
            other.title = format!("Coat {order:?}");
            other.variants[0].price += 7;
            assert_eq!(store.product_update(&other, None, 30).await.unwrap(), Put::Done);
            keeper.catch_up().await.unwrap();
        }
        let is_even = |slug: &&String| {
            slug.strip_prefix('s').and_then(|n| n.parse().ok()).is_some_and(|n: u32| n.is_multiple_of(2))
        };
        let even: Vec<_> = seen.iter().filter(is_even).collect();
        assert_eq!((even.len(), even.iter().collect::<BTreeSet<_>>().len()), (20, 20), "{order:?}");
    }
}
