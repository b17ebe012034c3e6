//! A collector that is gone, hangs or is slow: spans are lost and counted, orders aren't.

use std::time::{Duration, Instant};

use selvage_testkit::{Engine, Server, engines, eventually};
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::collector::{Collector, Manner, nobody};
use selvage_tests::metrics::Metrics;
use selvage_tests::shop::{NAMES, Separate};

use super::BOUND;

/// Orders of each shop. They take turns, so that a machine that is busy is busy for all.
const ORDERS: usize = 21;
/// The median order may take this many times as long as without traces: far more than it does, and far less than any wait
/// for a collector would make of it.
const SLOWER: f64 = 3.0;
/// How long the slow one thinks: not too long for an answer, and long enough for spans to queue up before it.
const SLOW: Duration = Duration::from_millis(500);
/// A process with a collector that hangs ends within this time.
const END_BOUND: Duration = Duration::from_secs(6);
const SPANS: &str = "selvage_telemetry_spans_total";

/// A shop, and what its spans' way out is like.
struct Troubled {
    trouble: &'static str,
    shop: Separate,
    clients: Clients,
    took: Vec<Duration>,
}

impl Troubled {
    async fn start(server: &Server, trouble: &'static str, otlp: Option<&str>) -> Self {
        let mut environment = Vec::new();
        if let Some(otlp) = otlp {
            // Few may wait, so that some are lost soon.
            environment.extend([
                ("OTEL_EXPORTER_OTLP_ENDPOINT", otlp),
                ("OTEL_METRICS_EXPORTER", "otlp,prometheus"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
                ("OTEL_BSP_SCHEDULE_DELAY", "50"),
                ("OTEL_BSP_EXPORT_TIMEOUT", "1000"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
                ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16"),
            ]);
        }
        let shop = Separate::start_on(server, &environment).await;
        let clients = Clients::new(|name| shop.channel(name));
        clients.stock(&shop.tokens(), "TRACED", 1_000).await;
        Self { trouble, shop, clients, took: Vec::new() }
    }

    async fn order(&mut self, number: usize) {
        let buyer = Buyer::new(&self.clients, &self.shop.tokens());
        buyer.add("TRACED", 1).await.expect(self.trouble);
        let intent = buyer.intent(&format!("traced-{number:016}"), "tok_succeeds").await.expect(self.trouble);
        let began = Instant::now();
        buyer.place(intent).await.expect(self.trouble);
        self.took.push(began.elapsed());
    }

    fn median(&mut self) -> f64 {
        self.took.sort_unstable();
        self.took[self.took.len() / 2].as_secs_f64()
    }

    /// How many spans of checkout ended this way.
    fn spans(&self, outcome: &str) -> f64 {
        Metrics::of(self.shop.metrics("checkout")).sum(SPANS, &[("outcome", outcome)])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_through_whatever_becomes_of_their_traces() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let server = Server::start(&[]).await;
    let (hanging, slow) = (Collector::start(Manner::Hangs).await, Collector::start(Manner::Swallows(SLOW)).await);
    let mut plain = Troubled::start(&server, "no traces", None).await;
    let mut troubled = [
        Troubled::start(&server, "nobody listens", Some(&nobody())).await,
        Troubled::start(&server, "the collector hangs", Some(hanging.url())).await,
        Troubled::start(&server, "the collector is slow", Some(slow.url())).await,
    ];
    for number in 0..ORDERS {
        plain.order(number).await;
        for troubled in &mut troubled {
            troubled.order(number).await;
        }
    }
    let usual = plain.median();
    for troubled in &mut troubled {
        let (trouble, median) = (troubled.trouble, troubled.median());
        println!("{trouble}: the median order takes {:.2} times as long as without traces", median / usual);
        assert!(median <= SLOWER * usual, "{trouble}: {median} s, and {usual} s without traces");
        let lost = async || troubled.spans("dropped") + troubled.spans("failed") > 0.0;
        eventually(BOUND, &format!("{trouble}: what is lost is counted"), lost).await;
    }
    assert_eq!(plain.spans("dropped") + plain.spans("failed") + plain.spans("exported"), 0.0, "nothing was to be sent");
    assert!(hanging.connections() > 0, "the one that hangs was tried");
    eventually(BOUND, "the slow one gets some", async || slow.calls() > 0 && troubled[2].spans("exported") > 0.0).await;

    // They end in time all the same, with spans that nobody took.
    let [_, mut hung, _] = troubled;
    for name in NAMES {
        let mut process = hung.shop.take(name);
        let began = Instant::now();
        process.ask_to_end();
        eventually(END_BOUND, &format!("{name} ends though its collector hangs"), async || process.ended().is_some())
            .await;
        println!("{name} ended within {:.2} s though its collector hangs", began.elapsed().as_secs_f64());
        assert!(process.ended().is_some_and(|status| status.success()), "{name}: {}", process.output());
    }
}
