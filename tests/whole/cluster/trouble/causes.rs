//! What is done to the cluster, and undone.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use selvage_tests::cluster::{Cluster, run, top};
use selvage_tests::http::Client;
use selvage_tests::release::Release;

use super::{SERVICES, eventually, shares};

/// A pod that was told to end has 30 s, and the machine is busy.
const ENDING_BOUND: Duration = Duration::from_secs(60);

/// Where the development cluster's Prometheus is.
pub(super) const MONITORING: &str = "monitoring";

/// A value of each service.
pub(super) fn of_each(value: &str) -> Vec<String> {
    SERVICES.iter().map(|service| format!("{service}.{value}")).collect()
}

/// Upgrades to these values, and waits until the pods that are replaced or too many have ended.
pub(super) fn upgrade(release: &Release<'_>, values: &[String]) {
    release.upgrade(&values.iter().map(String::as_str).collect::<Vec<_>>());
    eventually(ENDING_BOUND, "the pods end that are replaced or too many", release, || {
        release.pods().iter().all(|pod| !pod.ending)
    });
}

/// Waits until every service has all its pods.
pub(super) fn complete(release: &Release<'_>) {
    release.kubectl(&["wait", "--for=condition=Available", "deployment", "--all", "--timeout=120s"]);
}

/// The process that a container of the pod lives by, as this machine sees it: number 1 of its own processes.
pub(super) fn main_process(uid: &str, program: &str) -> u32 {
    let is_it = |folder: &PathBuf| {
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        let (status, name) = (read("status"), read("comm"));
        let first = status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"));
        // The kernel keeps 15 letters of a name.
        first && program.starts_with(name.trim()) && !name.trim().is_empty() && read("cgroup").contains(uid)
    };
    let found = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).find(is_it);
    let found = found.unwrap_or_else(|| panic!("no process {program} of the pod {uid}"));
    found.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).expect("a number")
}

pub(super) fn signal(process: u32, signal: &str) {
    run(Command::new("kill").args([signal, &process.to_string()]));
}

/// Kills one pod's process of a service, on this node.
pub(super) fn kill_one(release: &Release<'_>, service: &str, node: &str) {
    let pod = release.pods().into_iter().find(|pod| pod.component == service && pod.node == node && pod.ready);
    let pod = pod.unwrap_or_else(|| panic!("no pod of {service} on {node}\n{}", release.state()));
    signal(main_process(&pod.uid, &format!("selvage-{service}")), "-KILL");
}

/// Restarts PostgreSQL's container in place, by this signal to its first process; returns when it is ready again.
pub(super) fn restart_postgres(release: &Release<'_>, by: &str) {
    let pod = release.pods().into_iter().find(|pod| pod.component == "postgres").expect("a pod");
    let before = restarts(release, &pod.name);
    signal(main_process(&pod.uid, "postgres"), by);
    eventually(ENDING_BOUND, "PostgreSQL is ready again", release, || {
        restarts(release, &pod.name) > before && release.pods().iter().any(|now| now.name == pod.name && now.ready)
    });
}

fn restarts(release: &Release<'_>, pod: &str) -> u32 {
    let count = release.kubectl(&["get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}"]);
    count.parse().expect("a number")
}

/// The cluster's name server is stopped where it is for this long: who asks it gets no answer.
pub(super) fn silence_dns(cluster: &Cluster, lasts: Duration) {
    let pods = cluster.get(&["--namespace", "kube-system", "pods", "--selector", "k8s-app=kube-dns"]);
    let uid = pods["items"][0]["metadata"]["uid"].as_str().expect("a pod").to_owned();
    let process = main_process(&uid, "coredns");
    signal(process, "-STOP");
    std::thread::sleep(lasts);
    signal(process, "-CONT");
    cluster.kubectl(&["--namespace", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s"]);
}

/// The cluster's only name server is on `node` from now on, and not on `other`.
pub(super) fn move_dns(cluster: &Cluster, node: &str, other: &str) {
    let dns = |verb: &[&str]| cluster.kubectl(&[&["--namespace", "kube-system", "rollout"], verb].concat());
    cluster.kubectl(&["cordon", other]);
    dns(&["restart", "deployment/coredns"]);
    dns(&["status", "deployment/coredns", "--timeout=60s"]);
    cluster.kubectl(&["uncordon", other]);
    let pods = cluster.get(&["--namespace", "kube-system", "pods", "--selector", "k8s-app=kube-dns"]);
    let pods = pods["items"].as_array().expect("pods").iter();
    let mut pods = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    assert!(pods.any(|pod| pod["spec"]["nodeName"] == node), "the name server isn't on {node}");
}

/// A Deployment has no pod for this long; returns when it has one again.
pub(super) fn gone_for(cluster: &Cluster, namespace: &str, deployment: &str, lasts: Duration) {
    let scale = |to: &str| {
        cluster.kubectl(&["--namespace", namespace, "scale", "deployment", deployment, "--replicas", to]);
        cluster.kubectl(&["--namespace", namespace, "rollout", "status", "deployment", deployment, "--timeout=60s"]);
    };
    scale("0");
    std::thread::sleep(lasts);
    scale("1");
}

/// A node's cable is pulled for this long; returns when it was pulled, and when it was put back.
pub(super) fn cut_off(cluster: &Cluster, node: u32, lasts: Duration) -> (Instant, Instant) {
    let node = node.to_string();
    run(&mut cluster.command(&["cut", &node]));
    let cut = Instant::now();
    std::thread::sleep(lasts);
    run(&mut cluster.command(&["join", &node]));
    let joined = Instant::now();
    cluster.kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"]);
    (cut, joined)
}

/// Drains a node as an administrator does, and lets pods on it again.
pub(super) fn drain(release: &Release<'_>, node: &str) {
    let cluster = release.cluster;
    cluster.kubectl(&["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"]);
    complete(release);
    let left = release.pods().into_iter().filter(|pod| pod.node == node && SERVICES.contains(&pod.component.as_str()));
    assert_eq!(left.count(), 0, "{}", release.state());
    cluster.kubectl(&["uncordon", node]);
}

/// Installs the development cluster's Prometheus, and waits until it reads the metrics of all pods. Debian's doesn't know Kubernetes:
/// it is told where they are.
pub(super) fn install_prometheus(release: &Release<'_>) {
    let cluster = release.cluster;
    let path = top().join("k8s/development/prometheus.yaml");
    let manifest = std::fs::read_to_string(&path).expect("a manifest");
    let (before, rest) = manifest.split_once("        kubernetes_sd_configs:").expect("how it finds pods");
    let (_, after) = rest.split_once("---\n").expect("the next object");
    let targets: Vec<_> = shares::addresses(release).into_iter().map(|(_, address)| address).collect();
    let manifest = format!("{before}        static_configs:\n          - targets: {targets:?}\n---\n{after}");
    let (before, rest) = manifest.split_once("image: prom/prometheus:").expect("its image");
    let (_, after) = rest.split_once('\n').expect("a line");
    cluster.kubectl(&["create", "namespace", MONITORING]);
    cluster.apply_in(MONITORING, &format!("{before}image: localhost/prometheus:test\n{after}"));
    cluster.kubectl(&["--namespace", MONITORING, "rollout", "status", "deployment/prometheus", "--timeout=60s"]);
    let address = ["--namespace", MONITORING, "get", "service", "prometheus", "-o", "jsonpath={.spec.clusterIP}"];
    let address = cluster.kubectl(&address);
    let reads = format!("\"{}\"]", targets.len());
    eventually(ENDING_BOUND, "Prometheus reads all pods", release, || {
        let answer = Client::new(&format!("http://{address}:9090")).get("/api/v1/query?query=sum(up)");
        answer.text().contains(&reads)
    });
}
