//! What makes no sense is refused when the chart is rendered, in words that name the value and what to do.

use selvage_tests::helm::Values;
use serde_json::{Value, json};

use super::helm;

/// Values, and the words with which they are refused.
fn cases() -> Vec<(Value, &'static [&'static str])> {
    vec![
        // What isn't known.
        (json!({"catalog": {}}), &["catalog"]),
        (json!({"catalogue": {"replica": 3}}), &["replica"]),
        (json!({"web": {"pools": {}}}), &["pools"]),
        (json!({"checkout": {"pools": {"checkout-relays": {"limit": 2}}}}), &["checkout-relays"]),
        (json!({"cart": {"pools": {"cart": {"limits": 2}}}}), &["limits"]),
        (json!({"common": {"probes": {"ready": {}}}}), &["ready"]),
        // What is of the wrong kind, or out of its bounds.
        (json!({"catalogue": {"replicas": "two"}}), &["replicas"]),
        (json!({"catalogue": {"replicas": -1}}), &["replicas"]),
        (json!({"cart": {"pools": {"cart": {"limit": 0}}}}), &["limit"]),
        (json!({"cart": {"pools": {"cart": {"limit": 1001}}}}), &["limit"]),
        (json!({"checkout": {"options": {"placeBound": 29}}}), &["placeBound"]),
        (json!({"delivery": {"options": {"carrierStep": "soon"}}}), &["carrierStep"]),
        (json!({"shop": {"currency": "euro"}}), &["currency"]),
        (json!({"shop": {"faults": true}}), &["faults"]),
        (json!({"lameDuckMs": 8001}), &["lameDuckMs"]),
        (json!({"telemetry": {"sampleRatio": 7}}), &["sampleRatio"]),
        (json!({"telemetry": {"otlp": {"endpoint": "collector:4317"}}}), &["endpoint"]),
        (json!({"telemetry": {"monitor": {"kind": "Prometheus"}}}), &["kind"]),
        (json!({"database": {"kind": "mysql"}}), &["kind"]),
        (json!({"database": {"sslMode": "on"}}), &["sslMode"]),
        (json!({"catalogue": {"database": {"role": "catalogue; drop"}}}), &["role"]),
        (json!({"database": {"host": "db.example.org/x?y"}}), &["host"]),
        (json!({"cart": {"database": {"name": "bags of all"}}}), &["name"]),
        (json!({"image": {"tag": "latest"}}), &["tag"]),
        (json!({"image": {"digests": {"cart": "sha256:1"}}}), &["cart"]),
        (json!({"common": {"podDisruptionBudget": {"maxUnavailable": "half"}}}), &["maxUnavailable"]),
        (json!({"common": {"strategy": {"maxSurge": "25%"}}}), &["maxSurge"]),
        (json!({"budget": {"servers": {"Main": {}}}}), &["Main"]),
        (json!({"postgres": {"sharedBuffers": "much"}}), &["sharedBuffers"]),
        // What makes sense by itself, and not with the rest.
        (
            json!({"cart": {"pools": {"cart": {"floor": 5}}}}),
            &["cart.pools.cart: floor ≤ limit ≤ ceiling must hold, and 5 ≤ 4 ≤ 4 doesn't"],
        ),
        (
            json!({"cart": {"pools": {"cart": {"ceiling": 3}}}}),
            &["cart.pools.cart: floor ≤ limit ≤ ceiling must hold, and 2 ≤ 4 ≤ 3 doesn't"],
        ),
        (
            json!({"cart": {"pools": {"cart": {"maxWaitMs": 3000}}}}),
            &["callers need an answer within 5000 ms", "maxWaitMs 3000 + statementTimeoutMs 2000 = 5000 is not less"],
        ),
        (
            json!({"catalogue": {"scaledBy": "autoscaler"}}),
            &["catalogue.scaledBy", "Kubernetes would set 1", "catalogue.replicasHandedOver: true", "README.md"],
        ),
        (
            json!({"cart": {"scaledBy": "handover"}}),
            &["cart.scaledBy: handover leaves the Deployment out", "annotated"],
        ),
        (json!({"web": {"maxReplicas": 1}}), &["web.maxReplicas: 1 is below replicas: 2"]),
        (json!({"common": {"strategy": {"maxSurge": 0}}}), &["no pod could ever be replaced"]),
        (
            json!({"cart": {"database": {"server": "second"}}}),
            &["cart.database.server", "no 'second'", "there are main"],
        ),
        (
            json!({"database": {"secretKeys": {"url": "", "password": "password"}}}),
            &["catalogue.database: nothing says where it is", "database.host"],
        ),
        (
            json!({"database": {"host": "db.example.org", "secretKeys": {"url": ""}}}),
            &["database.secretKeys.password: without url it must name the key with the password"],
        ),
        (json!({"samples": {"enabled": true}}), &["samples.enabled", "selvage import"]),
        (
            json!({"ingress": {"enabled": true, "tls": [{"secretName": "t"}]}}),
            &["ingress.tls", "web.options.secureCookies: true"],
        ),
        (json!({"httpRoute": {"enabled": true}}), &["httpRoute.parentRefs: name the gateway"]),
        (json!({"catalogue": {"replicas": 3}}), &["the pools don't fit without an operator", "95 > 90", "5 too many"]),
        (
            json!({"budget": {"withOperator": true}, "operator": {"enabled": true}}),
            &["budget.servers.main.probe.secret: the operator has to see", "a role that has pg_monitor"],
        ),
        (
            json!({"budget": {"withOperator": true}, "cart": {"maxReplicas": 40}}),
            &["not even an operator could keep within the budget", "(40 + 1 + 40) × 2 = 162"],
        ),
    ]
}

#[test]
fn what_makes_no_sense_is_refused_with_its_name() {
    let Some(helm) = helm() else { return };
    for (values, words) in cases() {
        let error = helm.template(&Values::none().with(&values));
        let error = error.map(drop).expect_err(&format!("{values} should be refused"));
        for word in words {
            assert!(error.contains(word), "{values}: {word} isn't in:\n{error}");
        }
    }
}

/// An umbrella chart may hold it: what Helm itself puts into a subchart's values is let through.
#[test]
fn an_umbrella_chart_can_hold_it() {
    let Some(helm) = helm() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let umbrella = folder.path().join("umbrella");
    std::fs::create_dir_all(umbrella.join("charts")).expect("a folder");
    std::os::unix::fs::symlink(selvage_tests::helm::chart(), umbrella.join("charts/selvage")).expect("a link");
    let write = |name: &str, text: &str| std::fs::write(umbrella.join(name), text).expect("it is written");
    write(
        "Chart.yaml",
        "apiVersion: v2\nname: umbrella\nversion: 0.0.1\n\
         dependencies: [{name: selvage, version: '>=0.0.0', condition: selvage.enabled}]\n",
    );
    write(
        "values.yaml",
        "global: {imageRegistry: mirror.example.org, imagePullSecrets: [{name: credentials}], cluster: east}\n\
         selvage: {enabled: true}\n",
    );
    let path = umbrella.to_str().expect("a path");
    let render = |extra: &[&str]| {
        let version = ["--kube-version", selvage_tests::helm::KUBERNETES];
        let output = helm.run(&[&["template", "shop", path][..], &version, extra].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        selvage_tests::helm::Objects::read(&String::from_utf8_lossy(&output.stdout))
    };
    let objects = render(&[]);
    for pod in objects.pods() {
        assert_eq!(pod.spec["imagePullSecrets"], json!([{"name": "credentials"}]), "{}", pod.name);
        let mut images = pod.containers().map(|container| container["image"].as_str().unwrap_or_default());
        assert!(images.all(|image| image.starts_with("mirror.example.org/")), "{}", pod.name);
    }
    assert!(render(&["--set", "selvage.enabled=false"]).all().is_empty());
}
