//! The metrics, by the names of OpenTelemetry's conventions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use sea_orm::{ConnectionTrait as _, DbErr};
use selvage_pool::{Class, Config, Pool};
use selvage_testkit::{Engine, eventually};
use tokio::sync::{Notify, OnceCell};

use crate::gate::hold;

const LONG: Duration = Duration::from_secs(10);

struct Measured {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
    /// Tests look one after the other: what was exported is all in one place.
    looking: std::sync::Mutex<()>,
}

/// The process's one provider.
async fn measured() -> &'static Measured {
    static MEASURED: OnceCell<Measured> = OnceCell::const_new();
    MEASURED
        .get_or_init(async || {
            let exporter = InMemoryMetricExporter::default();
            let reader = PeriodicReader::builder(exporter.clone()).with_interval(Duration::from_secs(3600)).build();
            let provider = SdkMeterProvider::builder().with_reader(reader).build();
            opentelemetry::global::set_meter_provider(provider.clone());
            Measured { provider, exporter, looking: std::sync::Mutex::default() }
        })
        .await
}

impl Measured {
    /// What is measured of `pool` now, by name and the other attributes: a number, or how often a time was recorded.
    fn of(&self, pool: &str) -> BTreeMap<String, f64> {
        let _alone = self.looking.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.exporter.reset();
        self.provider.force_flush().expect("it is collected");
        let mut seen = BTreeMap::new();
        for metrics in self.exporter.get_finished_metrics().expect("they are there") {
            let scopes = metrics.scope_metrics().flat_map(opentelemetry_sdk::metrics::data::ScopeMetrics::metrics);
            for metric in scopes {
                let unit = metric.unit();
                let mut note = |attributes: Vec<(String, String)>, value: f64| {
                    let mine =
                        attributes.iter().any(|(key, value)| key == "db.client.connection.pool.name" && value == pool);
                    let others = attributes.iter().filter(|(key, _)| key != "db.client.connection.pool.name");
                    let mut others: Vec<_> = others.map(|(key, value)| format!(" {key}={value}")).collect();
                    others.sort();
                    if mine {
                        seen.insert(format!("{} {unit}{}", metric.name(), others.concat()), value);
                    }
                };
                macro_rules! points {
                    ($points:expr, $value:expr) => {
                        for point in $points {
                            let pairs = point.attributes().map(|pair| (pair.key.to_string(), pair.value.to_string()));
                            note(pairs.collect(), $value(&point) as f64);
                        }
                    };
                }
                match metric.data() {
                    AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
                        points!(gauge.data_points(), |point: &&opentelemetry_sdk::metrics::data::GaugeDataPoint<
                            u64,
                        >| { point.value() });
                    }
                    AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                        points!(sum.data_points(), |point: &&opentelemetry_sdk::metrics::data::SumDataPoint<u64>| {
                            point.value()
                        });
                    }
                    AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                        points!(sum.data_points(), |point: &&opentelemetry_sdk::metrics::data::SumDataPoint<i64>| {
                            point.value()
                        });
                    }
                    AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                        points!(
                            histogram.data_points(),
                            |point: &&opentelemetry_sdk::metrics::data::HistogramDataPoint<f64>| point.count()
                        );
                    }
                    other => panic!("{}: {other:?}", metric.name()),
                }
            }
        }
        seen
    }
}

#[tokio::test]
async fn a_pool_measures_itself_by_the_conventions() {
    let measured = measured().await;
    let database = selvage_testkit::database(Engine::Sqlite).await;
    let open = |name: &'static str| {
        let config = Config {
            floor: Some(1),
            limit: 1,
            max_wait: Duration::from_millis(50),
            ..Config::new(name, database.url())
        };
        Pool::open(config)
    };
    let (pool, other) = (open("measured").await.unwrap(), open("other").await.unwrap());
    let seen = measured.of("measured");
    assert_eq!(seen["selvage.pool.saturated {state}"], 0.0, "there from the start: {seen:?}");
    assert_eq!(seen["selvage.pool.refused {request} class=critical reason=would_wait"], 0.0);
    assert_eq!(seen["db.client.connection.timeouts {timeout}"], 0.0);
    let release = Arc::new(Notify::new());
    let holder = hold(&pool, &release);
    eventually(LONG, "it is held", async || pool.snapshot().in_use == 1).await;
    let look = pool.named("look", Class::Critical);
    let waiting = tokio::spawn(async move { look.execute_unprepared("SELECT 1").await });
    eventually(LONG, "it waits", async || {
        measured.of("measured")["db.client.connection.pending_requests {request}"] == 1.0 || waiting.is_finished()
    })
    .await;
    waiting.await.expect("no panic").expect_err("there is one connection, and it is held");
    let seen = measured.of("measured");
    for (name, value) in [
        ("db.client.connection.count {connection} db.client.connection.state=used", 1.0),
        ("db.client.connection.count {connection} db.client.connection.state=idle", 0.0),
        ("db.client.connection.max {connection}", 1.0),
        ("db.client.connection.idle.min {connection}", 1.0),
        ("db.client.connection.timeouts {timeout}", 1.0),
        ("db.client.connection.create_time s", 1.0),
        ("selvage.pool.saturated {state}", 1.0),
        ("selvage.pool.refused {request} class=critical reason=waited", 1.0),
        ("selvage.pool.limit {connection}", 1.0),
        ("selvage.pool.debt {connection}", 0.0),
        ("selvage.pool.stranded {connection}", 0.0),
        ("selvage.pool.unreachable {state}", 0.0),
    ] {
        assert_eq!(seen[name], value, "{name}: {seen:?}");
    }
    release.notify_one();
    holder.await.unwrap().unwrap();
    let seen = measured.of("measured");
    assert!(
        seen["db.client.connection.wait_time s"] >= 2.0 && seen["db.client.connection.use_time s"] >= 2.0,
        "{seen:?}"
    );
    assert_eq!(seen["selvage.pool.transactions {transaction}"], 1.0);
    let others = measured.of("other");
    assert_eq!(others["db.client.connection.timeouts {timeout}"], 0.0, "each pool by itself: {others:?}");
    eventually(LONG, "it is quiet again", async || measured.of("measured")["selvage.pool.saturated {state}"] == 0.0)
        .await;
    pool.close().await;
    let of_closed = measured.of("measured");
    assert!(!of_closed.contains_key("selvage.pool.saturated {state}"), "a closed pool isn't observed: {of_closed:?}");
    drop(other);
}

#[tokio::test]
async fn transactions_are_measured_by_name_and_outcome() {
    let measured = measured().await;
    let database = selvage_testkit::database(Engine::Sqlite).await;
    let config = Config { max_wait: Duration::from_millis(50), ..Config::new("by_name", database.url()) };
    let pool = Pool::open(config).await.unwrap();
    for _ in 0..2 {
        pool.run_tx("star_count", Class::Critical, |_tx| async { Ok::<_, DbErr>(()) }).await.unwrap();
    }
    let fails = |_tx| async { Err::<(), _>(DbErr::Custom("no".into())) };
    pool.run_tx("star_name", Class::Normal, fails).await.unwrap_err();
    let release = Arc::new(Notify::new());
    let holder = hold(&pool, &release);
    eventually(LONG, "one writes", async || pool.snapshot().in_use == 1).await;
    pool.run_tx("star_name", Class::Normal, |_tx| async { Ok::<_, DbErr>(()) }).await.unwrap_err();
    holder.abort();
    assert!(holder.await.unwrap_err().is_cancelled());
    let seen = measured.of("by_name");
    let ended = |operation: &str, class: &str, outcome: &str| {
        let which = format!("class={class} operation={operation} outcome={outcome}");
        seen.get(&format!("selvage.transaction.ended {{transaction}} {which}")).copied()
    };
    assert_eq!(ended("star_count", "critical", "committed"), Some(2.0), "{seen:?}");
    assert_eq!(ended("star_name", "normal", "failed"), Some(1.0), "{seen:?}");
    assert_eq!(ended("star_name", "normal", "not_begun"), Some(1.0), "{seen:?}");
    assert_eq!(ended("hold", "normal", "cancelled"), Some(1.0), "{seen:?}");
    for (metric, expected) in [
        ("selvage.transaction.repeated {transaction} class=critical operation=star_count", 0.0),
        ("selvage.transaction.wait_time s class=critical operation=star_count", 2.0),
        ("selvage.transaction.use_time s class=critical operation=star_count", 2.0),
        ("selvage.transaction.wait_time s class=normal operation=star_name", 2.0),
        ("selvage.transaction.use_time s class=normal operation=star_name", 1.0),
    ] {
        assert_eq!(seen.get(metric), Some(&expected), "{metric}: {seen:?}");
    }
}

/// Readers keep their connections; who waits is the next writer.
#[tokio::test]
async fn who_waits_to_write_to_a_file_counts_as_any_who_waits() {
    let measured = measured().await;
    let database = selvage_testkit::database(Engine::Sqlite).await;
    let config = Config { limit: 4, max_wait: Duration::from_millis(200), ..Config::new("writers", database.url()) };
    let pool = Pool::open(config).await.unwrap();
    let release = Arc::new(Notify::new());
    let holder = hold(&pool, &release);
    eventually(LONG, "one writes", async || pool.snapshot().in_use == 1).await;
    let its = pool.named("write", Class::Normal);
    let writer = tokio::spawn(async move { its.execute_unprepared("CREATE TABLE a (b INT)").await });
    eventually(LONG, "another waits for its turn", async || {
        measured.of("writers")["db.client.connection.pending_requests {request}"] == 1.0 || writer.is_finished()
    })
    .await;
    writer.await.unwrap().expect_err("the first still writes");
    let seen = measured.of("writers");
    assert_eq!(seen["selvage.pool.refused {request} class=normal reason=waited"], 1.0, "{seen:?}");
    assert_eq!(seen["db.client.connection.timeouts {timeout}"], 1.0, "{seen:?}");
    release.notify_one();
    holder.await.unwrap().unwrap();
    let before = measured.of("writers")["db.client.connection.wait_time s"];
    pool.execute_unprepared("CREATE TABLE a (b INT)").await.unwrap();
    assert_eq!(measured.of("writers")["db.client.connection.wait_time s"], before + 1.0, "both waits are one");
}

/// While a limit goes up and down, what one scrape says fits together.
#[tokio::test]
async fn all_instruments_of_a_scrape_show_the_same_moment() {
    let measured = measured().await;
    let database = selvage_testkit::database(Engine::Sqlite).await;
    let config = Config { floor: Some(1), limit: 1, ceiling: Some(9), ..Config::new("moment", database.url()) };
    let pool = Pool::open(config).await.unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (its, until) = (pool.clone(), stop.clone());
    let runtime = tokio::runtime::Handle::current();
    let changing = std::thread::spawn(move || {
        let _runtime = runtime.enter();
        let mut limits = (1..=9).cycle();
        while !until.load(std::sync::atomic::Ordering::Relaxed) {
            its.set_limit(limits.next().expect("for ever"));
        }
    });
    let mut different = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let seen = measured.of("moment");
        let (max, limit) = (seen["db.client.connection.max {connection}"], seen["selvage.pool.limit {connection}"]);
        assert_eq!(max, limit, "{seen:?}");
        different.insert(limit as u64);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    changing.join().unwrap();
    assert!(different.len() > 1, "it was changed meanwhile");
}
