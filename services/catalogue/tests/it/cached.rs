//! Answers that are kept: what one replica changes, all show.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};
use selvage_boot::{Faults, Host, Life, Service, grpc};
use selvage_catalogue::store::{Put, Store};
use selvage_catalogue::{App, Peers, Settings};
use selvage_context::clock::Clock;
use selvage_identity::Role;
use selvage_pool::{Config, Pool};
use selvage_proto::catalogue::v1 as api;
use selvage_proto::catalogue::v1::catalogue_client::CatalogueClient;
use selvage_rpc::{Channel, InProcess, Target, with_token};
use selvage_testkit::{Engine, Tokens, engines, eventually};
use tonic::Code;
use uuid::Uuid;

use crate::goods::{catalogue, product, variant};

const SOON: Duration = Duration::from_secs(20);

/// One of several on the same database.
struct Replica {
    app: App,
    client: CatalogueClient<Channel>,
    tokens: Tokens,
    life: Life,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.life.end();
    }
}

async fn replica(url: &str, clock: &Clock) -> Replica {
    let pool = Pool::open(Config { max_wait: SOON, ..Config::new("catalogue", url) }).await.unwrap();
    let (tokens, life) = (Tokens::new(clock), Life::new());
    let host = Host {
        clock: clock.clone(),
        verifier: tokens.verifier(),
        life: life.clone(),
        token: None,
        faults: Faults::off(),
    };
    let app = App::new(pool, Settings::default(), Peers::default(), host).expect("an app");
    app.ready().await;
    let mut services = grpc::Services::default();
    services.add(App::GRPC_NAME, |routes| app.add_to(routes));
    let (routes, on) = (services.finish(&life).await.unwrap(), life.clone());
    let (way_in, incoming) = InProcess::pair();
    tokio::spawn(async move { grpc::serve(routes, incoming, &on).await });
    eventually(SOON, "changes are heard of", async || app.changes().are_followed()).await;
    Replica { app, client: CatalogueClient::new(Channel::to(Target::InProcess(way_in))), tokens, life }
}

impl Replica {
    async fn get(&self, slug: &str) -> Result<api::Product, tonic::Status> {
        let token = self.tokens.of(Role::Guest, "g");
        let request = with_token(&token, api::GetProductRequest { slug: slug.into() });
        self.client.clone().get_product(request).await.map(tonic::Response::into_inner)
    }

    async fn available(&self) -> i32 {
        self.get("shirt").await.unwrap().variants[0].available
    }

    async fn listed(&self) -> Vec<(String, bool)> {
        let request = with_token(&self.tokens.of(Role::Guest, "g"), api::ListProductsRequest::default());
        let page = self.client.clone().list_products(request).await.unwrap().into_inner();
        page.products.into_iter().map(|product| (product.title, product.in_stock)).collect()
    }

    async fn reserve(&self, sku: &str, quantity: i32) {
        let token = self.tokens.of(Role::Service, "checkout");
        let lines = vec![api::ReservationLine { sku: sku.into(), quantity }];
        let reservation_id = Uuid::now_v7().to_string();
        let request = api::ReserveStockRequest { reservation_id, lines, hold_seconds: 900 };
        self.client.clone().reserve_stock(with_token(&token, request)).await.unwrap();
    }

    async fn rename(&self, title: &str) {
        let token = self.tokens.of(Role::Admin, "operator");
        let product = api::Product { slug: "shirt".into(), title: title.into(), ..api::Product::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["title".into()] });
        let request = api::UpdateProductRequest { product: Some(product), update_mask };
        self.client.clone().update_product(with_token(&token, request)).await.unwrap();
    }

    /// Answers from memory of products, or of listings.
    fn hits(&self, of: usize) -> u64 {
        self.app.cache_counts().unwrap()[of].hits.load(Ordering::Relaxed)
    }

    fn bypassed(&self) -> u64 {
        self.app.cache_counts().unwrap()[0].bypassed.load(Ordering::Relaxed)
    }
}

async fn a_shirt(store: &Store) {
    let goods = vec![variant("A", "M", "Ink", 100, 9), variant("B", "L", "Ink", 100, 9)];
    assert_eq!(store.product_create(&product("shirt", "Shirt", "shirts", goods), 0).await.unwrap(), Put::Done);
}

fn has_postgres() -> bool {
    engines().contains(&Engine::Postgres)
}

/// The replicas run as a role that owns nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_changes_the_other_shows() {
    if !has_postgres() {
        return;
    }
    let (store, _pool, database) = catalogue(Engine::Postgres).await;
    a_shirt(&store).await;
    let (role, url) = database.role().await;
    let role = selvage_pool::migrate::Role::named(&role);
    selvage_pool::migrate::up_for::<selvage_catalogue::migration::Migrator>(database.url(), &role).await.unwrap();
    let clock = Clock::standing_at(1_800_000_000_000);
    let (one, two) = (replica(&url, &clock).await, replica(&url, &clock).await);

    assert_eq!((two.available().await, two.available().await, two.hits(0)), (9, 9, 1));
    one.reserve("A", 2).await;
    eventually(SOON, "the reservation is seen", async || two.available().await == 7).await;

    // Some are left: a listing shows the same.
    assert_eq!(two.listed().await, [("Shirt".into(), true)]);
    let hits = two.hits(1);
    one.reserve("A", 2).await;
    eventually(SOON, "the reservation is seen", async || two.available().await == 5).await;
    two.listed().await;
    assert_eq!(two.hits(1), hits + 1);
    one.reserve("A", 5).await;
    one.reserve("B", 9).await;
    eventually(SOON, "the last was sold", async || two.listed().await == [("Shirt".into(), false)]).await;

    one.rename("Better Shirt").await;
    eventually(SOON, "the page has its new title", async || two.get("shirt").await.unwrap().title == "Better Shirt")
        .await;
    eventually(SOON, "the listing has it", async || two.listed().await[0].0 == "Better Shirt").await;

    // Names that are too many and too long for one announcement.
    assert_eq!(two.get("coat-99").await.unwrap_err().code(), Code::NotFound);
    let coats: Vec<_> = (0..100)
        .map(|n| {
            let goods = vec![variant(&format!("C{n}"), "M", "Ink", 100, 5)];
            let mut coat = product(&format!("coat-{n}"), "Coat", "coats", goods);
            if n < 99 {
                coat.slug = format!("{}-{n}", "c".repeat(100));
            }
            (coat, n)
        })
        .collect();
    let first = coats[0].0.slug.clone();
    store.product_upsert(&coats).await.unwrap();
    for slug in ["coat-99", first.as_str()] {
        eventually(SOON, "it is there now", async || two.get(slug).await.is_ok()).await;
    }
    two.get("shirt").await.unwrap();
    let changed: Vec<_> = coats
        .into_iter()
        .map(|(coat, at)| (selvage_catalogue::domain::product::Product { title: "C".into(), ..coat }, at))
        .collect();
    store.product_upsert(&changed).await.unwrap();
    eventually(SOON, "it has changed", async || two.get(&first).await.unwrap().title == "C").await;
}

async fn observer(database: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await.unwrap()
}

async fn exists(db: &impl sea_orm::ConnectionTrait, sql: &str) -> bool {
    db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().is_some()
}

/// A read that has seen the database before a change, and answers after the change was heard of.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_a_change_is_not_shown_after_it() {
    if !has_postgres() {
        return;
    }
    let (store, pool, database) = catalogue(Engine::Postgres).await;
    a_shirt(&store).await;
    let replica = replica(database.url(), &Clock::standing_at(0)).await;
    // From here on each read of a product waits for a lock in the middle, with what it sees fixed before.
    let slow = "ALTER TABLE products RENAME TO products_behind;
         CREATE VIEW products AS SELECT * FROM products_behind WHERE pg_advisory_xact_lock_shared(7)::TEXT IS NOT NULL";
    pool.execute_unprepared(slow).await.unwrap();
    let holder = observer(database.url()).await;
    holder.execute_unprepared("SELECT pg_advisory_lock(7)").await.unwrap();
    let change = async {
        let waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        eventually(SOON, "the read waits", async || exists(&holder, waits).await).await;
        let heard = replica.app.changes().count();
        holder.execute_unprepared("UPDATE variants SET reserved = 4 WHERE sku = 'A'").await.unwrap();
        eventually(SOON, "the change is heard of", async || replica.app.changes().count() > heard).await;
        holder.execute_unprepared("SELECT pg_advisory_unlock(7)").await.unwrap();
    };
    let (before, ()) = tokio::join!(replica.available(), change);
    assert_eq!(before, 9, "it was asked for before the change");
    assert_eq!(replica.available().await, 5);
    let hits = replica.hits(0);
    assert_eq!((replica.available().await, replica.hits(0)), (5, hits + 1));
}

/// While the log can't be asked nothing is given from memory. What has not changed by then is afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_while_nobody_hears_of_changes() {
    if !has_postgres() {
        return;
    }
    let (store, pool, database) = catalogue(Engine::Postgres).await;
    a_shirt(&store).await;
    let coat = product("coat", "Coat", "coats", vec![variant("C", "M", "Ink", 100, 5)]);
    assert_eq!(store.product_create(&coat, 1).await.unwrap(), Put::Done);
    let (role, url) = database.role().await;
    let rights = selvage_pool::migrate::Role::named(&role);
    selvage_pool::migrate::up_for::<selvage_catalogue::migration::Migrator>(database.url(), &rights).await.unwrap();
    let replica = replica(&url, &Clock::standing_at(0)).await;
    assert_eq!((replica.available().await, replica.available().await, replica.hits(0)), (9, 9, 1));
    replica.get("coat").await.unwrap();

    pool.execute_unprepared(&format!("REVOKE SELECT ON catalogue_purge FROM {role}")).await.unwrap();
    eventually(SOON, "it is noticed", async || !replica.app.changes().are_followed()).await;
    pool.execute_unprepared("UPDATE variants SET reserved = 1 WHERE sku = 'A'").await.unwrap();
    assert_eq!((replica.available().await, replica.hits(0), replica.bypassed()), (8, 1, 1));
    pool.execute_unprepared("UPDATE variants SET reserved = 2 WHERE sku = 'A'").await.unwrap();
    assert_eq!((replica.available().await, replica.hits(0), replica.bypassed()), (7, 1, 2));

    pool.execute_unprepared(&format!("GRANT SELECT ON catalogue_purge TO {role}")).await.unwrap();
    eventually(SOON, "it is asked again", async || replica.app.changes().are_followed()).await;
    assert_eq!((replica.available().await, replica.available().await, replica.hits(0)), (7, 7, 2));
    replica.get("coat").await.unwrap();
    assert_eq!(replica.hits(0), 3, "the coat has not changed");
    pool.execute_unprepared("UPDATE variants SET reserved = 3 WHERE sku = 'A'").await.unwrap();
    eventually(SOON, "it hears", async || replica.available().await == 6).await;
}

/// A replica's own changes are shown at once on SQLite, and another process's soon.
#[tokio::test]
async fn on_sqlite_a_change_of_ones_own_is_shown_at_once_and_anothers_soon() {
    let (store, _pool, database) = catalogue(Engine::Sqlite).await;
    a_shirt(&store).await;
    let clock = Clock::standing_at(1_800_000_000_000);
    let replica = replica(database.url(), &clock).await;
    assert_eq!((replica.available().await, replica.available().await, replica.hits(0)), (9, 9, 1));
    replica.reserve("A", 2).await;
    assert_eq!(replica.available().await, 7);
    replica.rename("Better Shirt").await;
    assert_eq!(replica.get("shirt").await.unwrap().title, "Better Shirt");
    eventually(SOON, "in listings", async || replica.listed().await == [("Better Shirt".into(), true)]).await;
    assert_eq!(replica.get("coat").await.unwrap_err().code(), Code::NotFound);

    // As `selvage import` beside an open shop.
    let coat = product("coat", "Coat", "coats", vec![variant("C", "M", "Ink", 100, 5)]);
    assert_eq!(store.product_create(&coat, 1).await.unwrap(), Put::Done);
    eventually(SOON, "it is heard of", async || replica.get("coat").await.is_ok()).await;
    eventually(SOON, "in listings too", async || replica.listed().await.len() == 2).await;
}

/// Whoever isn't known is refused, kept or not.
#[tokio::test]
async fn what_is_kept_is_only_for_callers() {
    let (store, _pool, database) = catalogue(Engine::Sqlite).await;
    a_shirt(&store).await;
    let replica = replica(database.url(), &Clock::standing_at(1_800_000_000_000)).await;
    replica.available().await;
    let asked = api::GetProductRequest { slug: "shirt".into() };
    let refused = replica.client.clone().get_product(asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}
