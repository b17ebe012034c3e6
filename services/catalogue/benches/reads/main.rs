//! How fast the catalogue's reads are, as parts of what is possible on the machine: all in one run, in turns.
//!
//! - H: an empty call of tonic's, that answers as many bytes and does nothing else.
//! - P: the same select by pgbench, prepared, over as many connections.
//! - L = 1 ÷ (1/H + 1/P): one call and one select, and nothing of our own.
//!
//! All callers ask for one product. Nothing is saved by that where products are read together: the statement has a row for
//! each time that one is asked for, and PostgreSQL makes each anew (its plan has no Memoize in it).
//!
//! `cargo bench --workspace --bench reads`. It needs PostgreSQL with pgbench, and h2load, which calls from a process of its
//! own.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints figures")]

mod drivers;
mod plain;

use std::process::ExitCode;

use prost::Message as _;
use selvage_boot::{Faults, Host, Life, Service as _, grpc};
use selvage_catalogue::migration::Migrator;
use selvage_catalogue::store::Store;
use selvage_catalogue::{App, POOL, Peers, Settings, plant_seed};
use selvage_context::clock::Clock;
use selvage_identity::Role;
use selvage_pool::{Config, Pool};
use selvage_proto::catalogue::v1 as api;
use selvage_testkit::{Engine, Tokens, database, eventually};

use drivers::{Caller, Pgbench};

/// 7 contestants × 11 rounds and one to warm up × 1 s = 84 s.
const ROUNDS: usize = 11;
const GET: &str = "/selvage.catalogue.v1.Catalogue/GetProduct";
const LIST: &str = "/selvage.catalogue.v1.Catalogue/ListProducts";

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(missing) = drivers::check() {
        eprintln!("{missing}");
        return ExitCode::FAILURE;
    }
    let database = database(Engine::Postgres).await;
    selvage_pool::migrate::up::<Migrator>(database.url()).await.unwrap();
    let (clock, life) = (Clock::system(), Life::new());
    let tokens = Tokens::new(&clock);
    let open = async || {
        let mut config = Config::new("catalogue", database.url());
        (POOL.tune)(&mut config);
        (config.limit, Pool::open(config).await.unwrap())
    };
    let (connections, pool) = open().await;
    let store = Store::new(pool.clone(), "EUR");
    plant_seed(&store, clock.now_ms()).await.unwrap();
    let slug = selvage_catalogue::seed::products()
        .into_iter()
        .max_by_key(|product| product.variants.len())
        .map(|product| product.slug)
        .unwrap();
    let variants = store.product_get(&slug).await.unwrap().unwrap().product.variants.len();

    let serve = async |pool: Pool, cache_bytes: u64| {
        let settings = Settings { cache_bytes, ..Settings::default() };
        let host = Host {
            clock: clock.clone(),
            verifier: tokens.verifier(),
            life: life.clone(),
            token: None,
            faults: Faults::off(),
        };
        let app = App::new(pool, settings, Peers::default(), host).expect("an app");
        app.ready().await;
        if cache_bytes > 0 {
            eventually(std::time::Duration::from_secs(10), "it listens", async || app.changes().are_followed()).await;
        }
        let mut services = grpc::Services::default();
        services.add(App::GRPC_NAME, |routes| app.add_to(routes));
        let routes = services.finish(&life).await.unwrap();
        let (listener, port) = plain::listener().await;
        let life = life.clone();
        let incoming = plain::incoming(listener);
        tokio::spawn(async move { grpc::serve(routes, incoming, &life).await });
        port
    };
    let from_database = serve(pool, 0).await;
    let from_memory = serve(open().await.1, Settings::default().cache_bytes).await;
    let as_it_was = plain::two_selects(database.url(), connections, &slug).await;

    let token = tokens.of(Role::Guest, "somebody");
    let get = Caller::new(GET, api::GetProductRequest { slug: slug.clone() }.encode_to_vec(), &token);
    let list = Caller::new(LIST, Vec::new(), &token);
    // Whoever answers something else isn't measured.
    let product = get.once(from_database).await;
    assert_eq!(product, get.once(from_memory).await);
    assert_eq!(product, get.once(as_it_was).await);
    let page = list.once(from_memory).await;
    assert_eq!(page, list.once(from_database).await);
    let empty_product = plain::empty(product.clone()).await;
    let empty_page = plain::empty(page.clone()).await;
    assert_eq!((get.once(empty_product).await, list.once(empty_page).await), (product.clone(), page.clone()));
    println!("GetProduct: {} bytes, {variants} variants; ListProducts: {} bytes", product.len(), page.len());

    let pgbench = Pgbench::new(database.url(), connections, &store.product_get_statement(&slug).sql, &slug);
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let figures = Figures {
            // Those that are compared come one after the other.
            list_from_memory: list.rate(from_memory, page.len()).await,
            h_page: list.rate(empty_page, page.len()).await,
            get_from_memory: get.rate(from_memory, product.len()).await,
            h: get.rate(empty_product, product.len()).await,
            from_database: get.rate(from_database, product.len()).await,
            p: pgbench.rate().await,
            as_it_was: get.rate(as_it_was, product.len()).await,
        };
        // The first warms up.
        if round > 0 {
            rounds.push(figures);
        }
    }
    report(&rounds);
    life.end();
    ExitCode::SUCCESS
}

/// Calls or selects a second, in one round.
struct Figures {
    h: f64,
    h_page: f64,
    p: f64,
    from_database: f64,
    as_it_was: f64,
    get_from_memory: f64,
    list_from_memory: f64,
}

impl Figures {
    fn l(&self) -> f64 {
        1.0 / (1.0 / self.h + 1.0 / self.p)
    }
}

fn report(rounds: &[Figures]) {
    let rate = |what: &str, of: &dyn Fn(&Figures) -> f64| {
        let (least, median, most) = spread(rounds, of);
        println!("{what:<44}{median:>9.0}/s   ({least:.0} to {most:.0})");
    };
    rate("H, an empty call of a product's bytes", &|round| round.h);
    rate("H, an empty call of a page's bytes", &|round| round.h_page);
    rate("P, the select by pgbench", &|round| round.p);
    rate("L", &Figures::l);
    rate("GetProduct from PostgreSQL", &|round| round.from_database);
    rate("GetProduct by two selects of SeaORM's pool", &|round| round.as_it_was);
    rate("GetProduct from memory", &|round| round.get_from_memory);
    rate("ListProducts from memory", &|round| round.list_from_memory);
    // Each of the figures of its own round: what else the machine did in it, it did to both.
    let ratio = |what: &str, wanted: &str, of: &dyn Fn(&Figures) -> f64| {
        let (least, median, most) = spread(rounds, of);
        println!("{what:<44}{median:>9.2}     ({least:.2} to {most:.2}{wanted})");
    };
    ratio("GetProduct from PostgreSQL ÷ L", "; wanted 0.75", &|round| round.from_database / round.l());
    ratio("by two selects of SeaORM's pool ÷ L", "", &|round| round.as_it_was / round.l());
    ratio("GetProduct from memory ÷ H", "; wanted 0.90", &|round| round.get_from_memory / round.h);
    ratio("ListProducts from memory ÷ H", "; wanted 0.90", &|round| round.list_from_memory / round.h_page);
}

/// Least, median and most.
fn spread(rounds: &[Figures], of: &dyn Fn(&Figures) -> f64) -> (f64, f64, f64) {
    let mut values: Vec<_> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}
