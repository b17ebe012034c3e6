//! Rows that are damaged: they stand in no other's way.

use sea_orm::{ConnectionTrait as _, Statement};
use selvage_catalogue::domain::listing::{Cursor, Filter, Listing, Order};
use selvage_catalogue::store::Put;
use selvage_testkit::{Engine, engines};
use uuid::Uuid;

use crate::goods::{catalogue, indexed, product, variant};

#[tokio::test]
async fn a_damaged_product_is_left_out_of_listings_and_bags_and_hides_no_other() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        let slugs = ["a", "b", "c", "d", "e", "f"];
        for (at, slug) in (1..).zip(slugs) {
            let goods = product(slug, slug, "shirts", vec![variant(&slug.to_uppercase(), "M", "Ink", 100, 20)]);
            assert_eq!(store.product_create(&goods, at).await.unwrap(), Put::Done);
        }
        let mut damages = vec![("a", "picture = '[]'"), ("c", "colours = '7'"), ("f", "image_urls = '{}'")];
        if engine == Engine::Sqlite {
            damages[1].1 = "image_urls = 'nonsense'";
        }
        for (slug, damage) in damages {
            pool.execute_unprepared(&format!("UPDATE products SET {damage} WHERE slug = '{slug}'")).await.unwrap();
        }
        // Nothing that is shown is read of the column of colours, which the release before reads.
        let sound = if engine == Engine::Sqlite { vec!["b", "d", "e"] } else { vec!["b", "c", "d", "e"] };
        let index = indexed(&store).await;
        for order in [Order::Newest, Order::Title, Order::PriceAscending] {
            for size in 2..=7 {
                let (mut seen, mut after): (Vec<String>, Option<Cursor>) = (Vec::new(), None);
                loop {
                    let page =
                        Listing { query: None, filter: Filter::default(), order, after, size, with_facets: false };
                    let page = index.page(page).await.unwrap();
                    seen.extend(page.products.into_iter().map(|product| product.slug));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                seen.sort();
                assert_eq!(seen, sound, "{engine:?}: {order:?}, pages of {size}");
            }
        }
        let skus: Vec<_> = slugs.iter().map(|slug| slug.to_uppercase()).collect();
        let mut lines: Vec<_> = store.variant_list(&skus).await.unwrap().into_iter().map(|line| line.slug).collect();
        lines.sort();
        assert_eq!(lines, sound, "{engine:?}: of a bag no colours are read");
        // Whoever asks for several at once gets those that can be read.
        let asked = slugs.map(|slug| store.product_get(slug));
        let got: Vec<_> =
            futures::future::join_all(asked).await.into_iter().map(|got| got.is_ok_and(|got| got.is_some())).collect();
        assert_eq!((got[1], got[3], got[4]), (true, true, true), "{engine:?}");
    }
}

/// Only SQLite takes what isn't an id for one: PostgreSQL's columns keep to their types.
#[tokio::test]
async fn reservations_go_on_beside_one_whose_key_is_damaged() {
    let (store, pool, _database) = catalogue(Engine::Sqlite).await;
    for (id, state) in [("'nonsense'", "held"), ("x'00'", "released")] {
        let sql = format!("INSERT INTO reservations (id, state, lines, expires_at) VALUES ({id}, '{state}', '[]', 1)");
        pool.execute_unprepared(&sql).await.unwrap();
    }
    let [held, released] = [(); 2].map(|()| Uuid::now_v7());
    for (id, state) in [(held, "held"), (released, "released")] {
        let sql = format!("INSERT INTO reservations (id, state, lines, expires_at) VALUES ($1, '{state}', '[]', 2)");
        pool.execute_raw(Statement::from_sql_and_values(pool.backend(), sql, [id.into()])).await.unwrap();
    }
    assert_eq!(store.reservation_list_overdue(10, 100).await.unwrap(), [held]);
    assert_eq!(store.stock_purge(10, 100).await.unwrap(), 1);
}
