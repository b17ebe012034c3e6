//! What the pods hold in memory, as the nodes' kubelets count it.

use selvage_tests::release::Release;
use serde_json::Value;

/// Prints it for each container of the release.
pub(super) fn tell(release: &Release<'_>) {
    println!("{:45} {:12} {:>5}", "pod", "container", "MiB");
    for node in ["node1", "node2"] {
        let summary = release.kubectl(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/stats/summary")]);
        let summary: Value = serde_json::from_str(&summary).expect("JSON");
        let pods = summary["pods"].as_array().into_iter().flatten();
        for pod in pods.filter(|pod| pod["podRef"]["namespace"] == release.namespace) {
            for container in pod["containers"].as_array().into_iter().flatten() {
                // A pod that has just ended has none any more.
                let Some(bytes) = container["memory"]["workingSetBytes"].as_u64() else { continue };
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (pod, container) = (text(&pod["podRef"]["name"]), text(&container["name"]));
                println!("{pod:45} {container:12} {:>5}", bytes / (1024 * 1024));
            }
        }
    }
}
