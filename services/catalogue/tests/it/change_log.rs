//! The log of changes: who reads it hears of each change that is committed, once, and of nothing else.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};
use selvage_catalogue::domain::stock::Line;
use selvage_catalogue::migration::Migrator;
use selvage_catalogue::store::{Adjusted, Follower, News, Position, Put, Store};
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, Server, database_on, engines, eventually};
use uuid::Uuid;

use crate::goods::{catalogue, product, variant};

const MUCH_LATER: i64 = 4_000_000_000_000;

/// Somebody who reads the log now and then.
struct Reader {
    store: Store,
    position: Position,
}

impl Reader {
    async fn new(store: &Store) -> Self {
        Self { store: store.clone(), position: store.change_position().await.unwrap() }
    }

    async fn news(&mut self) -> News {
        let news = self.store.change_list(&self.position).await.unwrap();
        self.position = news.position.clone();
        news
    }

    /// The products that have changed, each with `!` if listings show it; `*` is everything.
    async fn hears(&mut self) -> String {
        let news = self.news().await;
        assert!(!news.everything || news.changed.is_empty());
        let changed =
            news.changed.iter().map(|changed| format!("{}{}", changed.product, if changed.listed { "!" } else { "" }));
        if news.everything { "*".to_owned() } else { changed.collect::<Vec<_>>().join(" ") }
    }
}

/// Numbers that look like chance and are the same in each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound).unwrap()
    }
}

async fn session(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

async fn run(session: &impl sea_orm::ConnectionTrait, sql: &str) {
    session.execute_unprepared(sql).await.unwrap();
}

fn has_postgres() -> bool {
    engines().contains(&Engine::Postgres)
}

async fn shirts(store: &Store, slugs: &[&str]) {
    for slug in slugs {
        let shirt = product(slug, "Shirt", "shirts", vec![variant(&format!("{slug}-M"), "M", "Ink", 100, 9)]);
        assert_eq!(store.product_create(&shirt, 0).await.unwrap(), Put::Done);
    }
}

async fn reserve(store: &Store, sku: &str, quantity: i32) -> Uuid {
    let id = Uuid::now_v7();
    store.stock_reserve(id, &[Line { sku: sku.into(), quantity }], MUCH_LATER).await.unwrap().unwrap();
    id
}

#[tokio::test]
async fn each_change_is_told_with_what_listings_show_of_it() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        let mut reader = Reader::new(&store).await;
        assert_eq!(reader.hears().await, "", "{engine:?}");
        shirts(&store, &["shirt", "coat"]).await;
        assert_eq!(reader.hears().await, "coat! shirt!", "{engine:?}");
        assert_eq!(reader.hears().await, "");

        // Of stock listings show whether there is any.
        let two = reserve(&store, "shirt-M", 2).await;
        assert_eq!(reader.hears().await, "shirt", "{engine:?}");
        let all = reserve(&store, "shirt-M", 7).await;
        assert_eq!(reader.hears().await, "shirt!", "{engine:?}");
        store.stock_commit(two).await.unwrap().unwrap();
        assert_eq!(reader.hears().await, "shirt", "{engine:?}");
        store.stock_release(all, 0).await.unwrap();
        store.stock_release(two, 0).await.unwrap();
        assert_eq!(reader.hears().await, "shirt!", "{engine:?}");
        assert!(matches!(store.stock_adjust(Uuid::now_v7(), "coat-M", 1, 0).await.unwrap(), Adjusted::Done(_)));
        assert_eq!(reader.hears().await, "coat", "{engine:?}");
        // What is refused, or done already, has changed nothing.
        let line = Line { sku: "shirt-M".into(), quantity: 99 };
        store.stock_reserve(Uuid::now_v7(), &[line], MUCH_LATER).await.unwrap().unwrap_err();
        store.stock_release(all, 0).await.unwrap();
        assert_eq!(reader.hears().await, "", "{engine:?}");

        let better = product("shirt", "Better", "shirts", vec![variant("shirt-M", "M", "Ink", 100, 9)]);
        assert_eq!(store.product_update(&better, None, 0).await.unwrap(), Put::Done);
        assert_eq!(reader.hears().await, "shirt!", "{engine:?}");

        // Whoever does it, and whatever it is.
        for (sql, heard) in [
            ("UPDATE variants SET grams = 7 WHERE sku = 'coat-M'", "coat"),
            ("UPDATE variants SET price = 7 WHERE sku = 'coat-M'", "coat!"),
            ("UPDATE variants SET product = 'shirt' WHERE sku = 'coat-M'", "coat! shirt!"),
            ("UPDATE variants SET stock = 7 WHERE sku = 'nothing'", ""),
            ("DELETE FROM variants WHERE sku = 'coat-M'", "shirt!"),
            ("UPDATE products SET slug = 'cloak' WHERE slug = 'coat'", "cloak! coat!"),
            ("DELETE FROM products WHERE slug = 'cloak'", "cloak!"),
            ("UPDATE categories SET title = 'Shirts' WHERE slug = 'shirts'", "*"),
            ("DELETE FROM categories WHERE slug = 'coats'", "*"),
        ] {
            run(&pool, sql).await;
            assert_eq!(reader.hears().await, heard, "{engine:?}: {sql}");
        }
        store.category_add(&[("hats".into(), "Hats".into(), String::new())]).await.unwrap();
        assert_eq!(reader.hears().await, "*", "{engine:?}");
        if engine == Engine::Postgres {
            run(&pool, "TRUNCATE variants").await;
            assert_eq!(reader.hears().await, "*");
        }
    }
}

#[tokio::test]
async fn what_commits_late_is_heard_of_once() {
    if !has_postgres() {
        return;
    }
    let (store, _pool, database) = catalogue(Engine::Postgres).await;
    shirts(&store, &["a", "b", "c", "d"]).await;
    let mut reader = Reader::new(&store).await;
    let (one, other) = (session(database.url()).await, session(database.url()).await);
    let sold = |slug: &str| format!("UPDATE variants SET reserved = reserved + 1 WHERE sku = '{slug}-M'");

    // The first to begin is the last to commit.
    run(&one, "BEGIN").await;
    run(&one, &sold("a")).await;
    run(&other, &sold("b")).await;
    assert_eq!(reader.hears().await, "b");
    run(&one, &sold("c")).await;
    assert_eq!(reader.hears().await, "");
    run(&one, "COMMIT").await;
    assert_eq!(reader.hears().await, "a c");
    assert_eq!(reader.hears().await, "");

    // Its number is older than the reader's snapshot, and what it writes is newer.
    run(&one, "BEGIN; SELECT pg_current_xact_id()").await;
    assert_eq!(reader.hears().await, "");
    run(&other, &sold("b")).await;
    run(&one, &sold("a")).await;
    assert_eq!(reader.hears().await, "b");
    run(&one, "COMMIT").await;
    run(&other, &sold("d")).await;
    assert_eq!(reader.hears().await, "a d");

    // Savepoints, kept and not.
    run(&one, "BEGIN; SAVEPOINT first").await;
    run(&one, &sold("a")).await;
    run(&one, "RELEASE first; SAVEPOINT second").await;
    run(&one, &sold("b")).await;
    assert_eq!(reader.hears().await, "");
    run(&one, "ROLLBACK TO second").await;
    run(&one, &sold("c")).await;
    run(&other, &sold("d")).await;
    assert_eq!(reader.hears().await, "d");
    run(&one, "COMMIT").await;
    assert_eq!(reader.hears().await, "a c");

    run(&one, "BEGIN").await;
    run(&one, &sold("a")).await;
    assert_eq!(reader.hears().await, "");
    run(&one, "ROLLBACK").await;
    run(&other, &sold("d")).await;
    assert_eq!(reader.hears().await, "d");
    // What was undone in a savepoint is done after it.
    run(&one, "BEGIN; SAVEPOINT first").await;
    run(&one, &sold("a")).await;
    run(&one, "ROLLBACK TO first").await;
    run(&one, &sold("a")).await;
    run(&one, "COMMIT").await;
    assert_eq!(reader.hears().await, "a");
}

/// Products `p0`, `p1` and so on, each for one transaction.
async fn numbered(store: &Store, count: usize) {
    let products: Vec<_> = (0..count)
        .map(|n| (product(&format!("p{n}"), "P", "shirts", vec![variant(&format!("p{n}-M"), "M", "Ink", 1, 9)]), 0))
        .collect();
    let upserted = store.product_upsert(&products).await.unwrap();
    assert_eq!(upserted.created + upserted.unchanged, count as u64);
}

/// A session, and the products that the transaction which is open in it has changed, with those that it has changed since
/// its savepoint.
struct Writer {
    session: DatabaseConnection,
    open: Option<(Vec<usize>, Option<Vec<usize>>)>,
}

impl Writer {
    /// Does the next thing; returns what it has committed by that.
    async fn step(&mut self, numbers: &mut Numbers, next: &mut usize) -> Vec<usize> {
        let Some((changed, since)) = &mut self.open else {
            run(&self.session, "BEGIN").await;
            if numbers.below(4) == 0 {
                // Numbered long before it writes.
                run(&self.session, "SELECT pg_current_xact_id()").await;
            }
            self.open = Some((Vec::new(), None));
            return Vec::new();
        };
        match numbers.below(8) {
            0..=2 => {
                let sql = format!("UPDATE variants SET reserved = reserved + 1 WHERE sku = 'p{next}-M'");
                run(&self.session, &sql).await;
                since.as_mut().unwrap_or(changed).push(*next);
                *next += 1;
            }
            3 if since.is_none() => {
                run(&self.session, "SAVEPOINT here").await;
                *since = Some(Vec::new());
            }
            3 | 4 if since.is_some() => {
                run(&self.session, "ROLLBACK TO here; RELEASE here").await;
                *since = None;
            }
            5 if since.is_some() => {
                run(&self.session, "RELEASE here").await;
                changed.extend(since.take().unwrap_or_default());
            }
            6 => {
                run(&self.session, "ROLLBACK").await;
                self.open = None;
            }
            _ => {
                run(&self.session, "COMMIT").await;
                let (mut changed, since) = self.open.take().unwrap_or_default();
                changed.extend(since.unwrap_or_default());
                return changed;
            }
        }
        Vec::new()
    }
}

/// Transactions of several sessions interleave by chance, and readers look at any moments between: each has heard of what was committed
/// until then, once, and of nothing else.
#[tokio::test]
async fn whatever_interleaves_each_change_is_heard_of_once() {
    if !has_postgres() {
        return;
    }
    const STEPS: usize = 400;
    let (store, _pool, database) = catalogue(Engine::Postgres).await;
    for seed in 0..6 {
        let mut numbers = Numbers(seed);
        let mut writers = Vec::new();
        for _ in 0..2 + numbers.below(3) {
            writers.push(Writer { session: session(database.url()).await, open: None });
        }
        let mut next = usize::try_from(seed).unwrap() * STEPS;
        numbered(&store, next + STEPS).await;
        let mut readers = Vec::new();
        for _ in 0..3 {
            readers.push((Reader::new(&store).await, Vec::new()));
        }
        let mut committed = Vec::new();
        for _ in 0..STEPS {
            let (who, reads) = (numbers.below(writers.len() as u64), numbers.below(3));
            committed.extend(writers[who].step(&mut numbers, &mut next).await);
            if reads == 0 {
                let who = numbers.below(3);
                let (reader, heard) = &mut readers[who];
                // As one who was started again.
                reader.position = reader.position.to_string().parse().unwrap();
                let news = reader.news().await;
                assert!(!news.everything);
                heard.extend(news.changed.into_iter().map(|changed| changed.product));
                same(heard, &committed, seed);
            }
        }
        assert!(committed.len() > 20, "seed {seed}: {}", committed.len());
        for (reader, heard) in &mut readers {
            heard.extend(reader.news().await.changed.into_iter().map(|changed| changed.product));
            same(heard, &committed, seed);
        }
    }
}

fn same(heard: &[String], committed: &[usize], seed: u64) {
    let known: BTreeSet<_> = heard.iter().cloned().collect();
    assert_eq!(known.len(), heard.len(), "seed {seed}: something was heard of twice in {heard:?}");
    let expected: BTreeSet<_> = committed.iter().map(|n| format!("p{n}")).collect();
    assert_eq!(known, expected, "seed {seed}");
}

/// The same with sessions that really run at a time.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_runs_at_once_each_change_is_heard_of_once() {
    for engine in engines() {
        const WRITERS: usize = 4;
        const EACH: usize = 60;
        let (store, _pool, _database) = catalogue(engine).await;
        numbered(&store, WRITERS * EACH).await;
        let mut reader = Reader::new(&store).await;
        let writers = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut numbers = Numbers(writer as u64);
                for n in 0..EACH {
                    reserve(&store, &format!("p{}-M", writer * EACH + n), 1).await;
                    tokio::time::sleep(Duration::from_micros(numbers.below(500) as u64)).await;
                }
            })
        });
        let writing = futures::future::join_all(writers);
        let (mut heard, mut writing) = (Vec::new(), std::pin::pin!(writing));
        let mut is_over = false;
        while !is_over {
            // The look after the last commit is the last.
            is_over = futures::future::poll_immediate(&mut writing).await.is_some();
            heard.extend(reader.news().await.changed.into_iter().map(|changed| changed.product));
        }
        same(&heard, &(0..WRITERS * EACH).collect::<Vec<_>>(), 0);
    }
}

/// What commits while a reader's position is kept as text is told when it comes back.
#[tokio::test]
async fn a_position_outlives_its_process() {
    for engine in engines() {
        let (store, _pool, database) = catalogue(engine).await;
        shirts(&store, &["shirt", "coat"]).await;
        let kept = Reader::new(&store).await.position.to_string();
        assert!(kept.len() < 200, "{kept}");
        reserve(&store, "shirt-M", 2).await;
        let pool = Pool::open(Config::new("again", database.url())).await.unwrap();
        let again = Store::new(pool, "EUR");
        let mut follower = Follower::since(again.clone(), kept.parse().unwrap());
        let news = follower.next().await.unwrap();
        assert_eq!(news.changed.iter().map(|changed| changed.product.as_str()).collect::<Vec<_>>(), ["shirt"]);
        assert_eq!(follower.next().await.unwrap().changed, []);
        // To one who begins everything is new.
        let mut follower = Follower::new(again);
        assert!(follower.next().await.unwrap().everything, "{engine:?}");
        reserve(&store, "coat-M", 2).await;
        let news = follower.next().await.unwrap();
        assert_eq!((news.everything, news.changed.len()), (false, 1), "{engine:?}");
    }
}

#[tokio::test]
async fn a_position_of_elsewhere_is_everything() {
    for engine in engines() {
        let (store, _pool, _database) = catalogue(engine).await;
        let (other, _other_pool, _other_database) = catalogue(engine).await;
        shirts(&store, &["shirt", "coat"]).await;
        let foreign = match engine {
            Engine::Postgres => vec![other.change_position().await.unwrap(), "9".parse().unwrap()],
            // A file that is shorter than the one before; a longer one can't be told.
            Engine::Sqlite => vec!["1000".parse().unwrap(), "7/3:9:5".parse().unwrap()],
        };
        for position in foreign {
            let mut reader = Reader { store: store.clone(), position };
            assert_eq!(reader.hears().await, "*", "{engine:?}");
            assert_eq!(reader.hears().await, "");
        }
    }
}

/// A standby that takes over may lack what was committed before, and gives the same numbers out again; a server that crashed
/// does so with numbers that were in its memory alone.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_and_after_a_standby_took_over_everything_is_new() {
    if !has_postgres() {
        return;
    }
    let mut primary = Server::start(&[]).await;
    let database = database_on(&primary).await;
    selvage_pool::migrate::up::<Migrator>(database.url()).await.unwrap();
    let store = async |url: &str| Store::new(Pool::open(Config::new("catalogue", url)).await.unwrap(), "EUR");
    let mut reader = Reader::new(&store(database.url()).await).await;
    reader.store.category_add(&[("shirts".into(), "Shirts".into(), String::new())]).await.unwrap();
    let standby = Server::start_standby(&primary).await;

    // It was told to end, and forgets nothing.
    assert_eq!(reader.hears().await, "*");
    shirts(&reader.store, &["shirt"]).await;
    primary.stop().await;
    primary.start_again().await;
    reader.store = store(database.url()).await;
    assert_eq!(reader.hears().await, "shirt!");
    let kept = reader.position.clone();

    let admin = session(database.url()).await;
    let asked = "SELECT pid::TEXT FROM pg_stat_activity WHERE backend_type = 'walwriter'";
    let row = admin.query_one_raw(Statement::from_string(DbBackend::Postgres, asked)).await.unwrap().unwrap();
    let pid: String = row.try_get_by_index(0).unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let is_new = async |position: &Position| {
        let news = reader.store.change_list(position).await;
        news.is_ok_and(|news| news.everything)
    };
    eventually(Duration::from_secs(60), "it is back, and everything is new", async || is_new(&kept).await).await;
    assert_eq!(reader.hears().await, "*");
    assert_eq!(reader.hears().await, "");

    let url = database.url().replace(&format!(":{}/", primary.port()), &format!(":{}/", standby.port()));
    primary.stop().await;
    reader.store = store(&url).await;
    // What a standby's snapshots don't see isn't all that isn't there.
    reader.store.change_list(&reader.position).await.unwrap_err();
    standby.promote().await;
    let takes_over = async || reader.store.change_position().await.is_ok();
    eventually(Duration::from_secs(20), "it takes over", takes_over).await;
    assert_eq!(reader.hears().await, "*");
    assert_eq!(reader.hears().await, "");
    reader.position = kept;
    assert_eq!(reader.hears().await, "*");
}

#[tokio::test]
async fn what_was_purged_is_everything_to_those_who_have_not_heard_of_it() {
    if !has_postgres() {
        return;
    }
    let (store, pool, database) = catalogue(Engine::Postgres).await;
    shirts(&store, &["a", "b"]).await;
    let rows = async || {
        let row = pool.query_one_raw(Statement::from_string(pool.backend(), "SELECT count(*) FROM catalogue_changes"));
        row.await.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap()
    };
    let purge = async |kept| store.change_purge(kept, 1_000).await.unwrap();
    let mut away = Reader::new(&store).await;
    let one = session(database.url()).await;
    run(&one, "BEGIN; UPDATE variants SET reserved = 1 WHERE sku = 'a-M'").await;
    let mut there = Reader::new(&store).await;
    // All of this is young.
    assert_eq!((purge(Duration::from_secs(60)).await, rows().await), (0, 3));
    // Two looks: the first notes what is committed, the second takes it out.
    purge(Duration::ZERO).await;
    assert_eq!(there.hears().await, "");
    assert_eq!((purge(Duration::ZERO).await, rows().await), (3, 0));
    assert_eq!((away.hears().await, there.hears().await), ("*".to_owned(), String::new()));

    // However long a transaction takes, what it writes is told and then purged; what commits meanwhile is purged before.
    away.position = there.position.clone();
    reserve(&store, "b-M", 1).await;
    assert_eq!(there.hears().await, "b");
    purge(Duration::ZERO).await;
    assert_eq!(there.hears().await, "");
    assert_eq!((purge(Duration::ZERO).await, rows().await), (1, 0));
    assert_eq!((away.hears().await, there.hears().await), ("*".to_owned(), String::new()));
    run(&one, "COMMIT").await;
    assert_eq!((away.hears().await, there.hears().await), ("a".to_owned(), "a".to_owned()));
    purge(Duration::ZERO).await;
    assert_eq!(there.hears().await, "");
    assert_eq!((purge(Duration::ZERO).await, rows().await), (1, 0));
    assert_eq!((away.hears().await, there.hears().await), (String::new(), String::new()));

    // A few at a time; and one at a time.
    numbered(&store, 5).await;
    purge(Duration::ZERO).await;
    run(&one, "BEGIN; SELECT * FROM catalogue_purge FOR UPDATE").await;
    assert_eq!(purge(Duration::ZERO).await, 0);
    run(&one, "COMMIT").await;
    for taken in [2, 2, 1, 0] {
        assert_eq!(store.change_purge(Duration::ZERO, 2).await.unwrap(), taken);
    }
}

/// A dump has the numbers of the server that it was made at.
#[tokio::test]
async fn what_a_dump_brought_is_no_news_and_keeps_nobody_from_purging() {
    if !has_postgres() {
        return;
    }
    let (store, pool, _database) = catalogue(Engine::Postgres).await;
    shirts(&store, &["shirt"]).await;
    let mut reader = Reader::new(&store).await;
    run(&pool, "INSERT INTO catalogue_changes VALUES ('900000000000', 'old', TRUE)").await;
    run(
        &pool,
        "UPDATE catalogue_purge SET purged = '900000000000:900000000000:', noted = '900000000001:900000000001:'",
    )
    .await;
    assert_eq!(reader.hears().await, "*", "nobody knows what was purged");
    store.change_purge(Duration::from_secs(60), 10).await.unwrap();
    let mut reader = Reader::new(&store).await;
    assert_eq!(reader.hears().await, "");
    reserve(&store, "shirt-M", 1).await;
    assert_eq!(reader.hears().await, "shirt");
}

/// Where much has changed nothing is told one by one.
#[tokio::test]
async fn more_than_a_follower_can_use_is_everything() {
    for engine in engines() {
        let (store, pool, _database) = catalogue(engine).await;
        for (products, heard) in [(4_999, 4_999), (5_001, 0)] {
            let mut reader = Reader::new(&store).await;
            let numbers = engine.numbers();
            let sql = format!(
                "INSERT INTO catalogue_changes (product, listed) SELECT 'p' || n, FALSE FROM {numbers} WHERE n <= {products}"
            );
            run(&pool, &sql).await;
            let news = reader.news().await;
            assert_eq!((news.everything, news.changed.len()), (heard == 0, heard), "{engine:?}");
            assert_eq!(reader.hears().await, "");
        }
    }
}

/// Transactions that notify are committed one by one, and an order must not be one of them. Here whoever announces anything fails.
#[tokio::test]
async fn an_order_announces_nothing() {
    if !has_postgres() {
        return;
    }
    let (store, pool, _database) = catalogue(Engine::Postgres).await;
    shirts(&store, &["shirt"]).await;
    run(
        &pool,
        "CREATE OR REPLACE FUNCTION catalogue_announce(scope TEXT, slugs TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
         BEGIN
             IF slugs IS NOT NULL THEN RAISE EXCEPTION 'it announces %', slugs; END IF;
         END $$",
    )
    .await;
    let bought = reserve(&store, "shirt-M", 9).await;
    store.stock_commit(bought).await.unwrap().unwrap();
    store.stock_release(bought, 0).await.unwrap();
    let held = reserve(&store, "shirt-M", 9).await;
    store.stock_release(held, 0).await.unwrap();
    store.reservation_extend(&[held], 1).await.unwrap();
    assert!(matches!(store.stock_adjust(Uuid::now_v7(), "shirt-M", 1, 0).await.unwrap(), Adjusted::Done(_)));
    // What the release before shows for 30 s as it was is announced to it, for as long as it may still run.
    let refused = pool.execute_unprepared("UPDATE variants SET price = 7").await.unwrap_err();
    assert!(refused.to_string().contains("it announces shirt"), "{refused}");
}
