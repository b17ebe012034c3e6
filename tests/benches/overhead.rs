//! What traces cost: PlaceOrder, with all that follows from it, and GetProduct, traced and not; and whether our own exporter
//! of spans is worth its lines, since the library's is measured beside it.
//!
//! ```sh
//! cargo build --release --workspace --bins --features selvage-telemetry/library-exporter
//! SELVAGE_BIN=$PWD/target/release cargo bench --workspace --bench overhead
//! ```
//!
//! The feature puts the library's exporter beside ours into the same binaries; nothing that is shipped has it. One shop is
//! started again and again, in turn not traced, traced as a whole, 1 % traced, and traced as a whole with the library's
//! exporter, always on the same databases: what differs between two databases or two starts of a program is more than what
//! is looked for, and what counts is the median of the ratios. The collector here swallows what it gets, in this process:
//! what it computes isn't counted, though the machine's cores are shared with it.
//!
//! The last line is the verdict on `services/kit/telemetry/src/otlp/{encode,send}.rs` and `batch.rs`. Where it says that they
//! aren't worth it any more, the benchmark fails, and the library's exporter is to take their place.

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
/// What our exporter must save of an order's computing, in points of what it takes without traces. Its encoder, sender and
/// batches are about a thousand lines with their tests, which the library would spare us.
const WORTH: f64 = 5.0;
/// The longest that a span waits for others.
const SCHEDULE_DELAY: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

/// The shop that is measured.
struct Shop {
    shop: Separate,
    collector: Collector,
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

/// A round, how many spans of it came to an end which way by our own count, and what the collector got.
struct Round {
    orders: Took,
    reads: Took,
    spans: [f64; 3],
    bytes: u64,
}

/// The ways that are compared with the first, which isn't traced: by our exporter, by ours for 1 % of the traces, and by the
/// library's.
const OWN: usize = 1;
const SAMPLED: usize = 2;
const LIBRARY: usize = 3;
/// What becomes of spans.
const OUTCOMES: [&str; 3] = ["exported", "dropped", "failed"];

impl Shop {
    async fn start(server: &Server, collector: Collector, environment: &[(&str, &str)]) -> Self {
        let shop = Separate::start_on(server, environment).await;
        let clients = Clients::new(|name| shop.channel(name));
        let rounds = Rounds::stock(clients.clone(), shop.tokens(), AT_ONCE).await;
        let [catalogue, _, checkout, delivery] = &shop.databases;
        let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;
        Self { shop, collector, clients, ledger, rounds }
    }

    /// A round of each, in processes that were started for it.
    async fn round(&mut self, environment: &[(&str, &str)]) -> Round {
        self.shop.start_again(environment);
        let before = self.collector.bytes();
        self.orders(WARMING_EACH).await;
        self.reads(WARMING_EACH).await;
        let (orders, reads) = (self.orders(ORDERS_EACH).await, self.reads(READS_EACH).await);
        let spans = OUTCOMES.map(|outcome| self.spans(outcome));
        Round { orders, reads, spans, bytes: self.collector.bytes() - before }
    }

    /// Waits until the round's spans are sent, which belongs to what they cost: until the collector gets no call for twice
    /// as long as a span may wait.
    async fn sent(&self) {
        loop {
            let before = self.collector.calls();
            tokio::time::sleep(SCHEDULE_DELAY * 2).await;
            if self.collector.calls() == before {
                return;
            }
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

/// What traced rounds took beside those that weren't: in per cent, quarters of the rounds took up to that much more.
fn more([plain, traced]: [&[Took]; 2], of: fn(&Took) -> f64) -> [f64; 3] {
    let mut more: Vec<_> =
        plain.iter().zip(traced).map(|(plain, traced)| 100.0 * (of(traced) / of(plain) - 1.0)).collect();
    more.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| more[(more.len() - 1) * quarter / 4])
}

/// Prints what traced rounds took beside those that weren't; `calls` are a round's.
fn report(call: &str, calls: u32, rounds: [&[Took]; 2], what: &str, bound: Option<f64>) {
    let cost = |rounds: &[Took]| median(rounds.iter().map(|took| took.computing).collect()) * 1e6 / f64::from(calls);
    let [from, computing, to] = more(rounds, |took| took.computing);
    let [_, clock, _] = more(rounds, |took| took.clock);
    let verdict = bound.map_or_else(String::new, |bound| {
        format!(", {} the bound of {bound:.0} %", if computing <= bound { "within" } else { "ABOVE" })
    });
    println!(
        "{call}, {what}: {computing:+.1} % of computing{verdict} (half of the rounds: {from:+.1} to {to:+.1} %); {clock:+.1} % \
         of time; {:.0} µs of computing a call, {:.0} µs without traces",
        cost(rounds[1]),
        cost(rounds[0]),
    );
}

/// What becomes of our own exporter, from what both add to an order's computing.
fn verdict(own: f64, library: f64) -> (bool, String) {
    let is_worth_it = library - own >= WORTH;
    let what = if is_worth_it { "kept" } else { "NOT WORTH ITS LINES ANY MORE: take the library's" };
    let words = format!(
        "own exporter of spans: {own:+.1} % of computing for an order, the library's: {library:+.1} %; {what}, for it must save \
         at least {WORTH:.0} points, and saves {:.1}",
        library - own,
    );
    (is_worth_it, words)
}

/// Fails if these spans were sent by our exporter, which counts them, and not by the library's.
fn check_is_librarys(round: &Round) {
    assert!(
        round.spans.iter().sum::<f64>() == 0.0,
        "these binaries haven't the library's exporter in them: cargo build --release --workspace --bins --features \
         selvage-telemetry/library-exporter"
    );
}

/// Fails unless both sent the same spans, but for what retries and chance make of them.
fn check_sent_the_same([own, library]: [&[Round]; 2]) {
    let [own, library] = [own, library].map(|rounds| rounds.iter().map(|round| round.bytes).sum::<u64>() as f64);
    assert!((0.9..=1.1).contains(&(library / own)), "the library sent {library} bytes of spans, and ours {own}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    // Commits aren't waited for: what is compared is computing, and disks have moods.
    let server = Server::start(&["max_wal_size=4GB", "checkpoint_timeout=1h"]).await;
    let collector = Collector::start(Manner::Swallows(Duration::ZERO)).await;
    let collectors = collector.url().to_owned();
    let (mails, delay) = (mails(), SCHEDULE_DELAY.as_millis().to_string());
    let usual = [
        ("RUST_LOG", "warn,selvage_boot=info"),
        ("SELVAGE_CARRIER_STEP", "6h"),
        ("SELVAGE_MAIL_FOLDER", mails.path().to_str().unwrap()),
    ];
    let sent = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*collectors),
        ("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE),
        ("OTEL_BSP_SCHEDULE_DELAY", &delay),
    ];
    let some = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.01")];
    let library = [("SELVAGE_SPAN_EXPORTER", "library")];
    let ways = [
        ("not traced", usual.to_vec()),
        ("all of it traced", [&usual[..], &sent].concat()),
        ("1 % traced", [&usual[..], &sent, &some].concat()),
        ("all of it traced by the library's exporter", [&usual[..], &sent, &library].concat()),
    ];
    let mut shop = Shop::start(&server, collector, &usual).await;
    let mut rounds = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        // Whoever is first in one round isn't in the next.
        for way in (0..ways.len()).map(|turn| (round + turn) % ways.len()) {
            let taken = shop.round(&ways[way].1).await;
            if way == LIBRARY {
                check_is_librarys(&taken);
            }
            rounds[way].push(taken);
        }
    }
    shop.ledger.check().await;
    for (rounds, (what, _)) in rounds.iter().zip(&ways) {
        let [sent, dropped, failed] =
            [0, 1, 2].map(|outcome| rounds.iter().map(|round| round.spans[outcome]).sum::<f64>());
        let bytes = rounds.iter().map(|round| round.bytes).sum::<u64>() as f64 / 1e6;
        println!(
            "{what}: the collector got {bytes:.1} MB; we count {sent:.0} spans sent, {dropped:.0} dropped, {failed:.0} failed"
        );
    }
    check_sent_the_same([&rounds[OWN], &rounds[LIBRARY]]);
    println!();
    let orders = rounds.each_ref().map(|rounds| rounds.iter().map(|round| round.orders).collect::<Vec<_>>());
    let reads = rounds.each_ref().map(|rounds| rounds.iter().map(|round| round.reads).collect::<Vec<_>>());
    for (way, bound) in [(OWN, Some(20.0)), (SAMPLED, Some(5.0)), (LIBRARY, None)] {
        let what = ways[way].0;
        report("PlaceOrder", AT_ONCE * ORDERS_EACH, [&orders[0], &orders[way]], what, bound);
        report("GetProduct", READERS * READS_EACH, [&reads[0], &reads[way]], what, bound);
    }
    let [own, library] = [OWN, LIBRARY].map(|way| more([&orders[0], &orders[way]], |took| took.computing)[1]);
    let (is_worth_it, words) = verdict(own, library);
    println!("\n{words}");
    assert!(is_worth_it, "{words}");
}
