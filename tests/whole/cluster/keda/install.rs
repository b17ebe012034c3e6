//! KEDA on the cluster, as its own manifests say, with a Prometheus that reads the shop's pools each second.

use std::process::Command;

use selvage_tests::cluster::{Cluster, run, top};
use selvage_tests::release::Release;
use serde_json::{Value, json};

use super::systems::{SCALED, Scaled};
use crate::cluster::build;

/// KEDA's own namespace, which its manifests name.
const KEDA: &str = "keda";
/// Where this Prometheus is.
const MEASURING: &str = "keda-prometheus";
/// KEDA makes its certificates at its first start, and sees them when the kubelet has mounted them: up to a minute and a half.
const READY: &str = "--timeout=240s";
/// What KEDA's release has as its images and their programs, and what stands for it here.
const REPLACED: [(&str, &str); 5] = [
    ("ghcr.io/kedacore/keda-metrics-apiserver:main", "localhost/keda-adapter:test"),
    ("ghcr.io/kedacore/keda:main", "localhost/keda-operator:test"),
    ("- /keda-adapter\n", "- /usr/bin/keda-adapter\n"),
    ("- /keda\n", "- /usr/bin/keda-operator\n"),
    ("imagePullPolicy: Always", "imagePullPolicy: IfNotPresent"),
];

/// KEDA and its Prometheus, gone with the value.
pub(super) struct Keda<'c> {
    cluster: &'c Cluster,
}

/// KEDA's manifests, without its admission webhooks: the release's own, from the module that its programs are built from.
fn manifests(cluster: &Cluster) -> String {
    let mut download = Command::new("go");
    download.args(["mod", "download", "-json", "github.com/kedacore/keda/v2"]);
    let module = run(download.current_dir(top().join("tests/tools/keda")));
    let module: Value = serde_json::from_str(&module).expect("JSON");
    let folder = format!("{}/config/minimal", module["Dir"].as_str().expect("the module's folder"));
    let manifests = cluster.kubectl(&["kustomize", &folder]);
    let replaced = REPLACED.iter().fold(manifests, |manifests, (theirs, ours)| {
        assert!(manifests.contains(theirs), "KEDA's manifests have no {theirs}");
        manifests.replace(theirs, ours)
    });
    // There are no webhooks whose certificate it could write.
    let rotates = "- --enable-cert-rotation=true\n";
    let (before, after) = replaced.split_once(rotates).expect("it makes its certificates");
    format!("{before}{rotates}        - --enable-webhook-patching=false\n{after}")
}

impl<'c> Keda<'c> {
    /// Installs both, and waits until the API server can ask KEDA for metrics. Prometheus finds the pods of the shop in these
    /// namespaces, whenever they come.
    pub(super) fn install(cluster: &'c Cluster, namespaces: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = ["keda-operator", "keda-adapter"];
        build(folder.path(), &names, "localhost");
        cluster.load(&names.map(|name| folder.path().join(format!("{name}.tar"))));
        cluster.apply(&manifests(cluster));
        let keda = Self { cluster };
        keda.prometheus(namespaces);
        for deployment in ["deployment/keda-operator", "deployment/keda-metrics-apiserver"] {
            cluster.kubectl(&["--namespace", KEDA, "rollout", "status", deployment, READY]);
        }
        cluster.kubectl(&["wait", "--for=condition=Available", "apiservice/v1beta1.external.metrics.k8s.io", READY]);
        keda
    }

    /// The development cluster's Prometheus. Debian's doesn't know Kubernetes: it asks for the addresses of the pods that are
    /// ready by the names of the services, each second.
    fn prometheus(&self, namespaces: &[&str]) {
        let path = top().join("k8s/development/prometheus.yaml");
        let manifest = std::fs::read_to_string(&path).expect("a manifest");
        let (before, rest) = manifest.split_once("        kubernetes_sd_configs:").expect("how it finds pods");
        let (_, after) = rest.split_once("---\n").expect("the next object");
        let found = SCALED.map(|scaled| {
            let names: Vec<_> = namespaces.iter().map(|namespace| scaled.host(namespace)).collect();
            let from = json!({"names": names, "type": "A", "port": scaled.metrics, "refresh_interval": "1s"});
            format!("          - {from}\n")
        });
        let found = found.concat();
        let named = json!({"source_labels": ["__meta_dns_name"], "target_label": "from"});
        let manifest = format!(
            "{before}        dns_sd_configs:\n{found}        relabel_configs:\n          - {named}\n---\n{after}"
        );
        let (before, rest) = manifest.split_once("image: prom/prometheus:").expect("its image");
        let (_, after) = rest.split_once('\n').expect("a line");
        let manifest = format!("{before}image: localhost/prometheus:test\n{after}");
        self.cluster.kubectl(&["create", "namespace", MEASURING]);
        self.cluster
            .apply_in(MEASURING, &manifest.replace("namespace: monitoring", &format!("namespace: {MEASURING}")));
        self.cluster.kubectl(&["--namespace", MEASURING, "rollout", "status", "deployment/prometheus", READY]);
    }

    /// Has KEDA scale this service of the release to have `target` of its connections in use or waited for in each pod.
    pub(super) fn scale(release: &Release<'_>, scaled: &Scaled, target: f64) {
        let from = scaled.host(&release.namespace);
        let mean = |metric: &str| format!("sum(avg_over_time({metric}[3s]))");
        let used = mean(&format!(r#"db_client_connection_count{{from="{from}",db_client_connection_state="used"}}"#));
        let waiting = mean(&format!(r#"db_client_connection_pending_requests{{from="{from}"}}"#));
        let object = json!({
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": scaled.service},
            "spec": {
                "scaleTargetRef": {"name": release.name(scaled.service)},
                "pollingInterval": 1,
                "minReplicaCount": scaled.least,
                "maxReplicaCount": scaled.most,
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "policies": [{"type": "Pods", "value": 8, "periodSeconds": 1}],
                }}}},
                "triggers": [{
                    "type": "prometheus",
                    "metricType": "AverageValue",
                    "metadata": {
                        "serverAddress": format!("http://prometheus.{MEASURING}.svc.cluster.local:9090"),
                        "query": format!("{used} + {waiting}"),
                        "threshold": format!("{target}"),
                    },
                }],
            },
        });
        release.cluster.apply_in(&release.namespace, &object.to_string());
    }
}

impl Drop for Keda<'_> {
    fn drop(&mut self) {
        // Without the first a namespace could never be deleted: the API server would look for what may be in it at KEDA.
        let what: [&[&str]; 3] = [
            &["apiservice/v1beta1.external.metrics.k8s.io"],
            &["namespace", KEDA, MEASURING],
            &["customresourcedefinitions", "--selector=app.kubernetes.io/part-of=keda-operator"],
        ];
        for what in what {
            let all = [&["delete", "--ignore-not-found", "--wait=false"], what].concat();
            let _ = self.cluster.program("kubectl", &all).output();
        }
    }
}
