//! The metrics of a real operator that leads, and of one that doesn't, and the trace of what it does.

use std::process::Command;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use selvage_broker::{Broker, Settings};
use selvage_operator::controllers::tokens::AUDIENCE;
use selvage_operator::resources::ConnectionBudget;
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, Server, engines, eventually, free_port};
use selvage_tests::jaeger::Jaeger;
use selvage_tests::metrics::Metrics;
use selvage_tests::process::Process;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// A lead that isn't renewed ends within 10 s, and the next one begins within 15 s.
const BOUND: Duration = Duration::from_secs(120);
/// What rules and dashboards rely on.
const LIST: &str = include_str!("../../../../tests/whole/alerts/operator.txt");
const BOOT: &str = "aaaa0001";

/// The list: type, Prometheus' name, labels.
fn listed() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>)> {
    LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let mut words = line.split(' ');
        (words.next().expect("a type"), words.next().expect("a name"), words.collect())
    })
}

/// The series of a page that have this name, or are those of a histogram of it.
fn series<'a>(page: &'a str, kind: &str, name: &str) -> Vec<&'a str> {
    let named = if kind == "histogram" { format!("{name}_count") } else { name.to_owned() };
    page.lines().filter(|line| line.split(['{', ' ']).next() == Some(&named)).collect()
}

/// What of the list a page hasn't.
fn missing(page: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for (kind, name, labels) in listed() {
        let found = series(page, kind, name);
        let is_typed = page.lines().any(|line| line == format!("# TYPE {name} {kind}"));
        if found.is_empty() || !is_typed {
            missing.push(format!("{kind} {name}"));
        }
        for label in [&labels[..], &["service_name"]].concat() {
            if !found.iter().all(|line| line.contains(&format!("{label}=\""))) {
                missing.push(format!("{name}: the label {label}"));
            }
        }
    }
    missing
}

/// What a page has of the operator's own that isn't on the list.
fn strange(page: &str) -> Vec<&str> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    types.filter(|name| name.starts_with("selvage_operator_") && listed().all(|(_, known, _)| known != *name)).collect()
}

/// Gauges of scalers and budgets that a page has.
fn of_a_leader(page: &str) -> Vec<&str> {
    let named =
        |line: &&str| line.starts_with("selvage_operator_") && (line.contains("scaler=") || line.contains("budget="));
    page.lines().filter(named).collect()
}

/// A replica of the operator.
struct Replica {
    process: Process,
    grpc: String,
    metrics: String,
}

impl Replica {
    fn start(cluster: &Cluster, name: &str, traces: Option<&str>) -> Self {
        let (grpc, metrics) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_selvage-operator"));
        command
            .args(["serve", "--listen", &grpc, "--metrics-listen", &metrics, "--own-namespace", "default"])
            .args(["--pod-name", name, "--pod-address", "127.0.0.1"])
            .env("KUBECONFIG", &cluster.server.kubeconfig)
            .env("OTEL_BSP_SCHEDULE_DELAY", "200");
        if let Some(traces) = traces {
            command.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces);
        }
        let process = Process::start(&mut command);
        process.wait_for("that it serves metrics", |line| line.contains("serving metrics").then_some(()));
        Self { process, grpc, metrics }
    }

    fn page(&self) -> String {
        Metrics::of(&self.metrics).text
    }

    fn leads(&self) -> bool {
        Metrics::of(&self.metrics).sum("selvage_operator_epoch", &[]) > 0.0
    }
}

async fn create<K>(cluster: &Cluster, object: Value) -> K
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + serde::Serialize,
{
    let api: Api<K> = Api::default_namespaced(cluster.client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

/// A workload with one pod that is ready, which should have two, on a budget of a real server. The pod.
async fn workload(cluster: &Cluster, database: &str) -> Pod {
    create::<ServiceAccount>(cluster, json!({"metadata": {"name": "cart"}})).await;
    create::<Secret>(cluster, json!({"metadata": {"name": "main-probe"}, "stringData": {"url": database}})).await;
    let containers = json!([{"name": "it", "image": "it"}]);
    create::<Deployment>(
        cluster,
        json!({
            "metadata": {"name": "cart"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "cart"}},
                "template": {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": containers}},
            },
        }),
    )
    .await;
    let pod: Pod = create(
        cluster,
        json!({
            "metadata": {"name": "cart-1", "labels": {"app": "cart"}},
            "spec": {"serviceAccountName": "cart", "nodeName": "node1", "containers": containers},
        }),
    )
    .await;
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let pods: Api<Pod> = Api::default_namespaced(cluster.client.clone());
    pods.patch_status("cart-1", &PatchParams::default(), &Patch::Merge(&ready)).await.unwrap();
    cluster.apply(&json!({
        "apiVersion": "selvage.dev/v1alpha1", "kind": "ConnectionBudget", "metadata": {"name": "main", "namespace": "default"},
        "spec": {"database": {"urlSecretRef": {"name": "main-probe", "key": "url"}}},
    }));
    // As a leader before it has learned.
    let budgets: Api<ConnectionBudget> = Api::default_namespaced(cluster.client.clone());
    let learned = Patch::Merge(json!({"status": {"probeBaselineMicroseconds": 1000}}));
    budgets.patch_status("main", &PatchParams::default(), &learned).await.unwrap();
    cluster.apply(&json!({
        "apiVersion": "selvage.dev/v1alpha1", "kind": "PoolScaler", "metadata": {"name": "cart", "namespace": "default"},
        "spec": {
            "targetRef": {"name": "cart"}, "budgetRef": {"name": "main"}, "minReplicas": 2, "maxReplicas": 4,
            "pool": {"floor": 2, "ceiling": 6},
        },
    }));
    pod
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_exports_what_is_on_the_list_and_the_others_nothing_of_scalers() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let Some(cluster) = Cluster::start().await else { return };
    let database = Server::start(&[]).await;
    let pod = workload(&cluster, database.url()).await;
    let jaeger = Jaeger::start().await;
    let began = SystemTime::now();
    let first = Replica::start(&cluster, "operator-1", jaeger.as_ref().map(Jaeger::otlp).as_deref());
    eventually(BOUND, "it leads", async || first.leads()).await;
    let second = Replica::start(&cluster, "operator-2", None);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let bound = ["--bound-object-kind=Pod", "--bound-object-name=cart-1"];
    let token = cluster.server.said(&[&["create", "token", "cart", "--audience", AUDIENCE][..], &bound].concat());
    std::fs::write(&file, token).unwrap();
    let pod = selvage_broker::Pod { namespace: "default".into(), name: "cart-1".into(), uid: pod.uid().unwrap() };
    let mut settings = Settings::new(first.grpc.parse().unwrap(), file, "main", pod);
    settings.boot_id = BOOT.to_owned();
    let (broker, client) = Broker::new(settings);
    let client = tokio::spawn(client);
    let config = Config {
        floor: Some(2),
        limit: 6,
        awaits_grant: true,
        application_name: format!("{BOOT}/cart-1"),
        ..Config::new("cart", database.url())
    };
    let pool = Pool::unopened(config).unwrap();
    broker.join(&pool).unwrap();
    pool.reach().await.expect("it is granted its floor");

    let mut last = Vec::new();
    eventually(BOUND, "all of the list is exported", async || {
        last = missing(&first.page());
        last.is_empty()
    })
    .await;
    assert!(last.is_empty(), "{last:#?}");
    let (cart, main) = (("scaler", "default/cart"), ("budget", "default/main"));
    eventually(BOUND, "what the pod has open is seen at the server", async || {
        let metrics = Metrics::of(&first.metrics);
        metrics.sum("selvage_operator_connections", &[cart, ("state", "open")]) >= 1.0
            && metrics.sum("selvage_operator_sessions", &[main, ("of", "pods")]) >= 1.0
    })
    .await;
    let metrics = Metrics::of(&first.metrics);
    let page = &metrics.text;
    assert_eq!(strange(page), [""; 0], "it is exported, and not on the list");
    assert!(metrics.sum("selvage_operator_connections", &[cart, ("state", "granted")]) >= 2.0, "{page}");
    assert!(metrics.sum("selvage_operator_sessions", &[main, ("of", "strays")]) < 1.0, "{page}");
    assert!((metrics.sum("selvage_operator_class", &[cart]) - 1.0).abs() < 0.1, "one class at a time");
    assert!((metrics.sum("selvage_operator_streams", &[]) - 1.0).abs() < 0.1);
    assert!(metrics.sum("selvage_operator_budget_condition", &[main, ("condition", "BudgetSatisfied")]) > 0.0);
    let whole = ["charged", "set_aside", "headroom"]
        .map(|state| metrics.sum("selvage_operator_budget_connections", &[main, ("state", state)]));
    let budget = metrics.sum("selvage_operator_budget", &[main]);
    assert!((whole.iter().sum::<f64>() - budget).abs() < 0.1, "{whole:?} of {budget}");
    assert!(metrics.sum("selvage_operator_writes_total", &[("what", "replicas"), ("outcome", "done")]) >= 1.0);
    assert!(metrics.sum("selvage_operator_changes_total", &[("what", "replicas")]) >= 1.0);
    assert!(!page.contains("cart-1") && !page.contains(BOOT), "no series is a pod's");

    // It asked for a second replica, as its bounds say.
    let deployments: Api<Deployment> = Api::default_namespaced(cluster.client.clone());
    assert_eq!(deployments.get("cart").await.unwrap().spec.unwrap().replicas, Some(2));
    if let Some(jaeger) = &jaeger {
        is_traced(jaeger, began).await;
    }

    // Who follows counts, and shows nothing of scalers, which is the leader's.
    assert!(!second.leads());
    let page = second.page();
    assert_eq!(of_a_leader(&page), [""; 0]);
    assert!(page.contains("selvage_operator_decisions_total{") && page.contains("selvage_operator_writes_total{"));

    // Who leads no more falls silent at once, though it goes on.
    let leases: Api<Lease> = Api::default_namespaced(cluster.client.clone());
    let taken = json!({"spec": {"holderIdentity": "somebody", "leaseTransitions": 99}});
    leases.patch("selvage-operator", &PatchParams::default(), &Patch::Merge(&taken)).await.unwrap();
    eventually(BOUND, "the first one has lost its lead", async || !first.leads()).await;
    assert_eq!(of_a_leader(&first.page()), [""; 0]);
    let someone = async || [&first, &second].iter().any(|one| one.leads() && !of_a_leader(&one.page()).is_empty());
    eventually(BOUND, "somebody leads again, and says how things are", someone).await;
    assert!(!(first.leads() && second.leads()));
    client.abort();
    drop(broker);
    for replica in [first, second] {
        assert!(replica.process.terminate().success());
    }
}

/// Jaeger shows the decision to add a replica, and the write as its part.
async fn is_traced(jaeger: &Jaeger, began: SystemTime) {
    let mut said = String::new();
    eventually(BOUND, "the decision is traced", async || {
        let traces = jaeger.search_since(began, "selvage-operator", &[]);
        said = traces.iter().map(selvage_tests::spans::Trace::outline).collect();
        traces.iter().any(|trace| {
            let decided = trace.named("selvage-operator", "decide", "internal").find(|span| {
                span.tag("selvage.operator.scaler") == "default/cart"
                    && (span.tag("selvage.operator.replicas.from"), span.tag("selvage.operator.replicas.to"))
                        == ("1", "2")
                    && span.tag("selvage.operator.enforced") == "true"
                    && !span.tag("selvage.operator.class").is_empty()
                    && span.tag("selvage.operator.reason").len() > 20
            });
            let mut written = trace.named("selvage-operator", "set replicas", "client");
            decided.is_some_and(|decided| {
                written.any(|write| write.parent.as_deref() == Some(decided.id.as_str()) && !write.failed())
            })
        })
    })
    .await;
    println!("{said}");
}
