//! The metrics, by the names of OpenTelemetry's conventions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use sea_orm::ConnectionTrait as _;
use selvage_pool::{Class, Config, Pool};
use selvage_testkit::{Engine, eventually};
use tokio::sync::{Notify, OnceCell};

use crate::gate::hold;

const LONG: Duration = Duration::from_secs(10);

struct Measured {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
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
            Measured { provider, exporter }
        })
        .await
}

impl Measured {
    /// What is measured of `pool` now, by name and the other attributes: a number, or how often a time was recorded.
    fn of(&self, pool: &str) -> BTreeMap<String, f64> {
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
                    let others: Vec<_> = others.map(|(key, value)| format!(" {key}={value}")).collect();
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
