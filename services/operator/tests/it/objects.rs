//! Objects of the operator's kinds at a real API server: what it completes, what it refuses and with which words, and what
//! people see of them.

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use selvage_operator::resources::{VERSION, definitions};
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// The least that a PoolScaler says.
fn scaler() -> Value {
    json!({
        "apiVersion": "selvage.dev/v1alpha1", "kind": "PoolScaler", "metadata": {"name": "checkout", "namespace": "default"},
        "spec": {
            "targetRef": {"name": "shop-checkout"}, "budgetRef": {"name": "main"},
            "maxReplicas": 6, "pool": {"ceiling": 20},
        },
    })
}

/// One that says everything that can be said.
fn whole_scaler() -> Value {
    let mut whole = scaler();
    whole["spec"] = json!({
        "targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "stock"}, "budgetRef": {"name": "main"},
        "minReplicas": 2, "maxReplicas": 6, "maxSurge": 1, "pool": {"floor": 10, "ceiling": 10}, "targetUtilization": 0.8,
        "weight": 200, "mode": "Observe",
        "source": {"type": "Scrape", "scrape": {
            "port": 8080, "path": "/actuator/prometheus", "dialect": "HikariCP", "poolName": "main", "intervalSeconds": 2,
        }},
        "behavior": {
            "scaleUp": {"pods": 2, "percent": 50, "periodSeconds": 10},
            "scaleDown": {"stabilizationWindowSeconds": 600, "percent": 20, "periodSeconds": 120},
        },
    });
    whole
}

/// The least that a ConnectionBudget says.
fn budget() -> Value {
    json!({
        "apiVersion": "selvage.dev/v1alpha1", "kind": "ConnectionBudget", "metadata": {"name": "main", "namespace": "default"},
        "spec": {"maxConnections": 100},
    })
}

/// One that says everything that can be said.
fn whole_budget() -> Value {
    let mut whole = budget();
    whole["spec"] = json!({
        "database": {"urlSecretRef": {"name": "main-monitor", "key": "dsn"}}, "maxConnections": 100, "reserve": 10,
        "others": [{"name": "reports", "connections": 5}], "cores": 4,
    });
    whole
}

/// What the API server says to creating an object, which it then doesn't do: the object as it would keep it, or its refusal.
async fn tried(cluster: &Cluster, object: &Value) -> Result<Value, String> {
    let kind = object["kind"].as_str().expect("a kind");
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("selvage.dev", VERSION, kind));
    let api: Api<DynamicObject> = Api::default_namespaced_with(cluster.client.clone(), &resource);
    let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await {
        Ok(kept) => Ok(serde_json::to_value(kept).expect("JSON")),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => panic!("{object:?}: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_out_is_filled_in() {
    let Some(cluster) = Cluster::start().await else { return };
    let kept = tried(&cluster, &scaler()).await.unwrap();
    let wanted = json!({
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-checkout"}, "budgetRef": {"name": "main"},
        "minReplicas": 1, "maxReplicas": 6, "pool": {"floor": 2, "ceiling": 20}, "targetUtilization": 0.7, "weight": 100,
        "mode": "Enforce", "source": {"type": "Stream"},
        "behavior": {
            "scaleUp": {"pods": 8, "percent": 100, "periodSeconds": 15},
            "scaleDown": {"stabilizationWindowSeconds": 300, "percent": 10, "periodSeconds": 60},
        },
    });
    assert_eq!(kept["spec"], wanted);

    // A part of a part too.
    let mut part = scaler();
    part["spec"]["behavior"] = json!({"scaleUp": {"pods": 8}});
    let kept = tried(&cluster, &part).await.unwrap();
    assert_eq!(kept["spec"]["behavior"]["scaleUp"], json!({"pods": 8, "percent": 100, "periodSeconds": 15}));
    assert_eq!(kept["spec"]["behavior"]["scaleDown"], wanted["behavior"]["scaleDown"]);

    let kept = tried(&cluster, &budget()).await.unwrap();
    let others = [("probes", 2), ("migration", 1), ("people", 2)]
        .map(|(name, connections)| json!({"name": name, "connections": connections}));
    assert_eq!(kept["spec"], json!({"maxConnections": 100, "others": others}));
    let mut secret = budget();
    secret["spec"] = json!({"database": {"urlSecretRef": {"name": "monitor"}}, "others": []});
    let kept = tried(&cluster, &secret).await.unwrap();
    assert_eq!(kept["spec"]["database"]["urlSecretRef"]["key"], "url");
    assert_eq!(kept["spec"]["others"], json!([]), "nobody else connects, if that is what is said");

    for whole in [whole_scaler(), whole_budget()] {
        let kept = tried(&cluster, &whole).await.unwrap();
        assert_eq!(kept["spec"], whole["spec"], "nothing of it is dropped");
    }
}

/// A change of an object by a pointer in it.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    object.pointer_mut(parent).unwrap_or_else(|| panic!("{parent} isn't there"))[key] = value;
    object
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_together_is_refused_with_a_sentence() {
    let Some(cluster) = Cluster::start().await else { return };
    let scrape = json!({"port": 8080, "dialect": "HikariCP"});
    let refused = [
        (with(scaler(), "/spec/minReplicas", json!(7)), "minReplicas must not be above maxReplicas"),
        (with(scaler(), "/spec/pool", json!({"floor": 5, "ceiling": 4})), "spec.pool: Invalid value"),
        (
            with(scaler(), "/spec/pool", json!({"ceiling": 1})),
            "floor must not be above ceiling; where it isn't given it is 2",
        ),
        (with(scaler(), "/spec/targetUtilization", json!(0)), "targetUtilization must be above 0 and at most 1"),
        (with(scaler(), "/spec/targetUtilization", json!(-0.1)), "targetUtilization must be above 0 and at most 1"),
        (with(scaler(), "/spec/targetUtilization", json!(1.01)), "targetUtilization must be above 0 and at most 1"),
        (with(scaler(), "/spec/targetUtilization", json!(70)), "0.7 is 70 %"),
        (with(scaler(), "/spec/source", json!({"type": "Scrape"})), "scrape must be given with type Scrape"),
        (with(scaler(), "/spec/source", json!({"scrape": scrape})), "and must be absent with any other"),
        (
            with(scaler(), "/spec/source", json!({"type": "Scrape", "scrape": scrape})),
            "pool.floor must equal pool.ceiling: a pool that is only scraped can't be resized",
        ),
        (
            with(
                scaler(),
                "/spec/targetRef",
                json!({"apiVersion": "selvage.dev/v1alpha1", "kind": "PoolScaler", "name": "x"}),
            ),
            "targetRef must not be a PoolScaler",
        ),
        (with(budget(), "/spec", json!({})), "give database, so that max_connections is read from the server"),
        (with(budget(), "/spec", json!({"database": {}})), "either urlSecretRef or url must say where the database is"),
        (
            with(
                budget(),
                "/spec",
                json!({"database": {"urlSecretRef": {"name": "probe"}, "url": "postgres://probe@db/postgres"}}),
            ),
            "either urlSecretRef or url must say where the database is",
        ),
        (
            with(
                budget(),
                "/spec",
                json!({"database": {"urlSecretRef": {"name": "a"}, "passwordSecretRef": {"name": "b"}}}),
            ),
            "passwordSecretRef is for url",
        ),
        (with(budget(), "/spec/reserve", json!(95)), "leave nothing of maxConnections to share out"),
        (
            with(budget(), "/spec/others", json!([{"name": "a", "connections": 60}, {"name": "b", "connections": 40}])),
            "leave nothing of maxConnections to share out",
        ),
        (
            with(budget(), "/spec/others", json!([{"name": "a", "connections": 1}, {"name": "a", "connections": 2}])),
            "Duplicate value",
        ),
        (with(scaler(), "/spec", json!({})), "spec.maxReplicas: Required value"),
    ];
    for (object, sentence) in &refused {
        match tried(&cluster, object).await {
            Ok(_) => panic!("it is taken, and shouldn't be: {object}"),
            Err(said) => assert!(said.contains(sentence), "{sentence}: {said}"),
        }
    }
    // Their good neighbours.
    for object in [
        with(scaler(), "/spec/minReplicas", json!(6)),
        with(scaler(), "/spec/pool", json!({"floor": 4, "ceiling": 4})),
        with(scaler(), "/spec/targetUtilization", json!(1)),
        with(scaler(), "/spec/targetUtilization", json!(0.01)),
        with(budget(), "/spec/reserve", json!(94)),
        with(
            budget(),
            "/spec",
            json!({"database": {"url": "postgres://probe@db/postgres", "passwordSecretRef": {"name": "b"}}}),
        ),
    ] {
        tried(&cluster, &object).await.unwrap_or_else(|said| panic!("{object}: {said}"));
    }
}

/// Values that are one step beyond what a field's schema permits, each with what the API server says.
fn beyond(schema: &Value, value: &Value) -> Vec<(Value, &'static str)> {
    let mut found = Vec::new();
    let whole = |bound: &Value| bound.as_f64();
    if let Some(minimum) = whole(&schema["minimum"]) {
        found.push((json!(minimum as i64 - 1), "should be greater than or equal to"));
    }
    if let Some(maximum) = whole(&schema["maximum"]) {
        found.push((json!(maximum as i64 + 1), "should be less than or equal to"));
    }
    if let Some(length) = schema["maxLength"].as_u64() {
        found.push((json!("a".repeat(length as usize + 1)), "Too long"));
    }
    if schema["minLength"].as_u64().is_some() {
        found.push((json!(""), "should be at least 1 chars long"));
    }
    if schema["pattern"].is_string() {
        found.push((json!("§ §"), "should match"));
    }
    if schema["enum"].is_array() {
        found.push((json!("Nonsense"), "Unsupported value"));
    }
    if let Some(items) = schema["maxItems"].as_u64() {
        let one = value[0].as_object().expect("an item to copy");
        let named = |index| {
            let mut item = one.clone();
            item["name"] = json!(format!("n{index}"));
            item["connections"] = json!(0);
            Value::Object(item)
        };
        found.push(((0..=items).map(named).collect(), "Too many"));
    }
    found
}

/// Collects what is beyond each bound of a schema, below a pointer.
fn neighbours(pointer: &str, schema: &Value, value: &Value, found: &mut Vec<(String, Value, &'static str)>) {
    found.extend(beyond(schema, value).into_iter().map(|(value, said)| (pointer.to_owned(), value, said)));
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        assert!(!value[name].is_null(), "{pointer}/{name} isn't tried: say it in the whole object");
        neighbours(&format!("{pointer}/{name}"), below, &value[name], found);
    }
    if schema["items"].is_object() {
        neighbours(&format!("{pointer}/0"), &schema["items"], &value[0], found);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_beyond_each_bound_is_refused() {
    let Some(cluster) = Cluster::start().await else { return };
    let mut tries = 0;
    // Of what excludes one another a rule says so only where each for itself is within its bounds.
    let mut budget = whole_budget();
    budget["spec"]["database"]["url"] = json!("postgres://probe@db/postgres");
    budget["spec"]["database"]["passwordSecretRef"] = json!({"name": "probe", "key": "password"});
    for (definition, whole) in definitions().into_iter().zip([budget, whole_scaler()]) {
        let definition = serde_json::to_value(definition).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut found = Vec::new();
        neighbours("/spec", schema, &whole["spec"], &mut found);
        for (pointer, value, words) in found {
            tries += 1;
            let mut object = whole.clone();
            *object.pointer_mut(&pointer).expect("it is there") = value;
            match tried(&cluster, &object).await {
                Ok(_) => panic!("{pointer} is taken, and shouldn't be: {object}"),
                Err(said) => assert!(said.contains(words), "{pointer}, {words}: {said}"),
            }
        }
    }
    assert!(tries > 60, "only {tries} bounds");
}

/// What is misspelled is said, instead of being dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_explains_lists_and_scales_them() {
    let Some(cluster) = Cluster::start().await else { return };
    let misspelled = with(scaler(), "/spec/maxReplica", json!(6));
    let output = cluster.with_file(&["create", "--validate=strict"], &misspelled);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains(r#"unknown field "spec.maxReplica""#), "{complaint}");

    for (field, words) in [
        ("poolscaler.spec.pool.floor", "Default 2."),
        ("poolscaler.spec.targetUtilization", "above 0 and at most 1"),
        ("psc.spec.behavior.scaleDown.periodSeconds", "in seconds"),
        ("poolscaler.status.lastDecision.constraints", "in the order in which it was applied"),
        ("connectionbudget.spec.reserve", "a tenth of max_connections"),
        ("cbud.status.headroom", "can still be granted"),
        ("poolscaler", "never gives out more connections than the ConnectionBudget"),
    ] {
        let explained = cluster.server.said(&["explain", field]);
        let flowing = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowing.contains(words), "{field}: {explained}");
    }

    cluster.apply(&scaler());
    cluster.apply(&budget());
    let ready = json!([{
        "type": "Ready", "status": "True", "reason": "AtWork", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    let status = json!({"status": {
        "replicas": 3, "readyReplicas": 3, "desiredReplicas": 5, "selector": "app=checkout", "conditions": ready,
        "pool": {"granted": 45, "open": 44, "inUse": 44, "waiting": 9},
        "lastDecision": {
            "time": "2026-01-01T00:00:00Z", "class": "ReplicaBound", "reason": "every pod is at its ceiling, and calls wait",
            "raw": {"replicas": 7}, "final": {"replicas": 5},
        },
    }});
    let patch = |kind: &str, name: &str, status: &Value| {
        let status = status.to_string();
        cluster.server.said(&["patch", kind, name, "--subresource=status", "--type=merge", "--patch", &status])
    };
    patch("poolscaler", "checkout", &status);
    let seen = |arguments: &[&str]| cluster.server.said(&[&["get"], arguments].concat());
    let columns = |text: &str| {
        text.lines().map(|line| line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let table = columns(&seen(&["poolscalers"]));
    let heads = ["NAME", "TARGET", "STATE", "REPLICAS", "DESIRED", "MAX", "GRANTED", "MODE", "READY", "AGE"];
    assert_eq!(table[0], heads);
    assert_eq!(table[1][..9], ["checkout", "shop-checkout", "ReplicaBound", "3", "5", "6", "45", "Enforce", "True"]);
    assert!(seen(&["psc", "-o", "wide"]).contains("every pod is at its ceiling, and calls wait"));
    patch(
        "cbud",
        "main",
        &json!({"status": {
            "budget": 85, "setAside": 24, "charged": 60, "headroom": 1, "open": 58, "conditions": ready,
        }}),
    );
    let table = columns(&seen(&["connectionbudgets"]));
    // What has no value yet has no text between the columns.
    assert_eq!(
        table[0],
        ["NAME", "BUDGET", "SETASIDE", "CHARGED", "HEADROOM", "SATISFIED", "BOTTLENECK", "READY", "AGE"]
    );
    assert_eq!(table[1][..6], ["main", "85", "24", "60", "1", "True"]);
    let both = seen(&["selvage", "-o", "name"]);
    assert!(
        both.contains("poolscaler.selvage.dev/checkout") && both.contains("connectionbudget.selvage.dev/main"),
        "{both}"
    );

    // Before a sale: not fewer than that.
    cluster.server.said(&["scale", "poolscaler", "checkout", "--replicas=4"]);
    assert_eq!(seen(&["psc", "checkout", "-o", "jsonpath={.spec.minReplicas}"]), "4");
    let scale = cluster.server.said(&[
        "get",
        "--raw",
        "/apis/selvage.dev/v1alpha1/namespaces/default/poolscalers/checkout/scale",
    ]);
    let scale: Value = serde_json::from_str(&scale).unwrap();
    assert_eq!(
        (&scale["spec"], &scale["status"]),
        (&json!({"replicas": 4}), &json!({"replicas": 3, "selector": "app=checkout"}))
    );
    let above = cluster.server.kubectl(&["scale", "poolscaler", "checkout", "--replicas=7"]).output().expect("kubectl");
    let complaint = String::from_utf8_lossy(&above.stderr).into_owned();
    assert!(!above.status.success() && complaint.contains("minReplicas must not be above maxReplicas"), "{complaint}");
}
