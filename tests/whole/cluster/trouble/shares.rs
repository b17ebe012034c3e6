//! Which part of a service's calls each of its pods has, by what the pods say of themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use selvage_tests::metrics::Metrics;
use selvage_tests::release::{Pod, Release};

use super::SERVICES;

/// Where the pods of each service serve their metrics, in the order of `SERVICES`.
const PORTS: [u16; 5] = [9464, 9465, 9466, 9467, 9468];

/// Where the pods that don't end serve their metrics, with the service of each.
pub(super) fn addresses(release: &Release<'_>) -> Vec<(String, String)> {
    let pods = release.pods().into_iter().filter(|pod| !pod.ending && !pod.address.is_empty());
    let address = |pod: Pod| {
        let service = SERVICES.iter().position(|service| *service == pod.component)?;
        Some((pod.component, format!("{}:{}", pod.address, PORTS[service])))
    };
    pods.filter_map(address).collect()
}

/// How many requests a pod has answered that others than the kubelet made.
fn answered(address: &str) -> f64 {
    let metrics = Metrics::of(address);
    let counted = metrics.text.lines().filter(|line| {
        line.starts_with("http_server_request_duration_seconds_count{")
            || (line.starts_with("rpc_server_call_duration_seconds_count{") && line.contains("rpc_method=\"selvage."))
    });
    counted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// For each service its pods' calls in the time that this takes, the fewest first.
pub(super) fn measure(release: &Release<'_>, lasts: Duration) -> BTreeMap<String, Vec<f64>> {
    let pods = addresses(release);
    let before: Vec<_> = pods.iter().map(|(_, address)| answered(address)).collect();
    std::thread::sleep(lasts);
    let mut shares = BTreeMap::<_, Vec<_>>::new();
    for ((service, address), before) in pods.into_iter().zip(before) {
        shares.entry(service).or_default().push(answered(&address) - before);
    }
    for calls in shares.values_mut() {
        calls.sort_by(f64::total_cmp);
    }
    shares
}
