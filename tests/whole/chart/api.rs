//! The chart at a real API server: what it takes, what it makes of it, and what an upgrade does to what runs.

use selvage_tests::api_server::{ApiServer, said};
use selvage_tests::cluster::top;
use selvage_tests::helm::{Helm, Objects, name};
use selvage_tests::process::Process;
use serde_json::{Value, json};

use super::{SKIPPED, all_values, files, helm};

/// Kinds that an API server doesn't know by itself.
const FOREIGN: [&str; 8] = [
    "PodMonitor",
    "ServiceMonitor",
    "PrometheusRule",
    "HTTPRoute",
    "Cluster",
    "Database",
    "ConnectionBudget",
    "PoolScaler",
];

/// The objects as one, in a namespace.
fn as_list(objects: &Objects, namespace: &str) -> String {
    let known = objects.all().iter().filter(|object| FOREIGN.iter().all(|kind| object["kind"] != *kind));
    let items: Vec<_> = known
        .map(|object| {
            let mut object = object.clone();
            // What grants rights in the whole cluster is in no namespace.
            if !object["kind"].as_str().is_some_and(|kind| kind.starts_with("Cluster")) {
                object["metadata"]["namespace"] = namespace.into();
            }
            object
        })
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A namespace that warns of all that "restricted" forbids, and refuses such pods.
fn namespace(server: &ApiServer, namespace: &str) {
    server.said(&["create", "namespace", namespace]);
    let levels = ["warn", "enforce"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
    server.said(&["label", "namespace", namespace, &levels[0], &levels[1]]);
}

/// Applies, and fails at a warning too: a field that isn't known, a pod that would be refused.
fn apply(server: &ApiServer, list: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("list.json");
    std::fs::write(&path, list).expect("it is written");
    let path = path.to_str().expect("a path");
    let output =
        server.kubectl(&["apply", "--server-side", "--validate=strict", "-f", path]).output().expect("kubectl");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaint.is_empty(), "{complaint}");
}

/// Lists that are one value to the API server: an entry that it completes is another list.
const WHOLE: [&str; 6] = ["volumeClaimTemplates", "ingress", "egress", "tolerations", "subjects", "rules"];

/// Where what is kept isn't what was said.
fn differences(path: &str, said: &Value, kept: &Value, is_whole: bool, found: &mut Vec<String>) {
    match (said, kept) {
        (Value::Object(said), Value::Object(kept)) => {
            for (key, value) in said {
                let below = format!("{path}.{key}");
                differences(
                    &below,
                    value,
                    kept.get(key).unwrap_or(&Value::Null),
                    is_whole || WHOLE.contains(&key.as_str()),
                    found,
                );
            }
            // The state of a volume that was claimed isn't anybody's wish.
            let added = kept.keys().filter(|key| !said.contains_key(*key) && *key != "status");
            found.extend(added.filter(|_| is_whole).map(|key| format!("{path}: {key} was added")));
        }
        (Value::Array(said), Value::Array(kept)) => {
            if said.len() != kept.len() {
                found.push(format!("{path}: {} entries became {}", said.len(), kept.len()));
            }
            for (index, (said, kept)) in said.iter().zip(kept).enumerate() {
                differences(&format!("{path}[{index}]"), said, kept, is_whole, found);
            }
        }
        _ if said == kept => {}
        _ => found.push(format!("{path}: {said} became {kept}")),
    }
}

/// Applies objects in a namespace, and fails where one isn't kept as it was said.
fn kept_as_said(server: &ApiServer, namespace: &str, list: &str) {
    apply(server, list);
    let list: Value = serde_json::from_str(list).expect("JSON");
    let mut found = Vec::new();
    for object in list["items"].as_array().expect("objects") {
        let kind = object["kind"].as_str().expect("a kind");
        let group =
            object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
        let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let kept = server.said(&["get", &kind, name(object), "--namespace", namespace, "-o", "json"]);
        let kept: Value = serde_json::from_str(&kept).expect("JSON");
        differences(&format!("{namespace}: {kind}/{}", name(object)), object, &kept, false, &mut found);
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Every object is taken, strictly, without a warning, and kept as it was said: a tool that compares finds no difference.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_api_server_takes_every_object_and_keeps_it_as_it_is() {
    let (Some(helm), Some(server)) = (helm(), ApiServer::start("the chart at an API server").await) else { return };
    server.said(&["create", "priorityclass", "shop", "--value=1000"]);
    for (about, values) in all_values() {
        namespace(&server, about);
        let objects = helm.objects(&values);
        assert!(objects.all().len() >= 40, "{about}: {}", objects.all().len());
        kept_as_said(&server, about, &as_list(&objects, about));
    }
    // What a development cluster has beside the chart, in the namespace that its comments name.
    for path in files(&top().join("k8s/development")) {
        let file = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let within = if file == "prometheus" { "monitoring" } else { file };
        namespace(&server, within);
        let objects = Objects::read(&std::fs::read_to_string(&path).expect("a manifest"));
        assert!(objects.all().len() >= 3, "{}", path.display());
        kept_as_said(&server, within, &as_list(&objects, within));
    }
}

/// A release of the chart, at a server.
struct Release<'a> {
    helm: &'a Helm,
    server: &'a ApiServer,
    namespace: String,
}

impl<'a> Release<'a> {
    fn install(helm: &'a Helm, server: &'a ApiServer, named: &str, arguments: &[&str]) -> Self {
        namespace(server, named);
        let it = Self { helm, server, namespace: named.to_owned() };
        it.run("install", &[&["shop", "."][..], arguments].concat());
        it
    }

    fn run(&self, command: &str, arguments: &[&str]) {
        let kubeconfig = self.server.kubeconfig.to_str().expect("a path");
        let always = [command, "--kubeconfig", kubeconfig, "--namespace", &self.namespace];
        let output = self.helm.run(&[&always[..], arguments].concat());
        said(output, &format!("helm {command} {arguments:?}"));
    }

    fn upgrade(&self, values: &str) {
        self.run("upgrade", &["shop", ".", "--reuse-values", "--set", values]);
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.server.said(&[&["--namespace", &self.namespace][..], arguments].concat())
    }

    fn replicas(&self) -> String {
        self.kubectl(&["get", "deployment", DEPLOYMENT, "-o", "jsonpath={.spec.replicas}"])
    }
}

const DEPLOYMENT: &str = "shop-selvage-catalogue";
const ROOM: &str = "catalogue.replicas=5,budget.servers.main.maxConnections=400";

/// The steps of the chart's README, by each Helm: the number is five throughout, and then the autoscaler's. Without them it
/// falls to one, which is why the chart refuses the switch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_handed_over_without_passing_through_one() {
    let helms = Helm::find_all(SKIPPED);
    let Some(server) = ApiServer::start("the chart at an API server").await else { return };
    for (index, helm) in helms.iter().enumerate() {
        let plain = Release::install(helm, &server, &format!("plain-{index}"), &["--set", ROOM]);
        plain.upgrade("catalogue.scaledBy=autoscaler,catalogue.replicasHandedOver=true");
        assert_eq!(plain.replicas(), "1", "the chart needn't refuse it any more");

        let release = Release::install(helm, &server, &format!("steps-{index}"), &["--set", ROOM]);
        let mut watch =
            server.kubectl(&["--namespace", &release.namespace, "get", "deployment", DEPLOYMENT, "--watch"]);
        watch.args(["--output", "jsonpath=replicas {.spec.replicas}{\"\\n\"}"]);
        let watch = Process::start(&mut watch);
        watch.wait_for("how many there are", |line| (line == "replicas 5").then_some(()));
        let patch = format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {DEPLOYMENT},              annotations: {{helm.sh/resource-policy: keep}}}}, spec: {{replicas: 5}}}}"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("owner.yaml");
        std::fs::write(&path, patch).expect("it is written");
        let path = path.to_str().expect("a path");
        release.kubectl(&["apply", "--server-side", "--field-manager=handover", "-f", path]);
        release.upgrade("catalogue.replicasHandedOver=true,catalogue.scaledBy=handover");
        assert_eq!(release.replicas(), "5");
        release.upgrade("catalogue.scaledBy=autoscaler");
        assert_eq!(release.replicas(), "5");
        release.kubectl(&["annotate", "deployment", DEPLOYMENT, "helm.sh/resource-policy-"]);
        // The autoscaler's from now on, whatever is upgraded or rolled back.
        release.kubectl(&["scale", "deployment", DEPLOYMENT, "--replicas=7"]);
        release.upgrade("catalogue.options.threads=2");
        release.run("rollback", &["shop"]);
        assert_eq!(release.replicas(), "7");
        watch.wait_for("that there are seven", |line| (line == "replicas 7").then_some(()));
        let seen = watch.output();
        let others = seen.lines().filter(|line| !["replicas 5", "replicas 7"].contains(line));
        assert_eq!(others.count(), 0, "{seen}");
    }
}

/// A Job that is done stays, whatever else is upgraded; another image makes others; a roll-back brings the first ones back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_are_done_hold_up_no_upgrade() {
    let helms = Helm::find_all(SKIPPED);
    let Some(server) = ApiServer::start("the chart at an API server").await else { return };
    for (index, helm) in helms.iter().enumerate() {
        let values = ["--values", "ci/playground-values.yaml"];
        let release = Release::install(helm, &server, &format!("jobs-{index}"), &values);
        let jobs = || {
            let names = release.kubectl(&["get", "jobs", "-o", "jsonpath={.items[*].metadata.uid}"]);
            let mut ids: Vec<_> = names.split_whitespace().map(ToOwned::to_owned).collect();
            ids.sort();
            ids
        };
        let first = jobs();
        assert_eq!(first.len(), 6);
        let (from, to) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        let condition =
            |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": to, "lastTransitionTime": to});
        let conditions = ["SuccessCriteriaMet", "Complete"].map(condition);
        let done = json!({"status": {
            "startTime": from, "completionTime": to, "succeeded": 1, "conditions": conditions,
        }});
        for job in release.kubectl(&["get", "jobs", "-o", "name"]).lines() {
            let done = done.to_string();
            release.kubectl(&["patch", job, "--subresource=status", "--type=merge", "--patch", &done]);
        }
        release.upgrade("web.replicas=2");
        assert_eq!(jobs(), first, "the same Jobs, done");
        release.upgrade("image.tag=v2");
        let second = jobs();
        assert!(second.len() == 6 && second.iter().all(|id| !first.contains(id)), "each has another image");
        release.run("rollback", &["shop", "1"]);
        assert_eq!(jobs().len(), 6);
        release.run("uninstall", &["shop"]);
        let left = release.kubectl(&["get", "all,configmaps,networkpolicies,roles", "-o", "name"]);
        let left: Vec<_> = left.lines().filter(|line| !line.contains("kube-root-ca")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// What is told apart, and what isn't.
#[test]
fn a_difference_is_one_that_a_tool_would_show() {
    let differ = |said: Value, kept: Value| {
        let mut found = Vec::new();
        differences("", &said, &kept, false, &mut found);
        found
    };
    assert!(differ(json!({"spec": {"a": 1}}), json!({"spec": {"a": 1, "b": 2}})).is_empty(), "the API server may add");
    assert_eq!(differ(json!({"a": "0.5"}), json!({"a": "500m"})).len(), 1);
    assert_eq!(differ(json!({"a": 1}), json!({})).len(), 1);
    assert_eq!(differ(json!({"a": [1]}), json!({"a": [1, 2]})).len(), 1);
    let (said, kept) = (
        json!({"ingress": [{"ports": [{"port": 1}]}]}),
        json!({"ingress": [{"ports": [{"port": 1, "protocol": "TCP"}]}]}),
    );
    assert_eq!(differ(said, kept), [".ingress[0].ports[0]: protocol was added"]);
}
