//! What the shop makes of its database: orders a second, with all that follows from each, beside pgbench making the very
//! same statements; what our processes compute for an order; the statements, step by step; how fast a backlog is worked off; and what a
//! slow disk makes of it.
//!
//! `cargo bench --workspace --bench orders`, with `SELVAGE_BIN` where the binaries to be measured are; with `-- flush` the slow disk alone. The rounds of both
//! take turns on one server, and what counts is the median of the ratios: a machine that is busy is busy for both.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints figures, and fails by panicking")]

mod backlog;
mod flush;

use std::path::Path;
use std::time::{Duration, Instant};

use selvage_pool::sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, Server, engines, eventually};
use selvage_tests::buyer::Clients;
use selvage_tests::ledger::Ledger;
use selvage_tests::replay::{FIRST_POSITION, Order, Replay};
use selvage_tests::rounds::{Rounds, mails, median, place, sku};
use selvage_tests::shop::Separate;
use selvage_tests::statements::{Log, PREFIX, Transaction, Work};

/// Orders in flight, and pgbench's clients.
const AT_ONCE: u32 = 12;
/// Orders of each in a round: 12 × 35 = 420 orders take a second or two, against 10 ms of looking whether all is done.
const ORDERS_EACH: u32 = 35;
/// Rounds that count; one before is for warming up.
const ROUNDS: u32 = 5;
/// Orders that are looked at one by one.
const LOOKED_AT: usize = 8;
const LONG: Duration = Duration::from_secs(60);
/// What is counted of an order.
const FOLLOWED_UP: &str = "placed and followed up";

struct Bench {
    at_once: u32,
    admin: Pool,
    shop: Separate,
    ledger: Ledger,
    rounds: Rounds,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    if std::env::args().any(|argument| argument == "flush") {
        return flush::measure().await;
    }
    // As durable as a shop's: each commit is waited for. No checkpoint falls into a round of one and not of the other.
    let settings = ["fsync=on", "full_page_writes=on", "max_wal_size=4GB", "checkpoint_timeout=1h", PREFIX];
    let server = Server::start(&settings).await;
    let mails = mails();
    let mut bench = Bench::start(&server, mails.path(), AT_ONCE).await;
    // Connections are made, statements prepared.
    bench.round(ORDERS_EACH).await;

    let (order, transactions) = bench.recorded(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let (of, size) = ((&order, transactions.as_slice()), (AT_ONCE, ORDERS_EACH * (ROUNDS + 1)));
    let mut replay = Replay::prepare(&server, &bench.shop.databases, of, size, &sku(0), folder.path()).await;

    let (mut ours, mut theirs, mut ratios, mut computed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let alone = replay.run(ORDERS_EACH);
        let (rate, computing) = bench.round(ORDERS_EACH).await;
        if round == 0 {
            continue;
        }
        println!(
            "round {round}: the shop {rate:.0} orders/s, pgbench {alone:.0}, ratio {:.2}; {:.2} s of computing for 1,000 orders",
            rate / alone,
            computing.iter().map(|(_, seconds)| seconds).sum::<f64>()
        );
        ours.push(rate);
        theirs.push(alone);
        ratios.push(rate / alone);
        computed.push(computing);
    }
    replay.check().await;
    bench.ledger.check().await;

    println!("\nan order's statements, step by step:\n{}", Work::of(&transactions).table());
    println!(
        "{AT_ONCE} orders at once, {FOLLOWED_UP}: {:.0} orders/s; pgbench with the same statements: {:.0}; \
         ratio {:.2} (to be at least 0.5)",
        median(ours),
        median(theirs),
        median(ratios)
    );
    let mut sum = 0.0;
    for (index, (name, _)) in computed[0].clone().into_iter().enumerate() {
        let seconds = median(computed.iter().map(|services| services[index].1).collect());
        println!("{name:9} {seconds:.2} s of computing for 1,000 orders");
        sum += seconds;
    }
    println!("together  {sum:.2} s (to be at most 1.9)");

    let backlog::Rates { taken, worked_off } = backlog::measure(&mut bench).await;
    bench.ledger.settled(LONG).await;
    bench.ledger.check().await;
    println!(
        "delivery takes no parcels: {taken:.0} orders/s taken; it does again: {worked_off:.0} orders/s worked off; ratio {:.2} (to be at \
         least 1)",
        worked_off / taken
    );
    drop((bench, server));
    flush::measure().await;
}

impl Bench {
    /// Starts a shop on `server`, whose mails go into the folder `mails`, for so many orders at once.
    async fn start(server: &Server, mails: &Path, at_once: u32) -> Self {
        let admin = Pool::open(Config { limit: 1, ..Config::new("admin", server.url()) }).await.unwrap();
        let environment = [
            ("RUST_LOG", "warn,selvage_boot=info"),
            // Parcels stay where they are: what a carrier does to them is no part of an order.
            ("SELVAGE_CARRIER_STEP", "6h"),
            ("SELVAGE_MAIL_FOLDER", mails.to_str().unwrap()),
        ];
        let shop = Separate::start_on(server, &environment).await;
        let clients = Clients::new(|name| shop.channel(name));
        let [catalogue, _, checkout, delivery] = &shop.databases;
        let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;
        let rounds = Rounds::stock(clients, shop.tokens(), at_once).await;
        Self { at_once, admin, shop, ledger, rounds }
    }

    /// Places a round's orders; returns how many a second were done, to the last of what follows from each, and each
    /// service's seconds of computing for 1,000 of them.
    async fn round(&mut self, each: u32) -> (f64, Vec<(&'static str, f64)>) {
        let ready = self.rounds.ready(each).await;
        let computed = || self.shop.running().map(|(name, process)| (name, process.computed())).collect::<Vec<_>>();
        let (before, began) = (computed(), Instant::now());
        place(ready).await;
        self.ledger.settled(LONG).await;
        let orders = f64::from(self.at_once * each);
        let rate = orders / began.elapsed().as_secs_f64();
        let each = before.into_iter().zip(computed()).map(|((name, before), (_, after))| {
            let seconds = (after - before).as_secs_f64();
            (name, seconds * 1_000.0 / orders)
        });
        (rate, each.collect())
    }

    /// One order as the server logged it, and no more than it: the shortest of some, for the clock's own doings may fall
    /// into any of them.
    async fn recorded(&mut self, server: &Server) -> (Order, Vec<Transaction>) {
        self.log_statements(true).await;
        let mut shortest: Option<(Order, Vec<Transaction>)> = None;
        let ready: Vec<_> = self.rounds.ready(1).await.into_iter().flatten().take(LOOKED_AT).collect();
        let checkout = &self.shop.databases[2];
        let books = Pool::open(Config { limit: 1, ..Config::new("books", checkout.url()) }).await.unwrap();
        let sequence = format!("ALTER SEQUENCE outbox_messages_position_seq RESTART WITH {FIRST_POSITION}");
        books.execute_unprepared(&sequence).await.unwrap();
        let mut first = FIRST_POSITION;
        for (buyer, intent) in ready {
            let mut log = Log::open(server, &self.shop.databases);
            let (key, owner) = (intent.idempotency_key.clone(), buyer.subject().to_owned());
            let placed = buyer.place(intent).await.expect("placed");
            self.ledger.settled(LONG).await;
            let mut transactions = log.transactions();
            transactions.retain(Transaction::is_of_an_order);
            let next = "SELECT nextval('outbox_messages_position_seq')";
            let row = books.query_one_raw(Statement::from_string(DbBackend::Postgres, next)).await.unwrap().unwrap();
            let behind: i64 = row.try_get_by_index(0).unwrap();
            let id = placed.order_id.parse().unwrap();
            let order = Order { id, owner, key, messages: (first, behind - first) };
            first = behind + 1;
            if shortest.as_ref().is_none_or(|(_, shortest)| transactions.len() < shortest.len()) {
                shortest = Some((order, transactions));
            }
        }
        books.close().await;
        self.log_statements(false).await;
        let (order, transactions) = shortest.expect("an order");
        assert!(Work::of(&transactions).is_whole(), "a step is missing: {}", Work::of(&transactions).table());
        (order, transactions)
    }

    /// Has the server log the statements of the shop's databases, or no longer.
    async fn log_statements(&self, on: bool) {
        let setting = if on { "SET log_statement = 'all'" } else { "RESET log_statement" };
        self.admin.execute_unprepared(&format!("ALTER SYSTEM {setting}")).await.unwrap();
        self.admin.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
        let wanted = if on { "all" } else { "none" };
        eventually(LONG, "the server takes the setting", async || {
            let statement = Statement::from_string(DbBackend::Postgres, "SHOW log_statement");
            let row = self.admin.query_one_raw(statement).await.unwrap().unwrap();
            row.try_get_by_index::<String>(0).unwrap() == wanted
        })
        .await;
    }
}
