//! Products, as they are stored and changed.

use std::time::Duration;

use futures::future::join_all;
use selvage_catalogue::store::{Put, SkuTaken, Store};
use selvage_catalogue::{Planted, plant, plant_seed, seed};
use selvage_testkit::{Engine, engines, eventually};

use crate::goods::{catalogue, product, variant};

#[tokio::test]
async fn a_product_is_read_as_it_was_stored_and_its_guards_hold() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let mut shirt = product(
            "harbour",
            "Harbour Shirt",
            "shirts",
            vec![variant("H-INK-M", "M", "Ink", 3495, 4), variant("H-OAT-L", "L", "Oat", 2995, 0)],
        );
        shirt.variants[1].compare_at = Some(3495);
        shirt.tags = vec!["linen".into(), "summer".into()];
        shirt.image_urls = vec!["https://example.org/a.jpg".into()];
        assert_eq!(store.product_create(&shirt, 1_000).await.unwrap(), Put::Done);
        let stored = store.product_get("harbour").await.unwrap().unwrap();
        assert_eq!(stored.product, shirt);
        assert_eq!((stored.available.as_slice(), stored.created_at, stored.etag()), (&[4, 0][..], 1_000, "1".into()));
        assert_eq!(store.product_get("nothing").await.unwrap(), None);

        assert_eq!(store.product_create(&shirt, 2_000).await.unwrap(), Put::SlugTaken);
        let thief = product("thief", "Thief", "coats", vec![variant("H-INK-M", "M", "Ink", 1, 1)]);
        let taken = Put::SkuTaken(SkuTaken { sku: "H-INK-M".into(), by: "harbour".into() });
        assert_eq!(store.product_create(&thief, 2_000).await.unwrap(), taken);

        shirt.variants[0].price = 2_000;
        shirt.variants[0].stock = 999;
        shirt.variants.push(variant("H-INK-L", "L", "Ink", 3495, 7));
        assert_eq!(store.product_update(&shirt, Some(7), 3_000).await.unwrap(), Put::Changed);
        assert_eq!(store.product_update(&shirt, Some(1), 3_000).await.unwrap(), Put::Done);
        let stored = store.product_get("harbour").await.unwrap().unwrap();
        assert_eq!(stored.available, [4, 0, 7], "an update of content leaves stock alone");
        assert_eq!((stored.product.variants[0].price, stored.created_at, stored.updated_at), (2_000, 1_000, 3_000));
        assert_eq!(
            store.product_update(&product("none", "None", "bags", vec![]), None, 1).await.unwrap(),
            Put::Missing
        );
    }
}

#[tokio::test]
async fn those_who_ask_at_once_get_what_each_asked_for() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        for number in 0..40 {
            let sizes = (0..number % 4).map(|size| variant(&format!("S-{number}-{size}"), "M", "Ink", 995, size));
            let new = product(&format!("shirt-{number}"), &format!("Shirt {number}"), "shirts", sizes.collect());
            assert_eq!(store.product_create(&new, 1_000).await.unwrap(), Put::Done);
        }
        // One is asked for twice, and ten aren't there.
        let slugs: Vec<_> = (0..50).map(|number| format!("shirt-{number}")).chain(["shirt-7".into()]).collect();
        let mut alone = Vec::new();
        for slug in &slugs {
            alone.push(store.product_get(slug).await.unwrap());
        }
        assert_eq!(alone.iter().flatten().count(), 41);
        let one_each = slugs.len() as u64;
        let ask = async || {
            let before = pool.snapshot().statements;
            let together = join_all(slugs.iter().map(|slug| store.product_get(slug))).await;
            assert_eq!(together.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), alone);
            pool.snapshot().statements - before
        };
        if engine == Engine::Postgres {
            // The first two alone and the others in two more, unless the database takes longer than they wait for each other.
            eventually(Duration::from_secs(60), "they are read together", async || ask().await < one_each / 2).await;
        } else {
            assert_eq!(ask().await, one_each, "a file has no round trips to save");
        }
    }
}

#[tokio::test]
async fn keeping_the_same_products_again_changes_nothing() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let mut goods: Vec<_> = (0..30)
            .map(|n| {
                (product(&format!("p{n}"), "Shirt", "shirts", vec![variant(&format!("P{n}"), "M", "Ink", 100, 5)]), n)
            })
            .collect();
        let kept = store.product_upsert(&goods).await.unwrap();
        assert_eq!((kept.created, kept.updated, kept.unchanged), (30, 0, 0));
        let kept = store.product_upsert(&goods).await.unwrap();
        assert_eq!((kept.created, kept.updated, kept.unchanged), (0, 0, 30));
        goods[3].0.title = "Another".into();
        goods[4].0.variants[0].sku = "P5".into();
        let kept = store.product_upsert(&goods).await.unwrap();
        assert_eq!((kept.created, kept.updated, kept.unchanged), (0, 1, 28));
        assert_eq!(kept.refused, [("p4".to_owned(), SkuTaken { sku: "P5".into(), by: "p5".into() })]);
    }
}

#[tokio::test]
async fn a_wrong_currency_is_put_right_by_keeping_the_products_again() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        let goods = [(product("p", "Shirt", "shirts", vec![variant("P", "M", "Ink", 100, 5)]), 1)];
        store.product_upsert(&goods).await.unwrap();
        let right = Store::new(pool, "USD");
        for (updated, unchanged) in [(1, 0), (0, 1)] {
            let kept = right.product_upsert(&goods).await.unwrap();
            assert_eq!((kept.updated, kept.unchanged), (updated, unchanged), "{engine:?}");
            assert_eq!(right.product_get("p").await.unwrap().unwrap().currency, "USD");
        }
    }
}

#[tokio::test]
async fn the_seed_is_planted_once_and_goes_on_where_it_was_stopped() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        let planted = plant_seed(&store, 1_800_000_000_000).await.unwrap();
        assert!((380..=450).contains(&planted), "{planted}");
        assert_eq!(plant_seed(&store, 1_800_000_000_000).await.unwrap(), 0);
        assert_eq!(store.product_count().await.unwrap(), planted as u64);
        let categories = store.category_list().await.unwrap();
        assert!(categories.iter().filter(|category| category.products > 0).count() >= 12);

        // As after a power cut in the middle of it.
        use sea_orm::ConnectionTrait as _;
        for sql in [
            "DELETE FROM variants WHERE product IN (SELECT slug FROM products WHERE id > 200)",
            "DELETE FROM products WHERE id > 200",
        ] {
            pool.execute_unprepared(sql).await.unwrap();
        }
        assert_eq!(plant_seed(&store, 1_800_000_000_000).await.unwrap(), planted - 200);
    }
}

#[tokio::test]
async fn more_is_planted_beside_what_is_there_and_changes_none_of_it() {
    let now = 1_800_000_000_000;
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let heard = std::cell::RefCell::new(Vec::new());
        let planted = plant(&store, 450, now, |planted| heard.borrow_mut().push(planted.done())).await.unwrap();
        assert_eq!(planted, Planted { created: 450, there: 0, refused: 0 }, "{engine:?}");
        assert_eq!(heard.into_inner(), [100, 200, 300, 400, 450], "{engine:?}");

        // Somebody has changed one, and another shop's product has a SKU that one would have.
        let mut goods = seed::first(460).skip(449);
        let (changed, next) = (goods.next().unwrap(), goods.next().unwrap());
        let own = product(&changed.slug, "Ours", "shirts", vec![variant("OURS", "M", "Ink", 100, 5)]);
        assert_eq!(store.product_update(&own, None, now).await.unwrap(), Put::Done);
        let foreign = product("foreign", "Theirs", "shirts", vec![variant(&next.variants[0].sku, "M", "Ink", 100, 5)]);
        assert_eq!(store.product_create(&foreign, now).await.unwrap(), Put::Done);
        for created in [9, 0] {
            let planted = plant(&store, 460, now, |_| ()).await.unwrap();
            assert_eq!(planted, Planted { created, there: 459 - created, refused: 1 }, "{engine:?}");
        }
        assert_eq!(store.product_count().await.unwrap(), 460);
        assert_eq!(store.product_get(&changed.slug).await.unwrap().unwrap().product.title, "Ours");
        assert_eq!(plant_seed(&store, now).await.unwrap(), 0, "{engine:?}");
    }
}
