//! What traces cost: PlaceOrder, with all that follows from it, and GetProduct, traced and not.
//!
//! `cargo bench --workspace --bench overhead`, with `SELVAGE_BIN` where the binaries to be measured are. One shop is started
//! again and again, in turn not traced, traced as a whole, and 1 % traced, always on the same databases: what differs
//! between two databases or two starts of a program is more than what is looked for, and what counts is the median of the
//! ratios. The collector here swallows what it gets, in this process: what it computes isn't counted, though the machine's
//! cores are shared with it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints figures, and fails by panicking")]

use std::time::{Duration, Instant};

use selvage_identity::Role;
use selvage_proto::catalogue::v1::GetProductRequest;
use selvage_rpc::with_token;
use selvage_testkit::{Engine, Server, engines};
use selvage_tests::buyer::Clients;
use selvage_tests::collector::{Collector, Manner};
use selvage_tests::ledger::Ledger;
use selvage_tests::metrics::Metrics;
use selvage_tests::rounds::{Rounds, mails, median, place, sku};
use selvage_tests::shop::{NAMES, Separate};

/// Pairs of what is compared.
const ROUNDS: usize = 15;
/// Callers at once.
const AT_ONCE: u32 = 8;
/// Orders of each in a round: 480 take some 1.5 s of computing, which the kernel counts in steps of 10 ms.
const ORDERS_EACH: u32 = 60;
/// Orders of each before a round, by which connections are made and statements prepared.
const WARMING_EACH: u32 = 10;
/// Callers of GetProduct at once: enough that the service never waits for the next call. With fewer most of what it takes is
/// falling asleep and being woken, and that is less the more there is to do.
const READERS: u32 = 64;
/// Calls of each in a round: 96,000 take some 1.5 s of computing.
const READS_EACH: u32 = 1_500;
/// Room for all spans of a round, so that none is dropped, which would be cheaper than sending it.
const QUEUE: &str = "100000";
/// The longest that a span waits for others.
const SCHEDULE_DELAY: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

/// The shop that is measured.
struct Shop {
    shop: Separate,
    clients: Clients,
    ledger: Ledger,
    rounds: Rounds,
}

/// What a round took: seconds by the clock, and seconds of computing by the services.
#[derive(Clone, Copy)]
struct Took {
    clock: f64,
    computing: f64,
}

/// A round, and how many spans of it came to an end which way.
struct Round {
    orders: Took,
    reads: Took,
    spans: [f64; 3],
}

/// What becomes of spans.
const OUTCOMES: [&str; 3] = ["exported", "dropped", "failed"];

impl Shop {
    async fn start(server: &Server, environment: &[(&str, &str)]) -> Self {
        let shop = Separate::start_on(server, environment).await;
        let clients = Clients::new(|name| shop.channel(name));
        let rounds = Rounds::stock(clients.clone(), shop.tokens(), AT_ONCE).await;
        let [catalogue, _, checkout, delivery] = &shop.databases;
        let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;
        Self { shop, clients, ledger, rounds }
    }

    /// A round of each, in processes that were started for it.
    async fn round(&mut self, environment: &[(&str, &str)]) -> Round {
        self.shop.start_again(environment);
        self.orders(WARMING_EACH).await;
        self.reads(WARMING_EACH).await;
        let (orders, reads) = (self.orders(ORDERS_EACH).await, self.reads(READS_EACH).await);
        Round { orders, reads, spans: OUTCOMES.map(|outcome| self.spans(outcome)) }
    }

    /// Waits until the round's spans are sent, which belongs to what they cost. Whoever sends none is asked as often.
    async fn sent(&self) {
        let all = || OUTCOMES.map(|outcome| self.spans(outcome)).iter().sum::<f64>();
        let mut before = -1.0;
        loop {
            let now = all();
            if now <= before {
                return;
            }
            before = now;
            tokio::time::sleep(SCHEDULE_DELAY * 2).await;
        }
    }

    fn computed(&self) -> f64 {
        self.shop.running().map(|(_, process)| process.computed().as_secs_f64()).sum()
    }

    /// Places a round's orders, and waits for all that follows from them.
    async fn orders(&mut self, each: u32) -> Took {
        let ready = self.rounds.ready(each).await;
        // What packing them left behind isn't an order's.
        self.sent().await;
        let (computed, began) = (self.computed(), Instant::now());
        place(ready).await;
        self.ledger.settled(LONG).await;
        let clock = began.elapsed().as_secs_f64();
        self.sent().await;
        Took { clock, computing: self.computed() - computed }
    }

    /// Reads a round's products.
    async fn reads(&self, each: u32) -> Took {
        let token = self.shop.tokens().of(Role::Guest, "g-reader");
        let (computed, began) = (self.computed(), Instant::now());
        let workers = (0..READERS).map(|reader| {
            let (mut catalogue, token) = (self.clients.catalogue.clone(), token.clone());
            tokio::spawn(async move {
                for _ in 0..each {
                    let request = GetProductRequest { slug: sku(reader % AT_ONCE).to_lowercase() };
                    catalogue.get_product(with_token(&token, request)).await.expect("a product");
                }
            })
        });
        for read in futures::future::join_all(workers).await {
            read.unwrap();
        }
        let clock = began.elapsed().as_secs_f64();
        self.sent().await;
        Took { clock, computing: self.computed() - computed }
    }

    /// Spans that came to an end this way, in all services.
    fn spans(&self, outcome: &str) -> f64 {
        let of = |name: &str| {
            Metrics::of(self.shop.metrics(name)).sum("selvage_telemetry_spans_total", &[("outcome", outcome)])
        };
        NAMES.into_iter().map(of).sum()
    }
}

/// Prints what traced rounds took beside those that weren't; `calls` are a round's.
fn report(call: &str, calls: u32, [plain, traced]: [&[Took]; 2], what: &str, bound: f64) {
    let more = |of: fn(&Took) -> f64| {
        let mut more: Vec<_> =
            plain.iter().zip(traced).map(|(plain, traced)| 100.0 * (of(traced) / of(plain) - 1.0)).collect();
        more.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| more[(more.len() - 1) * quarter / 4])
    };
    let cost = |rounds: &[Took]| median(rounds.iter().map(|took| took.computing).collect()) * 1e6 / f64::from(calls);
    let ([from, computing, to], [_, clock, _]) = (more(|took| took.computing), more(|took| took.clock));
    let verdict = if computing <= bound { "within" } else { "ABOVE" };
    println!(
        "{call}, {what}: {computing:+.1} % of computing, {verdict} the bound of {bound:.0} % (half of the rounds: {from:+.1} to \
         {to:+.1} %); {clock:+.1} % of time; {:.0} µs of computing a call, {:.0} µs without traces",
        cost(traced),
        cost(plain),
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    // Commits aren't waited for: what is compared is computing, and disks have moods.
    let server = Server::start(&["max_wal_size=4GB", "checkpoint_timeout=1h"]).await;
    let collector = Collector::start(Manner::Swallows(Duration::ZERO)).await;
    let (mails, delay) = (mails(), SCHEDULE_DELAY.as_millis().to_string());
    let usual = [
        ("RUST_LOG", "warn,selvage_boot=info"),
        ("SELVAGE_CARRIER_STEP", "6h"),
        ("SELVAGE_MAIL_FOLDER", mails.path().to_str().unwrap()),
    ];
    let sent = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.url()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE),
        ("OTEL_BSP_SCHEDULE_DELAY", &delay),
    ];
    let some = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.01")];
    let ways = [
        ("not traced", usual.to_vec()),
        ("all of it traced", [&usual[..], &sent].concat()),
        ("1 % traced", [&usual[..], &sent, &some].concat()),
    ];
    let mut shop = Shop::start(&server, &usual).await;
    let mut rounds = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        // Whoever is first in one round isn't in the next.
        for way in (0..3).map(|turn| (round + turn) % 3) {
            rounds[way].push(shop.round(&ways[way].1).await);
        }
    }
    shop.ledger.check().await;
    for (rounds, (what, _)) in rounds.iter().zip(&ways) {
        let [sent, dropped, failed] =
            [0, 1, 2].map(|outcome| rounds.iter().map(|round| round.spans[outcome]).sum::<f64>());
        println!("{what}: {sent:.0} spans sent, {dropped:.0} dropped, {failed:.0} failed");
    }
    println!("the collector swallowed {:.1} MB in {} calls\n", collector.bytes() as f64 / 1e6, collector.calls());
    let orders = rounds.each_ref().map(|rounds| rounds.iter().map(|round| round.orders).collect::<Vec<_>>());
    let reads = rounds.each_ref().map(|rounds| rounds.iter().map(|round| round.reads).collect::<Vec<_>>());
    for (way, bound) in [(1, 20.0), (2, 5.0)] {
        let what = ways[way].0;
        report("PlaceOrder", AT_ONCE * ORDERS_EACH, [&orders[0], &orders[way]], what, bound);
        report("GetProduct", READERS * READS_EACH, [&reads[0], &reads[way]], what, bound);
    }
}
