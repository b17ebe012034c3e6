//! Services that aren't ours: the README's example at a real API server, with pods that serve what HikariCP serves by Micrometer, and
//! the operator's own binary.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use selvage_operator::resources::{ConditionStatus, ConnectionBudget, PoolScaler, PoolScalerStatus};
use selvage_testkit::{Engine, Server, engines, eventually, free_port};
use selvage_tests::installed::installed;
use selvage_tests::process::Process;
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::Cluster;

/// How long is waited for what should come within some seconds.
const BOUND: Duration = Duration::from_secs(90);

/// A page of a real HikariCP: tests/scraped says of which.
const PAGE: &str = include_str!("../scraped/hikaricp.txt");

/// What the pods say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// Pools of so many connections, of which so many are in use while so many callers wait.
    Pools { size: u32, in_use: u32, waiting: u32 },
    /// Nothing, for longer than anybody waits.
    Nothing,
    /// That it is elsewhere.
    Elsewhere,
}

const QUIET: Says = Says::Pools { size: 10, in_use: 2, waiting: 0 };
const PRESSED: Says = Says::Pools { size: 10, in_use: 10, waiting: 7 };

/// The metrics of all pods: they have one address, that of this machine.
struct Pages {
    port: u16,
    says: Arc<Mutex<Says>>,
    serving: Option<AbortOnDropHandle<()>>,
}

impl Pages {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, says) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(QUIET)));
        let told = says.clone();
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut served = 0;
            while let Ok((stream, _)) = listener.accept().await {
                served += 1;
                let says = *told.lock().unwrap();
                tokio::spawn(serve(stream, says, served));
            }
        }));
        Self { port, says, serving: Some(serving) }
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// Nobody listens there any more.
    fn die(&mut self) {
        self.serving = None;
    }
}

async fn serve(mut stream: TcpStream, says: Says, served: u32) {
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut bytes).await {
            Ok(count @ 1..) => request.extend_from_slice(&bytes[..count]),
            _ => return,
        }
    }
    assert!(request.starts_with(b"GET /actuator/prometheus HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&request));
    let answer = match says {
        Says::Pools { size, in_use, waiting } => {
            let page = page(size, in_use, waiting, served);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain;version=0.0.4;charset=utf-8";
            format!("{head}\r\nContent-Length: {}\r\n\r\n{page}", page.len())
        }
        Says::Elsewhere => "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n".to_owned(),
        // The other end gives it up.
        Says::Nothing => return drop(stream.read(&mut bytes).await),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// The real page with other numbers. Each time 40 uses of 25 ms more have ended.
fn page(size: u32, in_use: u32, waiting: u32, served: u32) -> String {
    let numbers = [
        ("hikaricp_connections", f64::from(size)),
        ("hikaricp_connections_active", f64::from(in_use)),
        ("hikaricp_connections_idle", f64::from(size - in_use)),
        ("hikaricp_connections_max", f64::from(size)),
        ("hikaricp_connections_pending", f64::from(waiting)),
        ("hikaricp_connections_usage_seconds_count", f64::from(40 * served)),
        ("hikaricp_connections_usage_seconds_sum", f64::from(served)),
    ];
    let line = |line: &str| {
        let name = line.split('{').next().unwrap_or_default();
        let number = numbers.iter().find(|(known, _)| *known == name);
        number.map_or_else(|| line.to_owned(), |(name, value)| format!("{name}{{pool=\"HikariPool-1\"}} {value:?}"))
    };
    PAGE.lines().map(|text| line(text) + "\n").collect()
}

/// The README's objects: the Deployment and the PoolScaler.
fn example(port: u16) -> [Value; 2] {
    let readme = include_str!("../../README.md");
    let section = readme.split("## A service that isn't ours").nth(1).expect("the section");
    let yaml = section.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let mut objects = yaml.split("---\n").map(|text| serde_saphyr::from_str::<Value>(text).expect("YAML"));
    let [mut deployment, mut scaler] = [objects.next().expect("a Deployment"), objects.next().expect("a PoolScaler")];
    deployment["metadata"]["namespace"] = json!("default");
    scaler["metadata"]["namespace"] = json!("default");
    scaler["spec"]["source"]["scrape"]["port"] = json!(port);
    scaler["spec"]["source"]["scrape"]["intervalSeconds"] = json!(1);
    [deployment, scaler]
}

/// A pod that runs and is ready, though there is no node.
async fn runs(cluster: &Cluster, name: &str, app: &str) {
    let pods: Api<Pod> = Api::default_namespaced(cluster.client.clone());
    let pod = json!({
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"nodeName": "node", "containers": [{"name": "it", "image": "it"}]},
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let status = json!({"status": {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
}

/// The operator's own binary.
fn operator(cluster: &Cluster) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvage-operator"));
    command.args(["serve", "--namespace", "default", "--own-namespace", "default", "--pod-name", "operator-1"]);
    command.args(["--pod-address", "127.0.0.1", "--listen", &format!("127.0.0.1:{}", free_port())]);
    command.args(["--metrics-listen", &format!("127.0.0.1:{}", free_port())]);
    command.env("KUBECONFIG", &cluster.server.kubeconfig);
    Process::start(&mut command)
}

async fn status(cluster: &Cluster, name: &str) -> PoolScalerStatus {
    let scalers: Api<PoolScaler> = Api::default_namespaced(cluster.client.clone());
    scalers.get(name).await.unwrap().status.unwrap_or_default()
}

/// A condition's status, reason and message.
fn condition(status: &PoolScalerStatus, kind: &str) -> (bool, String, String) {
    let found = status.conditions.iter().find(|condition| condition.kind == kind);
    found.map_or_else(Default::default, |found| {
        (found.status == ConditionStatus::True, found.reason.clone(), found.message.clone())
    })
}

/// The last status of a scaler that was seen, printed if the test fails meanwhile.
struct Last(Mutex<PoolScalerStatus>);

impl Drop for Last {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{:#?}", self.0.lock().unwrap());
        }
    }
}

/// Waits until a scaler's status is so, and says what it is.
async fn until(
    cluster: &Cluster,
    name: &str,
    what: &str,
    is_so: impl Fn(&PoolScalerStatus) -> bool,
) -> PoolScalerStatus {
    let last = Last(Mutex::default());
    eventually(BOUND, &format!("{name}: {what}"), async || {
        let now = status(cluster, name).await;
        let is_so = is_so(&now);
        *last.0.lock().unwrap() = now;
        is_so
    })
    .await;
    last.0.lock().unwrap().clone()
}

async fn replicas(cluster: &Cluster, name: &str) -> i32 {
    let deployments: Api<Deployment> = Api::default_namespaced(cluster.client.clone());
    deployments.get(name).await.unwrap().spec.unwrap().replicas.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_java_service_gets_replicas_when_callers_wait_and_keeps_them_while_nobody_knows() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let Some(cluster) = Cluster::start().await else { return };
    let server = Server::start(&["max_connections=130"]).await;
    let mut pages = Pages::start().await;
    let [mut deployment, scaler] = example(pages.port);
    deployment["spec"]["replicas"] = json!(2);
    cluster.apply(&deployment);
    cluster.apply(&scaler);
    let url = format!("--from-literal=url={}", server.url());
    cluster.server.said(&["create", "secret", "generic", "main-probe", &url]);
    cluster.apply(&json!({
        "apiVersion": "selvage.dev/v1alpha1", "kind": "ConnectionBudget", "metadata": {"name": "main", "namespace": "default"},
        "spec": {"database": {"urlSecretRef": {"name": "main-probe", "key": "url"}}, "reserve": 5},
    }));
    for pod in ["invoices-1", "invoices-2"] {
        runs(&cluster, pod, "invoices").await;
    }
    // A session of a pod, as a driver names it: its address tells whose it is.
    let mut session =
        PgConnection::connect(&format!("{}?application_name=PostgreSQL%20JDBC%20Driver", server.url())).await.unwrap();
    let _operator = operator(&cluster);

    let fresh = |status: &PoolScalerStatus| condition(status, "Ready").0 && condition(status, "MetricsFresh").0;
    let quiet = until(&cluster, "invoices", "metrics are read", |status| {
        fresh(status) && status.pool.as_ref().is_some_and(|pool| pool.in_use == 4)
    })
    .await;
    let pool = quiet.pool.clone().expect("sums");
    assert_eq!((quiet.replicas, quiet.ready_replicas, pool.open, pool.granted), (2, 2, 20, 20));
    assert!(condition(&quiet, "BudgetSatisfied").0, "{quiet:?}");
    let budgets: Api<ConnectionBudget> = Api::default_namespaced(cluster.client.clone());
    eventually(BOUND, "sessions are known by their address", async || {
        let status = budgets.get("main").await.unwrap().status.unwrap_or_default();
        let shown =
            status.holders.iter().filter(|holder| holder.reason.as_ref().is_some_and(|why| why.ends_with("shows 1")));
        // 130, 3 for superusers, 5 in reserve, 5 for others: none of them is a pod's. Nine places of ten.
        status.budget == Some(117) && (status.charged, status.set_aside) == (Some(20), Some(70)) && shown.count() == 1
    })
    .await;

    pages.say(PRESSED);
    let pressed = until(&cluster, "invoices", "callers wait", |status| {
        status.replicas == 3 && status.last_decision.as_ref().is_some_and(|last| last.class == "ReplicaBound")
    })
    .await;
    let last = pressed.last_decision.clone().expect("a decision");
    assert!(
        last.reason.contains("14 callers wait") && last.reason.contains("the pods' pools are their own"),
        "{}",
        last.reason
    );
    // Of 20 connections in use, at a target of 70 %, three pods of ten.
    assert_eq!(replicas(&cluster, "invoices").await, 3);
    let kept: Deployment = Api::default_namespaced(cluster.client.clone()).get("invoices").await.unwrap();
    let managers = kept.metadata.managed_fields.unwrap_or_default();
    assert!(
        managers.iter().any(|entry| entry.manager.as_deref() == Some("selvage-operator")
            && entry.subresource.as_deref() == Some("scale"))
    );

    // What isn't known changes nothing, however it isn't known.
    let stale = async |what: &str, words: &str| {
        let status = until(&cluster, "invoices", what, |status| {
            let (is_fresh, reason, message) = condition(status, "MetricsFresh");
            !is_fresh && reason == "ReportsMissing" && message.contains(words)
        })
        .await;
        let class = status.last_decision.as_ref().map(|last| last.class.clone());
        assert_eq!((class.as_deref(), status.desired_replicas), (Some("MetricsStale"), Some(3)), "{what}");
        assert_eq!(replicas(&cluster, "invoices").await, 3, "{what}");
    };
    pages.say(Says::Nothing);
    stale("no answer comes", "no answer within 2 s").await;
    pages.say(Says::Elsewhere);
    stale("it is elsewhere", "redirections aren't followed").await;
    pages.say(QUIET);
    until(&cluster, "invoices", "it is heard again", fresh).await;
    assert_eq!(replicas(&cluster, "invoices").await, 3, "calm takes its time");

    // Larger pools than were said are named, with what to do.
    pages.say(Says::Pools { size: 20, in_use: 20, waiting: 7 });
    let limited = until(&cluster, "invoices", "its pools are too large", |status| {
        condition(status, "ScalingLimited").2.contains("set floor and ceiling to 20")
    })
    .await;
    assert!(condition(&limited, "ScalingLimited").0);
    pages.die();
    stale("nobody listens", "refused").await;
    session.ping().await.unwrap();
}

/// A program with a real HikariCP and a real Micrometer, and the port that it serves on; nothing where there is no Java, which is said.
fn emitter() -> Option<(Process, u16)> {
    const SKIPPED: &str = "a real HikariCP is read";
    let (java, maven) = (installed(&["java"], SKIPPED)?, installed(&["mvn"], SKIPPED)?);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scraped");
    let written = tempfile::tempdir().unwrap();
    let (path, pom) = (written.path().join("path"), folder.join("pom.xml"));
    let mut command = Command::new(maven);
    command.args(["--quiet", "--batch-mode", "dependency:build-classpath", "--file"]).arg(pom);
    let found = command.arg(format!("-Dmdep.outputFile={}", path.display())).output().expect("Maven");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
    let libraries = std::fs::read_to_string(path).unwrap();
    let process = Process::start(Command::new(java).args(["-cp", &libraries]).arg(folder.join("Emitter.java")));
    let port = process.wait_for("its port", |line| line.strip_prefix("serves on port ")?.parse().ok());
    Some((process, port))
}

/// So many callers use the pool of ten from now on.
async fn call(port: u16, callers: u32) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET /callers?{callers} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

/// The same with the library itself, in the long form: what it serves is what the page says that the other tests serve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_hikaricp_is_read_and_its_service_scaled() {
    if std::env::var("SELVAGE_TESTS").as_deref() != Ok("full") {
        return;
    }
    let Some((_emitter, port)) = emitter() else { return };
    let Some(cluster) = Cluster::start().await else { return };
    let [mut deployment, scaler] = example(port);
    deployment["spec"]["replicas"] = json!(2);
    cluster.apply(&deployment);
    cluster.apply(&scaler);
    cluster.apply(&json!({
        "apiVersion": "selvage.dev/v1alpha1", "kind": "ConnectionBudget", "metadata": {"name": "main", "namespace": "default"},
        "spec": {"maxConnections": 130, "others": []},
    }));
    for pod in ["invoices-1", "invoices-2"] {
        runs(&cluster, pod, "invoices").await;
    }
    let _operator = operator(&cluster);
    until(&cluster, "invoices", "metrics are read", |status| condition(status, "MetricsFresh").0).await;
    call(port, 17).await;
    let pressed = until(&cluster, "invoices", "callers wait", |status| status.replicas > 2).await;
    let last = pressed.last_decision.expect("a decision");
    assert!(last.class == "ReplicaBound" && last.reason.contains("callers wait"), "{}", last.reason);
    call(port, 0).await;
    until(&cluster, "invoices", "nobody waits", |status| {
        status.pool.as_ref().is_some_and(|pool| (pool.in_use, pool.waiting) == (0, 0))
    })
    .await;
}

/// A kind that is scaled as an Argo Rollout is.
fn rollouts() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "rollouts.argoproj.io"},
        "spec": {
            "group": "argoproj.io", "scope": "Namespaced",
            "names": {"kind": "Rollout", "plural": "rollouts", "singular": "rollout"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.HPAReplicas",
                    "labelSelectorPath": ".status.selector",
                }},
            }],
        },
    })
}

/// A scaler of another target than the README's.
fn scaler_of(name: &str, target: &Value, port: u16) -> Value {
    let [_, mut scaler] = example(port);
    scaler["metadata"]["name"] = json!(name);
    scaler["spec"]["targetRef"] = target.clone();
    scaler
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_has_a_scale_is_scaled_and_no_pod_by_two() {
    let Some(cluster) = Cluster::start().await else { return };
    let pages = Pages::start().await;
    cluster.apply(&rollouts());
    cluster.server.said(&["wait", "--for=condition=Established", "--timeout=60s", "crd/rollouts.argoproj.io"]);
    cluster.apply(&json!({
        "apiVersion": "selvage.dev/v1alpha1", "kind": "ConnectionBudget", "metadata": {"name": "main", "namespace": "default"},
        "spec": {"maxConnections": 600, "others": []},
    }));
    let template = |app: &str| json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "it", "image": "it"}]}});
    let stateful = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "stock", "namespace": "default"},
        "spec": {"replicas": 2, "serviceName": "stock", "selector": {"matchLabels": {"app": "stock"}}, "template": template("stock")},
    });
    cluster.apply(&stateful);
    cluster.apply(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 2},
    }));
    // Its controller says which pods are its.
    let status = json!({"status": {"selector": "app=web", "HPAReplicas": 2}});
    cluster.server.said(&[
        "patch",
        "rollout",
        "web",
        "--subresource=status",
        "--type=merge",
        "--patch",
        &status.to_string(),
    ]);
    for (pod, app) in [("stock-0", "stock"), ("stock-1", "stock"), ("web-a", "web"), ("web-b", "web")] {
        runs(&cluster, pod, app).await;
    }
    let [to_stock, to_web] = [
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "stock"}),
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"}),
    ];
    cluster.apply(&scaler_of("stock", &to_stock, pages.port));
    cluster.apply(&scaler_of("web", &to_web, pages.port));
    let loom = json!({"apiVersion": "example.org/v1", "kind": "Loom", "name": "x"});
    cluster.apply(&scaler_of("loom", &loom, pages.port));
    let _operator = operator(&cluster);
    pages.say(PRESSED);
    for name in ["stock", "web"] {
        let grown = until(&cluster, name, "it is scaled", |status| status.replicas == 3).await;
        assert_eq!(grown.selector.as_deref(), Some(format!("app={name}").as_str()));
        assert!(condition(&grown, "Ready").0, "{grown:?}");
    }
    let rollouts = ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout"));
    let rollouts: Api<DynamicObject> = Api::default_namespaced_with(cluster.client.clone(), &rollouts);
    assert_eq!(rollouts.get("web").await.unwrap().data["spec"]["replicas"], 3);
    let unknown =
        until(&cluster, "loom", "a kind that isn't there is said", |status| !condition(status, "Ready").1.is_empty())
            .await;
    let (is_ready, reason, message) = condition(&unknown, "Ready");
    assert!(!is_ready && reason == "TargetUnknown", "{message}");
    assert_eq!(message, "the cluster has no Loom of example.org/v1");

    // Another one whose target selects the same pods.
    let [mut deployment, _] = example(pages.port);
    deployment["metadata"]["name"] = json!("copy");
    deployment["spec"]["selector"]["matchLabels"] = json!({"app": "stock"});
    deployment["spec"]["template"]["metadata"]["labels"] = json!({"app": "stock"});
    deployment["spec"]["replicas"] = json!(1);
    cluster.apply(&deployment);
    cluster.apply(&scaler_of("copy", &json!({"name": "copy"}), pages.port));
    for (name, other) in [("stock", "copy"), ("copy", "stock")] {
        let refused =
            until(&cluster, name, "both are refused", |status| condition(status, "Ready").1 == "TargetsOverlap").await;
        let message = condition(&refused, "Ready").2;
        assert!(message.contains(&format!("default/{other} selects the pod stock-")), "{message}");
    }
    assert_eq!(replicas(&cluster, "copy").await, 1, "who is refused scales nothing");
}
