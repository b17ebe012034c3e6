//! A service's replicas and pools, looked at all the time.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use selvage_tests::metrics::Metrics;
use selvage_tests::release::Release;

/// Between two looks at the pools.
const EVERY: Duration = Duration::from_millis(200);
const PODS: &str = r#"jsonpath={.metadata.name} {.metadata.labels.app\.kubernetes\.io/component} {.status.podIP} {.metadata.deletionTimestamp}{"\n"}"#;
const REPLICAS: &str = r#"jsonpath={.metadata.name} {.spec.replicas}{"\n"}"#;

/// Why callers are refused.
pub(super) const REASONS: [&str; 5] = ["would_wait", "queue_full", "waited", "unreachable", "closed"];

/// The pools of all pods of a service that answer, together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pools {
    pub(super) pods: usize,
    /// Connections that they may have.
    pub(super) limit: f64,
    /// Callers who wait for one.
    pub(super) waiting: f64,
    /// Callers who were refused one, since their pods began.
    pub(super) refused: f64,
    /// The same of the classes critical, normal and sheddable.
    pub(super) by_class: [f64; 3],
    /// Those of the class critical, by [`REASONS`].
    pub(super) critical: [f64; REASONS.len()],
}

type Seen<T> = Arc<Mutex<Vec<(Instant, T)>>>;

/// Looks until it is dropped.
pub(super) struct Watch {
    replicas: Seen<u32>,
    pools: Seen<Pools>,
    ended: Arc<AtomicBool>,
    watches: [Follows; 2],
}

/// A program that follows objects: another one when it ends, as it does when the API server is silent for long.
type Follows = Arc<Mutex<Option<Child>>>;

impl Watch {
    /// Of this service, whose pods serve their metrics at `port`.
    pub(super) fn of(release: &Release<'_>, service: &'static str, port: u16) -> Self {
        let (replicas, pools, ended) = (Seen::default(), Seen::default(), Arc::<AtomicBool>::default());
        let addresses = Arc::<Mutex<BTreeMap<String, String>>>::default();
        let known = addresses.clone();
        let pods = follow(release, &["pods", "--output", PODS], &ended, move |line| {
            let [name, component, address, ending] = line.split(' ').collect::<Vec<_>>()[..] else { return };
            if component != service {
            } else if address.is_empty() || !ending.is_empty() {
                known.lock().unwrap().remove(name);
            } else {
                known.lock().unwrap().insert(name.to_owned(), format!("{address}:{port}"));
            }
        });
        let (seen, deployment): (Seen<u32>, _) = (replicas.clone(), release.name(service));
        let deployments = follow(release, &["deployments", "--output", REPLICAS], &ended, move |line| {
            let count = line.strip_prefix(&deployment).and_then(|rest| rest.trim().parse().ok());
            if let Some(count) = count {
                seen.lock().unwrap().push((Instant::now(), count));
            }
        });
        let (seen, end): (Seen<Pools>, _) = (pools.clone(), ended.clone());
        std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let all: Vec<_> = addresses.lock().unwrap().values().cloned().collect();
                let mut sum = Pools::default();
                for metrics in all.iter().filter_map(|address| Metrics::ask(address)) {
                    sum.pods += 1;
                    sum.limit += metrics.sum("selvage_pool_limit", &[]);
                    sum.waiting += metrics.sum("db_client_connection_pending_requests", &[]);
                    let refused = |class| metrics.sum("selvage_pool_refused_total", &[("class", class)]);
                    for (sum, class) in sum.by_class.iter_mut().zip(["critical", "normal", "sheddable"]) {
                        *sum += refused(class);
                    }
                    sum.refused = sum.by_class.iter().sum();
                    for (sum, reason) in sum.critical.iter_mut().zip(REASONS) {
                        let of = [("class", "critical"), ("reason", reason)];
                        *sum += metrics.sum("selvage_pool_refused_total", &of);
                    }
                }
                seen.lock().unwrap().push((Instant::now(), sum));
                std::thread::sleep(EVERY);
            }
        });
        Self { replicas, pools, ended, watches: [pods, deployments] }
    }

    /// What was seen of the pools since then.
    pub(super) fn pools_since(&self, since: Instant) -> Vec<(Instant, Pools)> {
        self.pools.lock().unwrap().iter().filter(|(at, _)| *at >= since).copied().collect()
    }

    /// The replicas that it was to have: at that time, and each change since.
    pub(super) fn replicas_since(&self, since: Instant) -> Vec<(Instant, u32)> {
        let seen = self.replicas.lock().unwrap();
        let before = seen.iter().rposition(|(at, _)| *at < since).unwrap_or_default();
        let mut changes = seen[before..].to_vec();
        changes.dedup_by_key(|(_, count)| *count);
        changes
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for watch in &self.watches {
            if let Some(child) = watch.lock().unwrap().as_mut() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Hears each line that kubectl says of objects, now and as they change.
fn follow(
    release: &Release<'_>,
    what: &[&str],
    ended: &Arc<AtomicBool>,
    mut hear: impl FnMut(&str) + Send + 'static,
) -> Follows {
    let namespace = ["--namespace", &release.namespace, "get", "--watch"];
    let mut command = release.cluster.program("kubectl", &[&namespace, what].concat());
    command.stdout(Stdio::piped());
    let (follows, end) = (Follows::default(), ended.clone());
    let followed = follows.clone();
    std::thread::spawn(move || {
        loop {
            let stdout = {
                let mut child = followed.lock().unwrap();
                // Under the lock, so that none is started after the last one was killed.
                if end.load(Ordering::Relaxed) {
                    return;
                }
                child.insert(command.spawn().expect("kubectl")).stdout.take().expect("piped")
            };
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| hear(&line));
            let child = followed.lock().unwrap().take();
            let _ = child.map(|mut child| child.wait());
        }
    });
    follows
}
