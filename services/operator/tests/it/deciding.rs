//! Two replicas of the operator, a process with a pool, and who may see what was decided about it.

use std::process::Command;
use std::time::Duration;

use selvage_broker::{Broker, Pod, Settings};
use selvage_pool::{Config, Pool};
use selvage_proto::pool::v1::decisions_client::DecisionsClient;
use selvage_proto::pool::v1::{Budget, ListBudgetsRequest, Scaler, WatchBudgetsRequest};
use selvage_rpc::with_token;
use selvage_testkit::{eventually, free_port};
use selvage_tests::process::Process;
use serde_json::json;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::broker::fixture::database;
use crate::cluster::Cluster;

const BOUND: Duration = Duration::from_secs(60);
const BOOT: &str = "0a1b2c3d";

/// A replica, and where its rpcs are.
struct Replica {
    _process: Process,
    address: String,
}

impl Replica {
    fn start(cluster: &Cluster, name: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_selvage-operator"));
        command
            .args(["serve", "--listen", &address, "--metrics-listen", "127.0.0.1:0", "--own-namespace", "default"])
            .args(["--pod-name", name, "--pod-address", "127.0.0.1"])
            .env("KUBECONFIG", &cluster.server.kubeconfig);
        let process = Process::start(&mut command);
        process.wait_for("that it serves", |line| line.contains("\"serving\"").then_some(()));
        Self { _process: process, address }
    }

    async fn client(&self) -> DecisionsClient<Channel> {
        let endpoint = selvage_rpc::endpoint(format!("http://{}", self.address)).unwrap();
        DecisionsClient::new(endpoint.connect().await.unwrap())
    }

    async fn budgets(&self, token: &str, namespace: &str) -> Result<Vec<Budget>, Status> {
        let request = ListBudgetsRequest { namespace: namespace.to_owned(), ..ListBudgetsRequest::default() };
        let request = if token.is_empty() { Request::new(request) } else { with_token(token, request) };
        Ok(self.client().await.list_budgets(request).await?.into_inner().budgets)
    }

    async fn code(&self, token: &str, namespace: &str) -> Code {
        self.budgets(token, namespace).await.err().map_or(Code::Ok, |status| status.code())
    }
}

/// A Deployment, its pod, which is ready, and what is asked for both; the pod's UID.
fn workload(cluster: &Cluster, url: &str) -> String {
    let said = |arguments: &[&str]| cluster.server.said(arguments).trim().to_owned();
    said(&["create", "serviceaccount", "cart"]);
    said(&["create", "secret", "generic", "url", &format!("--from-literal=url={url}")]);
    let labels = json!({"app": "cart"});
    let spec = json!({"serviceAccountName": "cart", "containers": [{"name": "it", "image": "it"}]});
    cluster.apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart", "namespace": "default"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }));
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cart-1", "namespace": "default", "labels": labels}, "spec": spec,
    });
    pod["spec"]["nodeName"] = json!("node-1");
    cluster.apply(&pod);
    let ready = r#"{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}"#;
    said(&["patch", "pod", "cart-1", "--subresource=status", "--type=merge", "--patch", ready]);
    let object = |kind: &str, name: &str, spec: serde_json::Value| json!({"apiVersion": "selvage.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec});
    let database = json!({"urlSecretRef": {"name": "url", "key": "url"}});
    cluster.apply(&object("ConnectionBudget", "main", json!({"database": database})));
    let pool = json!({"floor": 2, "ceiling": 8});
    let scaler = json!({"targetRef": {"name": "cart"}, "budgetRef": {"name": "main"}, "maxReplicas": 2, "pool": pool});
    cluster.apply(&object("PoolScaler", "cart", scaler));
    said(&["get", "pod", "cart-1", "--output=jsonpath={.metadata.uid}"])
}

fn scaler(budgets: &[Budget]) -> Option<&Scaler> {
    budgets.iter().find(|budget| budget.name == "main")?.scalers.iter().find(|scaler| scaler.name == "cart")
}

/// Its pod has what it was granted, and something was decided.
fn is_granted(scaler: &Scaler) -> bool {
    let has = |pod: &selvage_proto::pool::v1::Pod| pod.granted.is_some() && pod.limit == pod.granted;
    scaler.decision.is_some() && scaler.pods.iter().any(|pod| pod.boot_id == BOOT && has(pod))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_list_scalers_sees_what_was_decided_at_any_replica_and_nobody_else_does() {
    let Some(cluster) = Cluster::start().await else { return };
    let Some((database, _observer)) = database().await else { return };
    let uid = workload(&cluster, database.url());
    for account in ["reader", "nobody"] {
        cluster.server.said(&["create", "serviceaccount", account]);
    }
    cluster.server.said(&["create", "role", "reader", "--verb=list", "--resource=poolscalers.selvage.dev"]);
    cluster.server.said(&["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader"]);
    let token = |account: &str, more: &[&str]| {
        let made = cluster.server.said(&[&["create", "token", account][..], more].concat());
        made.trim().to_owned()
    };
    let for_it = ["--audience", "selvage-operator"];
    let [reader, nobody] = ["reader", "nobody"].map(|account| token(account, &for_it));
    let replicas = [Replica::start(&cluster, "operator-1"), Replica::start(&cluster, "operator-2")];

    // A process whose pool says that it needs more than the scaler allows.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let bound = ["--audience", "selvage-operator", "--bound-object-kind=Pod", "--bound-object-name=cart-1"];
    std::fs::write(&file, token("cart", &bound)).unwrap();
    let pod = Pod { namespace: "default".into(), name: "cart-1".into(), uid };
    let both = replicas.each_ref().map(|replica| replica.address.as_str()).join(",");
    let mut settings = Settings::new(both.parse().unwrap(), file, "main", pod);
    settings.boot_id = BOOT.to_owned();
    let (broker, client) = Broker::new(settings);
    let client = tokio::spawn(client);
    let config = Config {
        floor: Some(3),
        limit: 40,
        awaits_grant: true,
        application_name: format!("{BOOT}/cart-1"),
        ..Config::new("cart", database.url())
    };
    let pool = Pool::unopened(config).unwrap();
    broker.join(&pool).unwrap();

    for replica in &replicas {
        eventually(BOUND, "the decision and the grant are shown", async || {
            let budgets = replica.budgets(&reader, "default").await.unwrap_or_default();
            scaler(&budgets).is_some_and(is_granted)
        })
        .await;
    }
    let mut seen = Vec::new();
    for replica in &replicas {
        let budgets = replica.budgets(&reader, "default").await.unwrap();
        let main = budgets.iter().find(|budget| budget.name == "main").unwrap();
        assert!(main.budget > 0 && main.charged >= 3 && main.probe.is_some(), "{main:?}");
        let cart = scaler(&budgets).unwrap();
        let decision = cart.decision.as_ref().unwrap();
        assert!(
            !decision.class.is_empty() && !decision.reason.is_empty() && decision.r#final.is_some(),
            "{decision:?}"
        );
        let pod = cart.pods.iter().find(|pod| pod.boot_id == BOOT).unwrap();
        let granted = pod.granted.unwrap();
        assert!((3..=8).contains(&granted) && pod.open <= granted && !pod.standing.is_empty(), "{pod:?}");
        assert!(pod.report_age.is_some() && pod.name == "cart-1", "{pod:?}");
        // What it asked for in excess of its scaler is said, with the pod and the remedy.
        let bounds = cart.conditions.iter().find(|condition| condition.r#type == "PodsWithinBounds").unwrap();
        assert_eq!((bounds.status.as_str(), bounds.reason.as_str()), ("False", "FloorTooHigh"));
        assert!(bounds.message.contains("cart-1") && bounds.message.contains("raise that to 3"), "{}", bounds.message);
        seen.push((main.leader.clone(), main.epoch));
    }
    assert_eq!(seen[0], seen[1], "who doesn't lead has asked the leader");

    for replica in &replicas {
        assert_eq!(replica.code("", "default").await, Code::Unauthenticated);
        assert_eq!(replica.code("forged", "default").await, Code::Unauthenticated);
        assert_eq!(replica.code(&token("reader", &[]), "default").await, Code::Unauthenticated, "it is for others");
        assert_eq!(replica.code(&nobody, "default").await, Code::PermissionDenied);
        assert_eq!(replica.code(&reader, "").await, Code::PermissionDenied, "it may in one namespace");
        assert_eq!(replica.code(&reader, "kube-system").await, Code::PermissionDenied);
        let request = with_token(&reader, WatchBudgetsRequest { namespace: "default".into() });
        let mut watched = replica.client().await.watch_budgets(request).await.unwrap().into_inner();
        let mut times = Vec::new();
        for _ in 0..2 {
            let said = tokio::time::timeout(BOUND, watched.message()).await.unwrap().unwrap().unwrap();
            times.push(said.budgets[0].time.unwrap());
        }
        assert!(
            (times[0].seconds, times[0].nanos) < (times[1].seconds, times[1].nanos),
            "it is decided anew: {times:?}"
        );
    }
    client.abort();
    // kubectl tells it in a line.
    let line = cluster.server.said(&["get", "poolscalers"]);
    println!("{line}");
    assert!(line.contains("STATE") && line.lines().any(|line| line.starts_with("cart") && line.contains("Enforce")));
}
