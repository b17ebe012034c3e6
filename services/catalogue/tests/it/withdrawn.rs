//! Variants that a product no longer has.

use selvage_catalogue::domain::listing::{Filter, Listing, Order};
use selvage_catalogue::domain::product::Product;
use selvage_catalogue::domain::stock::{Line, State};
use selvage_catalogue::index::Page;
use selvage_catalogue::store::{Adjusted, Put, Refused, Store};
use selvage_testkit::engines;
use uuid::Uuid;

use crate::goods::{catalogue, indexed, product, variant};

async fn keep(store: &Store, product: &Product) {
    let kept = store.product_upsert(&[(product.clone(), 0)]).await.unwrap();
    assert_eq!(kept.created + kept.updated, 1);
}

async fn list(store: &Store, filter: Filter) -> Page {
    let listing = Listing { query: None, filter, order: Order::Title, after: None, size: 24, with_facets: true };
    indexed(store).await.page(listing).await.unwrap()
}

#[tokio::test]
async fn a_variant_that_is_dropped_is_not_sold_until_it_comes_back_with_its_stock() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let whole = product(
            "shirt",
            "Shirt",
            "shirts",
            vec![
                variant("A", "M", "Ink", 2_000, 0),
                variant("B", "L", "Oat", 1_000, 5),
                variant("C", "S", "Ink", 2_000, 0),
            ],
        );
        let mut less = whole.clone();
        less.variants.remove(1);
        keep(&store, &whole).await;
        let line = [Line { sku: "B".into(), quantity: 2 }];
        let ordered = Uuid::now_v7();
        store.stock_reserve(ordered, &line, 9).await.unwrap().unwrap();

        keep(&store, &less).await;
        let stored = store.product_get("shirt").await.unwrap().unwrap();
        assert_eq!(stored.product, less, "{engine:?}");
        assert_eq!(store.variant_list(&["A".into(), "B".into()]).await.unwrap().len(), 1);
        let listed = list(&store, Filter::default()).await;
        let shown = &listed.products[0];
        assert_eq!((shown.price, shown.price_varies, shown.in_stock, shown.colours.len()), (2_000, false, false, 1));
        let facets = listed.facets.unwrap();
        assert_eq!((facets.prices, facets.sizes.len(), facets.colours.len()), ((2_000, 2_000), 2, 1));
        for filter in [
            Filter { sizes: vec!["L".into()], ..Filter::default() },
            Filter { colours: vec!["Oat".into()], ..Filter::default() },
            Filter { max_price: Some(1_000), ..Filter::default() },
            Filter { in_stock: true, ..Filter::default() },
        ] {
            assert_eq!(list(&store, filter).await.total, 0, "{engine:?}");
        }
        let refused = store.stock_reserve(Uuid::now_v7(), &line, 9).await.unwrap();
        assert_eq!(refused, Err(Refused::Short(vec![("B".into(), None)])));

        // What was ordered before is the buyer's; what comes in is counted; the SKU is nobody else's.
        assert_eq!(store.stock_reserve(ordered, &line, 9).await.unwrap().unwrap().state, State::Held);
        assert_eq!(store.stock_commit(ordered).await.unwrap().unwrap().state, State::Committed);
        let Adjusted::Done(counted) = store.stock_adjust(Uuid::now_v7(), "B", 4, 1).await.unwrap() else { panic!() };
        assert_eq!(counted.variant.stock, 7);
        let thief = product("thief", "Thief", "coats", vec![variant("B", "M", "Ink", 1, 1)]);
        assert!(matches!(store.product_create(&thief, 0).await.unwrap(), Put::SkuTaken(_)));

        keep(&store, &whole).await;
        let stored = store.product_get("shirt").await.unwrap().unwrap();
        assert_eq!((stored.product.variants.len(), stored.available), (3, vec![0, 7, 0]), "{engine:?}");
        let shown = &list(&store, Filter { in_stock: true, ..Filter::default() }).await.products[0];
        assert_eq!((shown.price, shown.price_varies, shown.colours.len()), (1_000, false, 2));
    }
}

#[tokio::test]
async fn variants_that_are_gone_do_not_count_among_the_200() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        for season in 0..3 {
            let skus = (0..150).map(|n| format!("S{season}-{n}"));
            let variants: Vec<_> = skus.map(|sku| variant(&sku, &sku, "Ink", 100, 1)).collect();
            keep(&store, &product("shirt", "Shirt", "shirts", variants)).await;
        }
        let stored = store.product_get("shirt").await.unwrap().unwrap();
        assert_eq!(stored.product.variants.len(), 150);
        assert_eq!(
            store.product_update(&stored.product, Some(stored.version), 1).await.unwrap(),
            Put::Done,
            "{engine:?}"
        );
    }
}
