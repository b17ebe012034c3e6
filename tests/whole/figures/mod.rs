//! What the shop costs: memory, time to the first page, work for an order, rows of a feed. Figures are printed; only those
//! that don't depend on the machine's mood are bounds.

mod size;

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use selvage_pool::sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, Server, engines, eventually};
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::http::{Answer, Client};
use selvage_tests::ledger::Ledger;
use selvage_tests::process::{Process, binary};
use selvage_tests::shop::{OneProcess, Separate};
use selvage_tests::statements::{LOG_ALL, Log, PREFIX, Work};

const LONG: Duration = Duration::from_secs(60);
/// Orders over which the work for one is averaged.
const ORDERS: u32 = 20;
/// The most that an order may take of the databases: 25 statements in 18 transactions, and a tenth.
const MOST_STATEMENTS: f64 = 28.0;
const MOST_TRANSACTIONS: f64 = 20.0;
/// The most memory that the whole shop in one process and one idle service may hold, KiB. An idle service is to hold 20 MiB, of which
/// up to 16 are its program, as far as the kernel maps it: how far that is differs by up to a MiB from one kernel to another. What is
/// its own doesn't. The catalogue, whose program has the index in it, holds 20.4.
const SHOP_KIB: u64 = 80 * 1024;
const SERVICE_KIB: u64 = 22 * 1024;
const OWN_KIB: u64 = 6 * 1024;

/// Debug builds are larger and slower: their figures are of no use to anyone.
fn is_release() -> bool {
    binary("selvage").components().any(|part| part.as_os_str() == "release")
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// The home page of the shop at `url`, from its first byte to its last.
fn page(url: &str) -> Answer {
    let answer = Client::new(url).get("/");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

#[test]
fn the_shop_in_one_process_is_small_and_soon_there() {
    let folder = tempfile::tempdir().unwrap();
    // The first start stocks the shop.
    let began = Instant::now();
    let shop = OneProcess::start(folder.path(), &[]);
    let first = page(&shop.url);
    println!("first start, stocked, to the first page: {:.2} s", began.elapsed().as_secs_f64());
    println!("home page: {:.1} KB of HTML", first.body.len() as f64 / 1000.0);
    assert!(first.body.len() < 100_000, "a page has under 100 KB");
    assert!(shop.process.terminate().success());

    let began = Instant::now();
    let shop = OneProcess::start(folder.path(), &[]);
    page(&shop.url);
    let soon = began.elapsed();
    println!("start on a stocked folder to the first page: {:.2} s (to be at most 1 s)", soon.as_secs_f64());
    for _ in 0..200 {
        page(&shop.url);
    }
    let (now, most) = shop.process.memory_kib();
    println!("the shop in one process after 200 pages: {:.1} MiB, at most {:.1} MiB", mib(now), mib(most));
    if is_release() {
        assert!(most <= SHOP_KIB, "{most} KiB");
        // Far above what it takes, for a machine that does something else at that moment.
        assert!(soon < Duration::from_secs(5), "{soon:?}");
    }
}

#[test]
fn a_feed_of_fifty_thousand_rows_is_imported_in_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let mut feed = String::from("Handle,Title,Type,Option1 Name,Option1 Value,Variant Price,Variant Inventory Qty\n");
    for product in 0..5_000 {
        for (index, size) in ["XS", "S", "M", "L", "XL", "36", "38", "40", "42", "44"].into_iter().enumerate() {
            let title = if index == 0 { format!("Shirt {product}") } else { String::new() };
            writeln!(feed, "shirt-{product},{title},Shirts,Size,{size},29.95,12").unwrap();
        }
    }
    let path = folder.path().join("feed.csv");
    std::fs::write(&path, feed).unwrap();
    for wanted in ["5000 new", "5000 unchanged"] {
        let data = folder.path().join("data");
        let done = Command::new(binary("selvage")).arg("import").arg(&path).arg("--data").arg(data).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains(wanted), "{said}{}", String::from_utf8_lossy(&done.stderr));
        println!("import: {}", said.trim());
    }
}

/// How often a server has synced its log so far.
async fn fsyncs(server: &Pool) -> i64 {
    // A backend tells of its work once a second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let sql = "SELECT wal_sync FROM pg_stat_wal";
    let row = server.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect(sql).expect(sql);
    row.try_get_by_index::<i64>(0).expect(sql)
}

fn calls(shop: &Separate) -> usize {
    shop.running().map(|(_, process): (_, &Process)| process.output().matches("\"a call\"").count()).sum()
}

/// An order of one line: from the checkout page's order on, with all that follows until its parcel's label is made and the
/// bag is empty. What a carrier does to the parcel is no part of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_order_costs() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let server = Server::start(&["fsync=on", LOG_ALL, PREFIX]).await;
    let books = Pool::open(Config { limit: 1, ..Config::new("books", server.url()) }).await.unwrap();
    let environment = [("RUST_LOG", "info,selvage_rpc=trace"), ("SELVAGE_CARRIER_STEP", "6h")];
    let mut shop = Separate::start_on(&server, &environment).await;
    let clients = Clients::new(|name| shop.channel(name));
    clients.stock(&shop.tokens(), "COUNTED", 1_000).await;
    let [catalogue, _, checkout, delivery] = &shop.databases;
    let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;

    // What planting the products took is not what an idle service holds.
    shop.restart("catalogue");
    if is_release() {
        for (name, process) in shop.running() {
            let ((now, _), own) = (process.memory_kib(), process.own_memory_kib());
            println!("{name}, idle: {:.1} MiB, of which {:.1} its own", mib(now), mib(own));
            assert!(now <= SERVICE_KIB && own <= OWN_KIB, "{name}: {now} KiB, of which {own} its own");
        }
    }
    let mut ready = Vec::new();
    for number in 0..ORDERS {
        let buyer = Buyer::new(&clients, &shop.tokens());
        buyer.add("COUNTED", 1).await.unwrap();
        let intent = buyer.intent(&format!("counted-{number:016}"), "tok_succeeds").await.unwrap();
        ready.push((buyer, intent));
    }

    // Without orders: what relay, sweep and carrier do in the same time.
    let mut log = Log::open(&server, &shop.databases);
    let began = Instant::now();
    eventually(LONG, "a while without orders", async || began.elapsed() > Duration::from_secs(4)).await;
    let (idle, idled) = (Work::of(&log.transactions()), began.elapsed());

    let (before, called) = (fsyncs(&books).await, calls(&shop));
    log.transactions();
    let began = Instant::now();
    for (buyer, intent) in ready {
        buyer.place(intent).await.expect("placed");
    }
    ledger.settled(LONG).await;
    let took = began.elapsed();
    let done = Work::of(&log.transactions()).each(ORDERS, &idle, took.as_secs_f64() / idled.as_secs_f64());
    let fsyncs = (fsyncs(&books).await - before) as f64 / f64::from(ORDERS);
    let rpcs = (calls(&shop) - called) as f64 / f64::from(ORDERS);
    let [transactions, statements, control] = done.sum();
    println!("{}", done.table());
    println!(
        "an order, with all that follows from it: {statements:.1} statements in {transactions:.1} transactions (single \
         statements count), {control:.1} times BEGIN or COMMIT, {rpcs:.1} rpcs between services, {fsyncs:.1} fsyncs of the WAL"
    );
    // What the table says and a tenth: a step that is done twice shows, a look of the relay's more or less doesn't.
    assert!(statements > 0.0 && statements <= MOST_STATEMENTS, "{statements}");
    assert!(transactions <= MOST_TRANSACTIONS, "{transactions}");
}
