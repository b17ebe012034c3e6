//! Each switch of the chart: what it adds, what it takes away, and what it says.

use selvage_tests::helm::{Objects, Values, name, variables};
use serde_json::{Value, json};

use super::helm;

fn rendered(values: &Value) -> Option<Objects> {
    Some(helm()?.objects(&Values::none().with(values)))
}

fn of_playground(values: &Value) -> Option<Objects> {
    Some(helm()?.objects(&Values::of("ci/playground-values.yaml").with(values)))
}

fn own(objects: &Objects, service: &str) -> Value {
    objects.one("Deployment", &format!("shop-selvage-{service}"))["spec"]["template"]["spec"]["containers"][0].clone()
}

fn value(container: &Value, variable: &str) -> String {
    let variables = variables(container);
    variables.get(variable).map_or("", |variable| variable["value"].as_str().unwrap_or("?")).to_owned()
}

fn volume<'a>(objects: &'a Objects, service: &str, named: &str) -> &'a Value {
    let spec = &objects.one("Deployment", &format!("shop-selvage-{service}"))["spec"]["template"]["spec"];
    let volumes = spec["volumes"].as_array().expect("volumes");
    volumes.iter().find(|volume| volume["name"] == named).unwrap_or(&Value::Null)
}

fn job<'a>(objects: &'a Objects, prefix: &str) -> &'a Value {
    let found = objects.of_kind("Job").find(|job| name(job).starts_with(prefix));
    &found.unwrap_or_else(|| panic!("no Job {prefix}"))["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn a_database_that_exists_is_found_by_the_whole_address() {
    let Some(objects) = rendered(&json!({"cart": {"database": {"secret": "theirs"}}})) else { return };
    let cart = own(&objects, "cart");
    let reference = &variables(&cart)["SELVAGE_DATABASE_URL"]["valueFrom"]["secretKeyRef"];
    assert_eq!(*reference, json!({"name": "theirs", "key": "url"}));
    let migration = job(&objects, "shop-selvage-cart-migrate-");
    let reference = &variables(migration)["SELVAGE_DATABASE_URL"]["valueFrom"]["secretKeyRef"];
    assert_eq!(reference["name"], "shop-selvage-cart-database-owner");
    // The same address as a file, for the password in it.
    assert_eq!(value(&cart, "SELVAGE_DATABASE_PASSWORD_FILE"), "/etc/selvage/database/password");
    let secret = &volume(&objects, "cart", "database")["secret"];
    assert_eq!((&secret["secretName"], &secret["items"][0]["key"]), (&json!("theirs"), &json!("url")));
    assert_eq!(objects.of_kind("StatefulSet").count(), 0);
}

#[test]
fn a_database_that_exists_is_found_by_parts_and_its_password_is_a_file() {
    let values = json!({"database": {
        "host": "db.example.org", "port": 6432,
        "secretKeys": {"url": "", "user": "username", "password": "password"},
        "ca": {"secret": "db-ca"},
    }});
    let Some(objects) = rendered(&values) else { return };
    let cart = own(&objects, "cart");
    assert_eq!(
        value(&cart, "SELVAGE_DATABASE_URL"),
        "postgres://$(DATABASE_USER)@db.example.org:6432/cart?sslmode=verify-full&sslrootcert=/etc/selvage/database-ca/ca.crt"
    );
    // Kubernetes puts in what stands before.
    let order: Vec<_> = cart["env"].as_array().expect("variables").iter().map(|one| one["name"].as_str()).collect();
    let place = |name: &str| order.iter().position(|known| *known == Some(name));
    assert!(place("DATABASE_USER") < place("SELVAGE_DATABASE_URL") && place("DATABASE_USER").is_some());
    assert_eq!(value(&cart, "SELVAGE_DATABASE_PASSWORD_FILE"), "/etc/selvage/database/password");
    let secret = &volume(&objects, "cart", "database")["secret"];
    assert_eq!(
        (&secret["secretName"], &secret["items"][0]["path"]),
        (&json!("shop-selvage-cart-database"), &json!("password"))
    );
    assert_eq!(volume(&objects, "cart", "database-ca")["secret"]["secretName"], "db-ca");
    // Whole volumes: a file that is mounted alone isn't renewed.
    let mounts = cart["volumeMounts"].as_array().expect("mounts");
    assert!(mounts.iter().all(|mount| mount["subPath"].is_null()), "{mounts:?}");
}

#[test]
fn the_playground_has_a_database_of_its_own() {
    let Some(objects) = of_playground(&json!({"postgres": {"persistence": {"enabled": true}}})) else { return };
    let postgres = objects.one("StatefulSet", "shop-selvage-postgres");
    let claim = &postgres["spec"]["volumeClaimTemplates"][0];
    assert_eq!((&claim["kind"], &claim["apiVersion"]), (&json!("PersistentVolumeClaim"), &json!("v1")));
    assert_eq!(claim["spec"]["volumeMode"], "Filesystem");
    let arguments = &postgres["spec"]["template"]["spec"]["containers"][0]["args"];
    assert_eq!(arguments[1], "max_connections=100", "as the budget says");
    let checkout = own(&objects, "checkout");
    assert_eq!(
        value(&checkout, "SELVAGE_DATABASE_URL"),
        "postgres://checkout@shop-selvage-postgres:5432/checkout?sslmode=disable"
    );
    let migration = job(&objects, "shop-selvage-checkout-migrate-");
    assert!(value(migration, "SELVAGE_DATABASE_URL").starts_with("postgres://checkout_owner@"));
    let arguments = migration["args"].as_array().expect("arguments");
    let wanted = ["migrate", "--grant-to=checkout", "--connection-limit=26", "--statement-timeout=5000"];
    assert_eq!(arguments.iter().map(|one| one.as_str().unwrap_or_default()).collect::<Vec<_>>(), wanted);
    let keys = job(&objects, "shop-selvage-keys-");
    assert_eq!(keys["args"], json!(["secrets", "--prefix", "shop-selvage", "--passwords"]));
    assert_eq!(job(&objects, "shop-selvage-samples-")["args"], json!(["stock"]));
}

#[test]
fn cloudnativepg_keeps_databases_and_roles() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::of("ci/large-values.yaml"));
    let cluster = objects.one("Cluster", "shop-selvage-postgres");
    assert_eq!(cluster["metadata"]["annotations"]["helm.sh/resource-policy"], "keep", "data outlive the release");
    assert_eq!(cluster["spec"]["postgresql"]["parameters"]["max_connections"], "400");
    let roles = cluster["spec"]["managed"]["roles"].as_array().expect("roles");
    assert_eq!(roles.len(), 8);
    let role = |named: &str| roles.iter().find(|role| role["name"] == named).expect("a role");
    // (6 + 2) × 8: what the sum has for it.
    assert_eq!(role("catalogue")["connectionLimit"], 64);
    assert_eq!(role("catalogue_owner")["connectionLimit"], -1);
    assert_eq!(role("cart")["passwordSecret"]["name"], "shop-selvage-cart-database");
    let databases: Vec<_> =
        objects.of_kind("Database").map(|one| (one["spec"]["name"].clone(), one["spec"]["owner"].clone())).collect();
    assert_eq!(databases.len(), 4);
    assert!(databases.contains(&(json!("cart"), json!("cart_owner"))));
    let arguments = job(&objects, "shop-selvage-cart-migrate-")["args"].to_string();
    assert!(!arguments.contains("connection-limit"), "the operator sets it: {arguments}");
    let url = value(&own(&objects, "cart"), "SELVAGE_DATABASE_URL");
    assert!(
        url.starts_with("postgres://cart@shop-selvage-postgres-rw:5432/cart?sslmode=verify-full&sslrootcert="),
        "{url}"
    );
    assert_eq!(volume(&objects, "cart", "database-ca")["secret"]["secretName"], "shop-selvage-postgres-ca");
}

#[test]
fn roles_are_left_alone_if_that_is_said() {
    let Some(objects) = rendered(&json!({"database": {"setRoleLimits": false}})) else { return };
    assert_eq!(job(&objects, "shop-selvage-cart-migrate-")["args"], json!(["migrate", "--grant-to=cart"]));
}

#[test]
fn keys_are_made_or_exist() {
    let Some(objects) = rendered(&json!({})) else { return };
    assert_eq!(job(&objects, "shop-selvage-keys-")["args"], json!(["secrets", "--prefix", "shop-selvage"]));
    let existing =
        json!({"keys": {"make": false, "prefix": "vault", "secrets": {"web": "web-key", "trusted": "list"}}});
    let Some(objects) = rendered(&existing) else { return };
    assert!(objects.names("Job").iter().all(|name| name.contains("migrate")) && objects.of_kind("Role").count() == 0);
    let sources = |service: &str| {
        let sources = volume(&objects, service, "keys")["projected"]["sources"].clone();
        let sources = sources.as_array().expect("sources").clone();
        sources.iter().map(|one| one["secret"]["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sources("web"), ["web-key"]);
    assert_eq!(sources("checkout"), ["vault-key-checkout", "list"]);
    assert_eq!(sources("cart"), ["list"], "it signs nothing");
    let web = own(&objects, "web");
    assert_eq!(value(&web, "SELVAGE_ISSUER_KEY"), "/etc/selvage/keys/issuer.key");
    assert_eq!(value(&web, "SELVAGE_TRUSTED_KEYS"), "", "it checks none");
}

#[test]
fn traces_and_metrics_go_where_it_is_said() {
    let Some(objects) = rendered(&json!({})) else { return };
    let cart = own(&objects, "cart");
    assert!(variables(&cart).keys().all(|name| !name.starts_with("OTEL")), "nothing is sent unless that is said");
    let collector = json!({"telemetry": {"otlp": {"endpoint": "http://collector.o11y:4317"}, "sampleRatio": 0.25}});
    let Some(objects) = rendered(&collector) else { return };
    let cart = own(&objects, "cart");
    assert_eq!(value(&cart, "OTEL_EXPORTER_OTLP_ENDPOINT"), "http://collector.o11y:4317");
    assert_eq!(value(&cart, "OTEL_METRICS_EXPORTER"), "prometheus");
    assert_eq!(value(&cart, "OTEL_TRACES_SAMPLER_ARG"), "0.25");
    let attributes = value(&cart, "OTEL_RESOURCE_ATTRIBUTES");
    assert_eq!(attributes, "k8s.namespace.name=selvage,k8s.pod.name=$(POD_NAME),k8s.node.name=$(NODE_NAME)");
    let Some(objects) = rendered(&json!({"jaeger": {"enabled": true}})) else { return };
    assert_eq!(value(&own(&objects, "cart"), "OTEL_EXPORTER_OTLP_ENDPOINT"), "http://shop-selvage-jaeger:4317");
    let config = objects.one("ConfigMap", "shop-selvage-jaeger")["data"]["config.yaml"].as_str().expect("a file");
    let config: Value = serde_saphyr::from_str(config).expect("YAML");
    assert_eq!(config["extensions"]["jaeger_storage"]["backends"]["memory"]["memory"]["max_traces"], 1000);
}

#[test]
fn prometheus_is_told_what_to_scrape_and_when_to_alert() {
    let Some(objects) = rendered(&json!({})) else { return };
    for kind in ["PodMonitor", "ServiceMonitor", "PrometheusRule"] {
        assert_eq!(objects.of_kind(kind).count(), 0, "{kind} only if it is said: not every cluster knows it");
    }
    for (kind, endpoints) in [("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")] {
        let telemetry = json!({"telemetry": {"monitor": {"kind": kind, "interval": "5s", "labels": {"release": "p"}}}});
        let Some(objects) = rendered(&telemetry) else { return };
        let monitor = objects.one(kind, "shop-selvage");
        assert_eq!(monitor["metadata"]["labels"]["release"], "p");
        let endpoint = &monitor["spec"][endpoints][0];
        assert_eq!((&endpoint["port"], &endpoint["interval"]), (&json!("metrics"), &json!("5s")));
        let scraped = |objects: &Objects| {
            let chosen = &objects.one(kind, "shop-selvage")["spec"]["selector"]["matchExpressions"][0]["values"];
            chosen.as_array().expect("components").contains(&json!("operator"))
        };
        assert!(!scraped(&objects), "there is none");
        let Some(helm) = helm() else { return };
        assert!(scraped(&helm.objects(&super::with_operator().with(&telemetry))), "the operator has alerts too");
        // The alerts know jobs by these names.
        assert_eq!(endpoint["relabelings"][0]["replacement"], "selvage-$1");
    }
}

/// The alerts of the PrometheusRule are the files', and what counts as spent is the budget's own number.
#[test]
fn the_alerts_threshold_is_the_budget() {
    let values = json!({
        "telemetry": {"prometheusRule": {"enabled": true}},
        "budget": {"servers": {"main": {"maxConnections": 500, "reserved": 3, "reserve": 50, "others": 7}}},
    });
    let Some(objects) = rendered(&values) else { return };
    let groups = objects.one("PrometheusRule", "shop-selvage")["spec"]["groups"].as_array().expect("groups").clone();
    let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
    let budget = rules.iter().find(|rule| rule["record"] == "database:selvage_budget_connections").expect("the budget");
    let expression = budget["expr"].as_str().expect("an expression");
    assert!(expression.ends_with(" or vector(440)"), "{expression}");
    let mut ours = Vec::new();
    let folder = selvage_tests::prometheus::shipped().join("alerts");
    for entry in std::fs::read_dir(folder).expect("alerts") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).expect("rules");
            let file: Value = serde_saphyr::from_str(&text).expect("YAML");
            ours.extend(file["groups"].as_array().expect("groups").clone());
        }
    }
    let written = |groups: &[Value]| {
        let mut all: Vec<_> = groups.iter().map(ToString::to_string).collect();
        all.sort();
        all.join("\n").replace("vector(440)", "vector(90)")
    };
    assert_eq!(written(&groups), written(&ours), "every rule is there, word for word");
    // By default it is the number that the files have.
    let Some(objects) = rendered(&json!({"telemetry": {"prometheusRule": {"enabled": true}}})) else { return };
    let text = objects.one("PrometheusRule", "shop-selvage").to_string();
    assert!(text.contains("vector(90)"));
}

#[test]
fn dashboards_are_found_by_their_label() {
    let dashboards = json!({"telemetry": {"dashboards": {"enabled": true, "annotations": {"folder": "Shop"}}}});
    let Some(objects) = rendered(&dashboards) else { return };
    for dashboard in ["shop", "pools", "operator"] {
        let map = objects.one("ConfigMap", &format!("shop-selvage-dashboard-{dashboard}"));
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
        assert_eq!(map["metadata"]["annotations"]["folder"], "Shop");
        let text = map["data"][format!("selvage-{dashboard}.json")].as_str().expect("a dashboard");
        let found: Value = serde_json::from_str(text).expect("JSON");
        let file = selvage_tests::prometheus::shipped().join(format!("dashboards/{dashboard}.json"));
        let wanted: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("a file")).expect("JSON");
        assert!(found == wanted, "{dashboard}");
        // What `kubectl apply` keeps of an object beside it has a bound.
        assert!(text.len() < 262_144, "{dashboard} has {} bytes", text.len());
    }
}

#[test]
fn pages_are_reached_by_an_ingress_or_a_gateway() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::of("ci/small-values.yaml"));
    let ingress = &objects.one("Ingress", "shop-selvage-web")["spec"];
    assert_eq!(
        (&ingress["ingressClassName"], &ingress["rules"][0]["host"]),
        (&json!("nginx"), &json!("shop.example.org"))
    );
    assert_eq!(ingress["tls"][0]["secretName"], "shop-tls");
    assert_eq!(value(&own(&objects, "web"), "SELVAGE_SECURE_COOKIES"), "true");
    let objects = helm.objects(&Values::of("ci/large-values.yaml"));
    let route = &objects.one("HTTPRoute", "shop-selvage-web")["spec"];
    assert_eq!(
        (&route["parentRefs"][0]["name"], &route["hostnames"][0]),
        (&json!("public"), &json!("shop.example.org"))
    );
    assert_eq!(objects.of_kind("Ingress").count(), 0);
    let node = json!({"web": {"service": {"type": "NodePort", "nodePort": 30080}}});
    let objects = helm.objects(&Values::none().with(&node));
    let service = &objects.one("Service", "shop-selvage-web")["spec"];
    assert_eq!((&service["type"], &service["ports"][0]["nodePort"]), (&json!("NodePort"), &json!(30080)));
}

#[test]
fn mails_go_to_a_server_or_into_a_folder() {
    let Some(objects) = rendered(&json!({})) else { return };
    assert_eq!(value(&own(&objects, "checkout"), "SELVAGE_MAIL_FOLDER"), "/var/lib/selvage/mail");
    assert_eq!(volume(&objects, "checkout", "mail")["emptyDir"]["sizeLimit"], "256Mi");
    let Some(objects) = rendered(&json!({"checkout": {"mail": {"secret": "mail"}}})) else { return };
    let checkout = own(&objects, "checkout");
    let reference = &variables(&checkout)["SELVAGE_SMTP_URL"]["valueFrom"]["secretKeyRef"];
    assert_eq!(*reference, json!({"name": "mail", "key": "smtp-url"}));
    assert!(volume(&objects, "checkout", "mail").is_null());
}

#[test]
fn objects_of_ones_own_are_rendered_with_it() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}});
    let text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}-mine\n";
    let Some(objects) = rendered(&json!({"extraObjects": [map, text]})) else { return };
    assert_eq!(name(objects.one("ConfigMap", "mine")), "mine");
    assert_eq!(name(objects.one("Secret", "shop-mine")), "shop-mine");
}

#[test]
fn what_is_switched_off_is_gone() {
    let off = json!({
        "tests": {"enabled": false},
        "common": {"podDisruptionBudget": {"enabled": false}, "serviceAccount": {"create": false, "name": "theirs"},
                   "topologySpread": {"hosts": "none", "zones": "none"}, "strategy": {"type": "Recreate"}},
    });
    let Some(objects) = rendered(&off) else { return };
    assert_eq!(objects.of_kind("Pod").count() + objects.of_kind("PodDisruptionBudget").count(), 0);
    let spec = &objects.one("Deployment", "shop-selvage-cart")["spec"];
    assert_eq!(spec["strategy"], json!({"type": "Recreate"}));
    let pod = &spec["template"]["spec"];
    assert_eq!((&pod["serviceAccountName"], &pod["topologySpreadConstraints"]), (&json!("theirs"), &Value::Null));
    assert!(pod["affinity"].is_null());
    // Nothing surges, so the sum has no surge in it.
    let words = objects.one("ConfigMap", "shop-selvage-budget")["data"]["main"].as_str().expect("words");
    assert!(words.contains("cart       (2 + 0) × 4 = 8"), "{words}");
}

#[test]
fn a_cluster_with_ipv6_alone_is_listened_on() {
    let Some(objects) = rendered(&json!({"listenOn": "::"})) else { return };
    assert_eq!(value(&own(&objects, "web"), "SELVAGE_LISTEN"), "[::]:8080");
}

/// The notes, which `helm install` prints, say what to click and what to do next.
#[test]
fn the_notes_say_what_to_do() {
    let Some(helm) = helm() else { return };
    // Rendering alone doesn't print them, so an object bears them.
    let bearer = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata:\n  notes: |\n    \
                  {{- include \"selvage.notes\" . | nindent 4 }}\n";
    let notes = |file: &str| {
        let objects = helm.objects(&Values::of(file).with(&json!({"extraObjects": [bearer]})));
        objects.one("ConfigMap", "notes")["data"]["notes"].as_str().expect("notes").to_owned()
    };
    let playground = notes("ci/playground-values.yaml");
    for word in
        ["port-forward service/shop-selvage-web 8080:80", "helm -n selvage test shop", "it ends with its pod", "fits"]
    {
        assert!(playground.contains(word), "{word} in:\n{playground}");
    }
    let small = notes("ci/small-values.yaml");
    assert!(
        small.contains("https://shop.example.org") && small.contains("shop-selvage-catalogue-database-owner"),
        "{small}"
    );
    assert!(!small.contains("Mails are files") && !small.contains("in the clear"), "{small}");
}
