//! Listings and searches find the same on either engine.

use std::collections::BTreeSet;

use selvage_catalogue::domain::listing::{Cursor, Filter, Listing, Order};
use selvage_catalogue::domain::product::Audience;
use selvage_catalogue::domain::search::Query;
use selvage_catalogue::index::Index;
use selvage_catalogue::plant_seed;
use selvage_catalogue::store::Put;
use selvage_testkit::engines;

use crate::goods::{catalogue, indexed, product, variant};

fn listing(filter: Filter, order: Order) -> Listing {
    Listing { query: None, filter, order, after: None, size: 24, with_facets: false }
}

async fn slugs(index: &Index, listing: &Listing) -> Vec<String> {
    let listed = index.page(listing.clone()).await.expect("a page");
    assert_eq!(listed.total, listed.products.len() as u64, "all on one page");
    listed.products.into_iter().map(|product| product.slug).collect()
}

#[tokio::test]
async fn filters_hold_together_for_one_variant() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let mut harbour = product(
            "harbour",
            "Harbour Shirt",
            "shirts",
            vec![variant("H-INK-M", "M", "Ink", 3000, 0), variant("H-OAT-L", "L", "Oat", 4000, 3)],
        );
        harbour.audience = Audience::Men;
        let meadow = product("meadow", "Meadow Coat", "coats", vec![variant("MEADOW", "M", "Moss", 9000, 1)]);
        let tote = product("tote", "Apple Tote", "bags", vec![variant("TOTE", "One size", "Ink", 1500, 9)]);
        for (at, product) in [(1, &harbour), (2, &meadow), (3, &tote)] {
            assert_eq!(store.product_create(product, at).await.unwrap(), Put::Done);
        }
        let index = indexed(&store).await;
        let all = |order| listing(Filter::default(), order);
        assert_eq!(slugs(&index, &all(Order::Newest)).await, ["tote", "meadow", "harbour"]);
        assert_eq!(slugs(&index, &all(Order::PriceAscending)).await, ["tote", "harbour", "meadow"]);
        assert_eq!(slugs(&index, &all(Order::PriceDescending)).await, ["meadow", "harbour", "tote"]);
        assert_eq!(slugs(&index, &all(Order::Title)).await, ["tote", "harbour", "meadow"]);
        let found = async |filter| slugs(&index, &listing(filter, Order::Title)).await;
        let any = Filter::default;
        assert_eq!(found(Filter { category: "coats".into(), ..any() }).await, ["meadow"]);
        assert_eq!(found(Filter { sizes: vec!["M".into()], ..any() }).await, ["harbour", "meadow"]);
        // In stock *and* in size M: the shirt's M is sold out, though its L isn't.
        assert_eq!(found(Filter { sizes: vec!["M".into()], in_stock: true, ..any() }).await, ["meadow"]);
        assert_eq!(found(Filter { colours: vec!["Ink".into()], ..any() }).await, ["tote", "harbour"]);
        assert_eq!(found(Filter { min_price: Some(1500), max_price: Some(3000), ..any() }).await, ["tote"]);
        assert_eq!(found(Filter { min_price: Some(4000), ..any() }).await, ["harbour", "meadow"]);
        assert_eq!(found(Filter { audience: Some(Audience::Women), ..any() }).await, ["tote", "meadow"]);
        assert_eq!(found(Filter { audience: Some(Audience::Men), ..any() }).await, ["tote", "harbour", "meadow"]);

        let narrow =
            Listing { with_facets: true, ..listing(Filter { category: "shirts".into(), ..any() }, Order::Title) };
        let listed = index.page(narrow).await.unwrap();
        let facets = listed.facets.expect("they were asked for");
        assert_eq!(facets.prices, (4000, 4000), "the ink one is sold out");
        assert_eq!(facets.categories, [("shirts".into(), 1)]);
        assert_eq!(facets.sizes, [("M".into(), 1), ("L".into(), 1)], "from small to large");
        let shown = &listed.products[0];
        assert_eq!((shown.price, shown.price_varies, shown.in_stock), (4000, false, true), "what can be bought");
    }
}

#[tokio::test]
async fn pages_of_every_order_hold_each_product_once() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        let planted = plant_seed(&store, 1_800_000_000_000).await.unwrap();
        let index = indexed(&store).await;
        let walks = [
            (Order::Newest, None),
            (Order::PriceAscending, None),
            (Order::PriceDescending, None),
            (Order::Title, None),
            (Order::Relevance, Query::parse("shirt")),
        ];
        for (order, query) in walks {
            let mut listing = Listing { query, size: 37, ..listing(Filter::default(), order) };
            let (mut seen, mut total, mut pages) = (BTreeSet::new(), 0, 0);
            let before = pool.snapshot().statements;
            loop {
                let listed = index.page(listing.clone()).await.unwrap();
                total = total.max(listed.total);
                pages += 1;
                for product in listed.products {
                    assert!(seen.insert(product.slug.clone()), "{order:?}: {} comes twice", product.slug);
                }
                // As it comes back from a caller.
                let Some(next) = listed.next else { break };
                let token = next.token("walk");
                listing.after = Some(Cursor::parse(&token, "walk", order).expect("our own token"));
            }
            assert_eq!(seen.len() as u64, total, "{order:?}");
            assert!(listing.query.is_some() || seen.len() == planted, "{order:?}");
            assert!(pages > 1 && pool.snapshot().statements == before, "a page is no statement");
        }
    }
}

#[tokio::test]
async fn a_search_finds_the_same_on_either_engine() {
    let mut answers = Vec::new();
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        plant_seed(&store, 1_800_000_000_000).await.unwrap();
        let index = indexed(&store).await;
        let mut answer = Vec::new();
        for text in [
            "shirt",
            "Shirts",
            "linen shirt",
            "wool coa",
            "JEANS",
            "dress",
            "dresses",
            "crêpe",
            "ink",
            "red dress",
            "navy coat",
            "green jacket",
            "white shirt",
            "boots leather",
            "zzz",
            "\" OR 1=1 --",
            "a:b & c | !d",
            "NEAR(shirt, 3)",
            "sh*rt",
            "(((",
            "AND OR NOT",
        ] {
            let Some(query) = Query::parse(text) else { continue };
            let listing = Listing { query: Some(query), size: 100, ..listing(Filter::default(), Order::Title) };
            let listed = index.page(listing).await.unwrap_or_else(|error| panic!("{text}: {error}"));
            answer.push((text, listed.total, listed.products.into_iter().map(|p| p.slug).collect::<Vec<_>>()));
        }
        assert!(answer.iter().find(|(text, ..)| *text == "shirt").unwrap().1 > 20);
        assert_eq!(answer[0].1, answer[1].1, "plurals don't matter");
        let found = |wanted: &str| &answer.iter().find(|(text, ..)| *text == wanted).unwrap().2;
        assert_eq!(found("dress"), found("dresses"));
        for plain in ["red dress", "navy coat", "green jacket", "white shirt"] {
            assert!(!found(plain).is_empty(), "{plain}: whatever the shade is called");
        }
        answers.push(answer);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
}

#[tokio::test]
async fn the_best_match_comes_first() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let named = product("a-linen-shirt", "Linen Shirt", "shirts", vec![variant("A", "M", "Ink", 1, 1)]);
        let mut mentions = product("b-coat", "Coat", "coats", vec![variant("B", "M", "Ink", 1, 1)]);
        mentions.description_html = "<p>Goes with a linen shirt, and with any other shirt of linen.</p>".into();
        assert_eq!(store.product_create(&mentions, 2).await.unwrap(), Put::Done);
        assert_eq!(store.product_create(&named, 1).await.unwrap(), Put::Done);
        let index = indexed(&store).await;
        let query = Query::parse("linen shirt");
        let listing = Listing { query, ..listing(Filter::default(), Order::Relevance) };
        assert_eq!(slugs(&index, &listing).await, ["a-linen-shirt", "b-coat"]);
    }
}
