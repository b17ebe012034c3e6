//! The operator in the chart: what it may do, what it is told of the shop, and what the shop's pods are told of it.

use std::collections::BTreeSet;

use selvage_tests::helm::{Objects, variables};
use serde_json::{Value, json};

use super::{helm, with_operator};

const STORED: [&str; 4] = ["catalogue", "cart", "checkout", "delivery"];

fn rendered() -> Option<Objects> {
    helm().map(|helm| helm.objects(&with_operator()))
}

/// The rules of a role as lines, in the order of the alphabet.
fn rules(role: &Value) -> BTreeSet<String> {
    let list = |value: &Value| {
        let words = value.as_array().into_iter().flatten().map(|word| word.as_str().expect("a word"));
        words.collect::<Vec<_>>().join(",")
    };
    let rules = role["rules"].as_array().expect("rules").iter();
    let line = |rule: &Value| {
        let named = if rule["resourceNames"].is_null() { "" } else { " of some names" };
        format!("{}/{} {}{named}", list(&rule["apiGroups"]), list(&rule["resources"]), list(&rule["verbs"]))
    };
    rules.map(line).collect()
}

/// The same as `services/operator/src/controllers/rights.rs`, whose tests try that it is enough and nothing of it needless.
#[test]
fn it_may_do_what_it_needs_and_nothing_else() {
    let Some(objects) = rendered() else { return };
    let own = [
        "/pods list,watch",
        "/secrets get of some names",
        "apps/deployments list,watch",
        "apps/deployments/scale get,patch",
        "apps/statefulsets/scale get,patch",
        "autoscaling/horizontalpodautoscalers list",
        "coordination.k8s.io/leases create",
        "coordination.k8s.io/leases get,update of some names",
        "events.k8s.io/events create,patch",
        "keda.sh/scaledobjects list",
        "selvage.dev/connectionbudgets,poolscalers list,watch",
        "selvage.dev/connectionbudgets/status,poolscalers/status patch",
    ];
    let role = objects.one("Role", "shop-selvage-operator");
    assert_eq!(rules(role), own.map(ToOwned::to_owned).into());
    let cluster = [
        "apiextensions.k8s.io/customresourcedefinitions get of some names",
        "authentication.k8s.io/tokenreviews create",
        "authorization.k8s.io/subjectaccessreviews create",
    ];
    let role = objects.one("ClusterRole", "selvage-shop-selvage-operator");
    assert_eq!(rules(role), cluster.map(ToOwned::to_owned).into());
}

/// What else may be scaled is named, and no more than its scale is touched.
#[test]
fn it_may_scale_what_is_named_and_nothing_else() {
    let Some(helm) = helm() else { return };
    let scales = |targets: Value| {
        let objects = helm.objects(&with_operator().with(&json!({"operator": {"enabled": true, "targets": targets}})));
        let rules = rules(objects.one("Role", "shop-selvage-operator"));
        rules.into_iter().filter(|rule| rule.contains("/scale ")).collect::<Vec<_>>()
    };
    assert_eq!(scales(json!([])), ["apps/deployments/scale get,patch"]);
    let rollouts = scales(json!([{"group": "argoproj.io", "resource": "rollouts"}]));
    assert_eq!(rollouts, ["apps/deployments/scale get,patch", "argoproj.io/rollouts/scale get,patch"]);
    let refused = helm.template(
        &with_operator().with(&json!({"operator": {"enabled": true, "targets": [{"group": "*", "resource": "*"}]}})),
    );
    assert!(refused.is_err(), "each by its name");
}

#[test]
fn each_service_with_a_database_has_a_scaler_and_is_told_where_to_ask() {
    let Some(objects) = rendered() else { return };
    let scalers: Vec<_> = objects.names("PoolScaler");
    assert_eq!(scalers.len(), STORED.len(), "{scalers:?}");
    for service in STORED {
        let name = format!("shop-selvage-{service}");
        let scaler = &objects.one("PoolScaler", &name)["spec"];
        assert_eq!(scaler["targetRef"]["name"], name.as_str());
        assert_eq!(scaler["budgetRef"]["name"], "shop-selvage-main");
        let deployment = &objects.one("Deployment", &name)["spec"];
        assert!(deployment["replicas"].is_null(), "{service}: the operator's alone");
        let pod = &deployment["template"]["spec"];
        let variables = variables(&pod["containers"][0]);
        assert_eq!(variables["SELVAGE_BROKER"]["value"], "shop-selvage-operator:50060");
        assert_eq!(variables["SELVAGE_BROKER_BUDGET"]["value"], "shop-selvage-main");
        let token = &variables["SELVAGE_BROKER_TOKEN_FILE"]["value"];
        assert_eq!(*token, "/etc/selvage/broker/token");
        let volumes = pod["volumes"].as_array().expect("volumes");
        let volume = volumes.iter().find(|volume| volume["name"] == "broker").expect("a token");
        let source = &volume["projected"]["sources"][0]["serviceAccountToken"];
        assert_eq!(*source, json!({"audience": "selvage-operator", "expirationSeconds": 3600, "path": "token"}));
    }
    let web = &objects.one("Deployment", "shop-selvage-web")["spec"];
    assert_eq!(web["replicas"], 1, "web has no database: nothing of it is the operator's");
    assert!(!variables(&web["template"]["spec"]["containers"][0]).contains_key("SELVAGE_BROKER"));
}

/// The pages may list PoolScalers, which is what the operator asks of who wants to see its decisions, and nothing else.
#[test]
fn the_pages_are_told_where_to_ask_what_was_decided_and_may() {
    let Some(objects) = rendered() else { return };
    let pod = &objects.one("Deployment", "shop-selvage-web")["spec"]["template"]["spec"];
    let said = variables(&pod["containers"][0]);
    assert_eq!(said["SELVAGE_OPERATOR"]["value"], "shop-selvage-operator:50060");
    assert_eq!(said["SELVAGE_OPERATOR_NAMESPACE"]["value"], "selvage");
    let file = said["SELVAGE_OPERATOR_TOKEN_FILE"]["value"].as_str().expect("a file");
    let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("mounts");
    let mounted = mounts.iter().find(|mount| file.starts_with(mount["mountPath"].as_str().expect("a path")));
    let volumes = pod["volumes"].as_array().expect("volumes");
    let volume = volumes.iter().find(|volume| volume["name"] == mounted.expect("it is mounted")["name"]).expect("it");
    assert_eq!(volume["projected"]["sources"][0]["serviceAccountToken"]["audience"], "selvage-operator");
    let role = "shop-selvage-web-decisions";
    assert_eq!(rules(objects.one("Role", role)), ["selvage.dev/poolscalers list".to_owned()].into());
    let binding = objects.one("RoleBinding", role);
    assert_eq!(binding["subjects"][0]["name"], pod["serviceAccountName"]);
}

/// The operator listens where its binary does, and two of it run.
#[test]
fn it_listens_where_pods_ask_and_two_of_it_run() {
    let Some(objects) = rendered() else { return };
    let deployment = &objects.one("Deployment", "shop-selvage-operator")["spec"];
    assert_eq!(deployment["replicas"], 2);
    let binary = crate::schema::schema("selvage-operator");
    let options = binary["options"].as_array().expect("options");
    let container = &deployment["template"]["spec"]["containers"][0];
    let said = variables(container);
    let known: BTreeSet<_> = options.iter().filter_map(|option| option["variable"].as_str()).collect();
    let unknown: Vec<_> = said.keys().filter(|name| name.starts_with("SELVAGE_") && !known.contains(**name)).collect();
    // Its replicas and its clients are told of the same pod; the operator itself needs no UID.
    assert_eq!(unknown, [&"SELVAGE_POD_UID"]);
    for option in options.iter().filter(|option| option["required"] == true) {
        assert!(said.contains_key(option["variable"].as_str().expect("a variable")), "{option}");
    }
    let port = |name: &str| {
        let option = options.iter().find(|option| option["name"] == name).expect("an option");
        option["default"].as_str().and_then(|address| address.rsplit_once(':')).expect("an address").1.to_owned()
    };
    for (option, variable) in [("listen", "SELVAGE_LISTEN"), ("metrics-listen", "SELVAGE_METRICS_LISTEN")] {
        assert_eq!(said[variable]["value"], format!("0.0.0.0:{}", port(option)));
    }
    assert!(objects.find("PodDisruptionBudget", "shop-selvage-operator").is_some());
}

#[test]
fn who_else_would_set_replicas_is_refused_with_the_remedy() {
    let Some(helm) = helm() else { return };
    for (values, words) in [
        (json!({"budget": {"withOperator": false}}), "set budget.withOperator: true"),
        (json!({"cart": {"scaledBy": "chart"}}), "Set cart.scaledBy: autoscaler"),
    ] {
        let refused = helm.template(&with_operator().with(&values)).expect_err("it is refused");
        assert!(refused.contains(words), "{refused}");
    }
    let observing = with_operator().with(&json!({"operator": {"mode": "Observe"}, "cart": {"scaledBy": "chart"}}));
    assert!(helm.template(&observing).is_ok(), "who only observes sets nothing");
}

/// A role may open what the operator may grant its pods, and never more than the server has.
#[test]
fn a_role_may_open_what_may_be_granted() {
    let Some(objects) = rendered() else { return };
    let limit = |service: &str| {
        let job = objects
            .of_kind("Job")
            .find(|job| selvage_tests::helm::name(job).starts_with(&format!("shop-selvage-{service}-migrate-")))
            .expect("a migration");
        let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().expect("arguments");
        let said = arguments.iter().filter_map(Value::as_str).find_map(|said| said.strip_prefix("--connection-limit="));
        said.and_then(|said| said.parse::<u32>().ok()).expect("a limit")
    };
    // (2 + 1 + 2) pods of 8, of 4, of 13 and of 4.
    assert_eq!(STORED.map(limit), [40, 20, 65, 20]);
}
