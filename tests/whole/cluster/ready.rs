//! The cluster itself: what the shop's tests rely on.

use super::shared;

/// The address that the API server's own Service has, as a pod learns it.
const NAMED: &str = "kubernetes.default.svc.cluster.local";

#[test]
fn two_nodes_are_ready_and_a_pod_on_each_finds_services_by_name() {
    let Some(cluster) = shared() else { return };
    let nodes = cluster.get(&["nodes"]);
    let names: Vec<_> = nodes["items"].as_array().unwrap().iter().map(|node| &node["metadata"]["name"]).collect();
    assert_eq!(names, ["node1", "node2"]);
    cluster.kubectl(&["create", "namespace", "ready"]);
    for node in ["node1", "node2"] {
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: asks-on-{node}, namespace: ready}}\nspec:\n  nodeName: {node}\n  \
             restartPolicy: Never\n  containers:\n  - {{name: asks, image: 'localhost/postgres:test', \
             command: [getent, ahostsv4, {NAMED}]}}\n"
        );
        cluster.apply(&pod);
    }
    let address = cluster.kubectl(&["get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"]);
    for node in ["node1", "node2"] {
        let pod = format!("pod/asks-on-{node}");
        cluster.kubectl(&["-n", "ready", "wait", "--for=jsonpath={.status.phase}=Succeeded", &pod, "--timeout=60s"]);
        let said = cluster.kubectl(&["-n", "ready", "logs", &pod]);
        assert!(said.starts_with(&address), "a pod on {node} takes {NAMED} to be at {said}, not at {address}");
    }
    cluster.kubectl(&["delete", "namespace", "ready"]);
}

#[test]
fn a_pod_that_may_do_more_than_is_safe_is_refused_where_only_restricted_ones_may_run() {
    let Some(cluster) = shared() else { return };
    cluster.kubectl(&["create", "namespace", "restricted"]);
    cluster.kubectl(&["label", "namespace", "restricted", "pod-security.kubernetes.io/enforce=restricted"]);
    let run = ["-n", "restricted", "run", "root", "--image=localhost/postgres:test", "--privileged"];
    let refused = cluster.program("kubectl", &run).output().unwrap();
    assert!(!refused.status.success());
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(why.contains("violates PodSecurity \"restricted"), "{why}");
    cluster.kubectl(&["delete", "namespace", "restricted"]);
}
