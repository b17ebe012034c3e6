//! How fast the fast alerts are, on a real Prometheus: over gauges that a test plays, and over the shop's own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use selvage_testkit::{eventually, free_port};
use selvage_tests::alertmanager::Alertmanager;
use selvage_tests::http::Client;
use selvage_tests::prometheus::{Alert, Prometheus};
use selvage_tests::shop::OneProcess;

use super::fault;

/// A pool has been saturated for a second; then its alert fires within this time.
const FAST: Duration = Duration::from_secs(5);
/// What fires is kept for 15 s after its cause, and then some for a busy machine.
const RESOLVED: Duration = Duration::from_secs(45);
/// A group waits for a second before its page, and 15 s before it says that it is over.
const PAGED: Duration = Duration::from_secs(40);
const POOL: &str = "db_client_connection_pool_name";

/// A process that exports whatever it is told to.
struct Played {
    address: String,
    text: Arc<Mutex<String>>,
}

impl Played {
    fn start(text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let text = Arc::new(Mutex::new(text.to_owned()));
        let told = text.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let request = BufReader::new(&stream).lines().map_while(Result::ok);
                let asked = request.take_while(|line| !line.is_empty()).count() > 0;
                let body = told.lock().unwrap().clone();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close";
                // A scrape that was given up is Prometheus' own business.
                let _ = asked.then(|| write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
            }
        });
        Self { address, text }
    }

    fn play(&self, text: String) {
        *self.text.lock().unwrap() = text;
    }
}

/// Two pools, of which the cart's may be saturated.
fn pools(saturated: u8, waiting: u8) -> String {
    let series = |name: &str, pool: &str, value: u8| {
        format!("{name}{{service_name=\"selvage-{pool}\",{POOL}=\"{pool}\"}} {value}\n")
    };
    [
        series("selvage_pool_saturated", "cart", saturated),
        series("selvage_pool_saturated", "catalogue", 0),
        series("selvage_pool_unreachable", "cart", 0),
        series("db_client_connection_pending_requests", "cart", waiting),
    ]
    .concat()
}

async fn is_scraped(prometheus: &Prometheus) {
    eventually(Duration::from_secs(30), "the pools are scraped", async || {
        prometheus.value("count(selvage_pool_saturated)").is_some_and(|pools| pools >= 1.0)
    })
    .await;
}

/// Waits for the alert of the cart's pool; says how it reads, and how long that took.
async fn fires(prometheus: &Prometheus) -> (Vec<Alert>, Duration) {
    let began = Instant::now();
    let mut found = Vec::new();
    eventually(RESOLVED, "the alert of a saturated pool fires", async || {
        found = prometheus.firing();
        found.retain(|alert| alert.name() == "PoolSaturated");
        !found.is_empty()
    })
    .await;
    (found, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gauge_at_one_is_an_alert_within_seconds_and_waiting_callers_are_none() {
    let played = Played::start(&pools(0, 0));
    let targets = [("selvage-cart", played.address.as_str())];
    let Some(manager) = Alertmanager::start("how fast a page comes") else { return };
    let Some(prometheus) = Prometheus::start(&targets, Some(&manager.address), "how fast alerts fire") else { return };
    is_scraped(&prometheus).await;
    // Callers wait, now and then, and the pool says that all is well.
    for waiting in [20, 0, 35, 3] {
        played.play(pools(0, waiting));
        let seen = format!("max(db_client_connection_pending_requests) == {waiting}");
        eventually(FAST, "the queue is scraped", async || prometheus.value(&seen).is_some()).await;
        assert!(prometheus.firing().is_empty(), "{:?}", prometheus.firing());
    }
    played.play(pools(1, 35));
    let (alerts, took) = fires(&prometheus).await;
    println!("from a saturated pool to the alert: {:.1} s", took.as_secs_f64());
    assert!(took < FAST, "{took:?}");
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let alert = &alerts[0];
    assert_eq!((alert.label(POOL), alert.label("service_name")), ("cart", "selvage-cart"));
    assert!(alert.annotation("summary").starts_with("Pool cart of selvage-cart is saturated"), "{alert:?}");
    assert!(alert.annotation("runbook_url").ends_with("/PoolSaturated.md"), "{alert:?}");
    let page = manager.pager.next(PAGED).expect("a page");
    assert_eq!((&*page.receiver, page.names("firing")), ("page", vec!["PoolSaturated"]));
    assert_eq!(page.body["groupLabels"][POOL], "cart");
    let summary = page.body["commonAnnotations"]["summary"].as_str().unwrap_or_default();
    assert_eq!(summary, alert.annotation("summary"), "the page says what the alert does");
    played.play(pools(0, 0));
    eventually(RESOLVED, "the alert is resolved", async || prometheus.firing().is_empty()).await;
    let over = manager.pager.next(PAGED).expect("a message that it is over");
    assert_eq!((&*over.receiver, over.names("resolved")), ("page", vec!["PoolSaturated"]));
}

/// A visitor's look at a shelf, many at once, `times` over, with a breath between.
async fn healthy_bursts(shop: &OneProcess, prometheus: &Prometheus, long: Duration) {
    let began = Instant::now();
    let mut bursts = 0;
    while began.elapsed() < long {
        let looks: Vec<_> = (0..8)
            .map(|_| {
                let url = shop.url.clone();
                tokio::task::spawn_blocking(move || {
                    let mut visitor = Client::new(&url);
                    for page in ["/", "/c/t-shirts", "/c/jeans", "/bag"] {
                        assert_eq!(visitor.get(page).status, 200, "{page}");
                    }
                })
            })
            .collect();
        for look in looks {
            look.await.expect("a look");
        }
        bursts += 1;
        let fired = prometheus.firing();
        assert!(fired.is_empty(), "a healthy burst fires {fired:?}");
        // Bursts and not a stream: the next second has its own.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("{bursts} healthy bursts in {} s, and nothing fired", long.as_secs());
    let ever = prometheus.value("count(count_over_time(ALERTS{alertstate=\"firing\"}[15m]))");
    assert_eq!(ever, None, "not even between two looks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_connections_fire_the_alert_of_their_pool_and_a_healthy_shop_fires_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let metrics = format!("127.0.0.1:{}", free_port());
    let shop = fault::shop(folder.path(), &[("SELVAGE_METRICS_LISTEN", &metrics)]);
    let targets = [("selvage", &*metrics)];
    let Some(prometheus) = Prometheus::start(&targets, None, "the pool alert under a real fault") else { return };
    is_scraped(&prometheus).await;
    let minutes = if std::env::var("SELVAGE_TESTS").as_deref() == Ok("full") { 10 } else { 1 };
    healthy_bursts(&shop, &prometheus, Duration::from_secs(60 * minutes)).await;

    if !fault::hold_connections(&shop, "cart", Duration::from_secs(20)) {
        return;
    }
    // Saturated is who was always waiting for a second: a second after the fault the gauge says so, and 5 s later the alert.
    let (alerts, took) = fires(&prometheus).await;
    println!("from held connections to the alert: {:.1} s, the second of saturation included", took.as_secs_f64());
    assert!(took < Duration::from_secs(1) + FAST, "{took:?}");
    let pools: Vec<_> = alerts.iter().map(|alert| alert.label(POOL)).collect();
    assert_eq!(pools, ["cart"], "{alerts:?}");
    let told = prometheus.firing();
    assert!(told.iter().any(|alert| alert.name() == "FaultActive"), "the fault is told too: {told:?}");
    eventually(Duration::from_secs(20) + RESOLVED, "the alert is resolved", async || {
        prometheus.firing().iter().all(|alert| alert.name() != "PoolSaturated")
    })
    .await;
}
