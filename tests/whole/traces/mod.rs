//! One trace for all that a purchase is: from the browser's request to the last message of the outbox, as a real Jaeger has
//! it from five processes.

pub(crate) mod purchase;
mod redaction;
mod sound;
mod trouble;

use std::time::{Duration, Instant};

use selvage_testkit::{Engine, Server, engines};
use selvage_tests::jaeger::Jaeger;
use selvage_tests::shop::{Pages, Separate};
use selvage_tests::spans::Trace;

/// The relay, all exporters and Jaeger's own batches, on a machine that may be busy.
const BOUND: Duration = Duration::from_secs(60);

/// A shop of five processes on PostgreSQL that sends all its traces to a Jaeger.
struct Traced {
    pages: Pages,
    shop: Separate,
    jaeger: Jaeger,
    _server: Server,
}

impl Traced {
    /// Starts it, if this machine can, with further variables in all environments.
    async fn start(environment: &[(&str, &str)]) -> Option<Self> {
        if !engines().contains(&Engine::Postgres) {
            return None;
        }
        let jaeger = Jaeger::start().await?;
        let otlp = jaeger.otlp();
        let sends = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", otlp.as_str()),
            // As a person who waits for a trace would have it.
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ];
        let server = Server::start(&[]).await;
        let shop = Separate::start_on(&server, &[&sends, environment].concat()).await;
        let pages = shop.pages(&[]);
        Some(Self { pages, shop, jaeger, _server: server })
    }

    /// Waits for a trace in which `look` finds nothing amiss.
    async fn trace(
        &self,
        what: &str,
        find: impl Fn(&Jaeger) -> Option<Trace>,
        look: impl Fn(&Trace) -> Vec<String>,
    ) -> Trace {
        let began = Instant::now();
        loop {
            let found = find(&self.jaeger);
            let amiss = found.as_ref().map_or_else(|| vec!["there is none".to_owned()], &look);
            match found {
                Some(found) if amiss.is_empty() => return found,
                _ => {}
            }
            let outline = || found.as_ref().map(Trace::outline).unwrap_or_default();
            assert!(began.elapsed() < BOUND, "{what}, after {BOUND:?}:\n  {}\n{}", amiss.join("\n  "), outline());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
