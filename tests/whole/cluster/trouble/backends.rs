//! How many connections the shop's roles have at PostgreSQL, looked at all the time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use selvage_pool::sea_orm::{ConnectionTrait as _, Statement};
use selvage_pool::{Config, Pool};
use selvage_tests::release::Release;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(100);
/// The roles that the services run as; those that migrate are in the budget's part for others.
const COUNT: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE backend_type = 'client backend' AND usename IN ('catalogue', 'cart', 'checkout', 'delivery')";

/// With what the server says that it has no connection for somebody.
const NO_SLOT: [&str; 3] =
    ["too many clients already", "remaining connection slots are reserved", "too many connections for"];

/// How often the server has refused a connection for want of a slot, since it started.
pub(in super::super) fn no_slot(release: &Release<'_>) -> usize {
    let pod = release.pods().into_iter().find(|pod| pod.component == "postgres").expect("PostgreSQL");
    let log = release.kubectl(&["logs", &pod.name]);
    log.lines().filter(|line| NO_SLOT.iter().any(|words| line.contains(words))).count()
}

/// Looks until it is dropped.
pub(in super::super) struct Backends {
    seen: Arc<Mutex<Vec<(Instant, i64)>>>,
    looks: JoinHandle<()>,
}

impl Backends {
    /// Looks through a connection of its own.
    pub(in super::super) async fn watch(url: &str) -> Self {
        // By its usual name an operator would take it for a pod that it doesn't know, and set a whole ceiling aside for it.
        let config = Config { limit: 1, application_name: "backends".to_owned(), ..Config::new("backends", url) };
        let pool = Pool::open(config).await.expect("PostgreSQL answers");
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let looks = {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                loop {
                    ticks.tick().await;
                    // While it doesn't answer nobody has a connection that could be counted.
                    if let Ok(Some(row)) = pool.query_one_raw(Statement::from_string(pool.backend(), COUNT)).await {
                        let count = row.try_get_by_index(0).expect("a number");
                        seen.lock().unwrap().push((Instant::now(), count));
                    }
                }
            })
        };
        Self { seen, looks }
    }

    /// The most since then, and how often it was looked.
    pub(in super::super) fn most_since(&self, since: Instant) -> (i64, usize) {
        let seen = self.seen.lock().unwrap();
        let seen = seen.iter().filter(|(when, _)| *when >= since).map(|(_, count)| *count);
        (seen.clone().max().unwrap_or_default(), seen.count())
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        self.looks.abort();
    }
}

/// The sum of connections that the chart has worked out for these replicas, and says in its ConfigMap.
pub(super) fn budget(release: &Release<'_>) -> i64 {
    let words = release.kubectl(&["get", "configmap", &release.name("budget"), "-o", "jsonpath={.data.main}"]);
    // The first is without an operator.
    let sum = words.lines().find_map(|line| line.trim().strip_prefix("sum"));
    let number = sum.and_then(|sum| sum.split_whitespace().next()).and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no sum in {words}"))
}
