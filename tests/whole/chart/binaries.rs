//! The chart says of the binaries what they say of themselves: ports, options with their bounds and defaults, pools, and how
//! long they take to end.

use std::collections::BTreeSet;

use selvage_tests::helm::{Values, chart, variables};
use serde_json::{Value, json};

use super::helm;
use crate::schema::schema;

const SERVICES: [&str; 5] = ["catalogue", "cart", "checkout", "delivery", "web"];

/// What the template says by itself, or doesn't say and why.
const BY_TEMPLATE: &[(&str, &str)] = &[
    ("listen", "made of `listenOn` and the port"),
    ("metrics-listen", "the same"),
    ("lame-duck-ms", "`lameDuckMs`"),
    ("max-connections", "the service's own: of the files that a pod may open; `extraEnv` sets it"),
    ("max-connections-per-peer", "the service's own; `extraEnv` sets it"),
    ("reflection", "off, as the service's own; `extraEnv` sets it"),
    ("currency", "`shop.currency`"),
    ("index", "a folder of the pod's own"),
    ("faults", "`shop.faults`"),
    ("trusted-keys", "a Secret that is mounted"),
    ("issuer-key", "a Secret that is mounted"),
    ("database-url", "made of `database`"),
    ("database-password-file", "a Secret that is mounted"),
    ("broker", "the operator's Service, where there is an operator"),
    ("broker-token-file", "a token that is mounted, where there is an operator"),
    ("broker-budget", "made of `budget`, where there is an operator"),
    ("operator", "the operator's Service, where there is an operator"),
    ("operator-token-file", "a token that is mounted, where there is an operator"),
    ("operator-namespace", "the release's own, where there is an operator"),
    ("pod-namespace", "the pod's own, where there is an operator"),
    ("pod-name", "the pod's own, where there is an operator"),
    ("pod-uid", "the pod's own, where there is an operator"),
    ("pool-file", "made of `pools`"),
    ("pool-floor", "in the file of `pools`"),
    ("pool-limit", "in the file of `pools`"),
    ("pool-ceiling", "in the file of `pools`"),
    ("pool-max-wait-ms", "in the file of `pools`"),
    ("statement-timeout-ms", "in the file of `pools`"),
    ("relay-pool-limit", "in the file of `pools`"),
    ("catalogue", "a Service of the chart"),
    ("cart", "a Service of the chart"),
    ("checkout", "a Service of the chart"),
    ("delivery", "a Service of the chart"),
    ("smtp-url", "`checkout.mail`"),
    ("mail-folder", "`checkout.mail`"),
    ("seed", "`samples`, a Job, so that instances needn't agree on who does it"),
];

fn of(service: &str) -> Value {
    schema(&format!("selvage-{service}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// `mail-from` is `mailFrom` in values.
fn in_camel_case(name: &str) -> String {
    let mut parts = name.split(['-', '_']);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let (head, tail) = part.split_at(1);
        all + &head.to_uppercase() + tail
    })
}

fn values() -> Value {
    let text = std::fs::read_to_string(chart().join("values.yaml")).expect("values");
    serde_saphyr::from_str(&text).expect("YAML")
}

fn values_schema() -> Value {
    let text = std::fs::read_to_string(chart().join("values.schema.json")).expect("a schema");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn every_option_can_be_set_by_a_value_or_is_set_by_the_template() {
    let (values, bounds) = (values(), values_schema());
    for service in SERVICES {
        let binary = of(service);
        let mut named = BTreeSet::new();
        for option in list(&binary, "options") {
            let name = text(option, "name");
            let key = in_camel_case(name);
            let value = &values[service]["options"][&key];
            if value.is_null() {
                assert!(BY_TEMPLATE.iter().any(|(known, _)| *known == name), "{service}: nothing sets --{name}");
                continue;
            }
            let about = format!("{service}.options.{key}");
            let rule = &bounds["properties"][service]["properties"]["options"]["properties"][&key];
            // web's threads are as many as the machine's by default, which in a pod is the node's.
            if option["default"] != Value::Null {
                assert_eq!(*value, option["default"], "{about}");
            }
            for bound in ["minimum", "maximum"] {
                assert_eq!(rule[bound], option[bound], "{about}: {bound}");
            }
            let variable = format!("SELVAGE_{}", name.replace('-', "_").to_uppercase());
            assert_eq!(text(option, "variable"), variable, "{about} is set by this variable");
            named.insert(key);
        }
        let all = values[service]["options"].as_object().expect("options");
        let unknown: Vec<_> = all.keys().filter(|key| !named.contains(*key)).collect();
        assert!(unknown.is_empty(), "{service} has no options {unknown:?}");
    }
}

#[test]
fn pools_have_the_defaults_and_the_bounds_of_the_services() {
    let (values, bounds) = (values(), values_schema());
    let rules = &bounds["$defs"]["pool"]["properties"];
    for service in SERVICES {
        let binary = of(service);
        let pools: BTreeSet<_> = list(&binary, "pools").iter().map(|pool| text(pool, "name")).collect();
        let ours = values[service]["pools"].as_object();
        let ours: BTreeSet<_> = ours.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        assert_eq!(ours, pools, "{service}");
        for pool in list(&binary, "pools") {
            let said = values[service]["pools"][text(pool, "name")].as_object().expect("a pool");
            let settings = list(pool, "settings");
            assert_eq!(said.len(), settings.len(), "{pool}");
            for setting in settings {
                let key = in_camel_case(text(setting, "name"));
                let about = format!("{service}.pools.{}.{key}", text(pool, "name"));
                // A ceiling that isn't said is the limit.
                let is_unsaid = key == "ceiling" && said[&key] == 0;
                assert!(is_unsaid || said[&key] == setting["default"], "{about}: {} and {setting}", said[&key]);
                let least = if key == "ceiling" { &json!(0) } else { &setting["minimum"] };
                assert_eq!((&rules[&key]["minimum"], &rules[&key]["maximum"]), (least, &setting["maximum"]), "{about}");
            }
        }
    }
}

#[test]
fn pods_listen_are_called_and_probed_where_the_binaries_are() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::of("ci/playground-values.yaml"));
    let port = |binary: &Value, option: &str| {
        let option = list(binary, "options").iter().find(|known| text(known, "name") == option).expect("a listener");
        text(option, "default").rsplit_once(':').expect("a port").1.parse::<u64>().expect("a number")
    };
    for service in SERVICES {
        let binary = of(service);
        let name = format!("shop-selvage-{service}");
        let deployment = objects.one("Deployment", &name);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let (own, metrics) = (port(&binary, "listen"), port(&binary, "metrics-listen"));
        let ports: Vec<_> = list(container, "ports").iter().map(|port| port["containerPort"].as_u64()).collect();
        assert_eq!(ports, [Some(own), Some(metrics)], "{service}");
        let served: Vec<_> = list(&objects.one("Service", &name)["spec"], "ports").to_vec();
        assert_eq!(served[0]["targetPort"], if service == "web" { "http" } else { "grpc" });
        let variables = variables(container);
        let value = |name: &str| variables.get(name).map(|variable| text(variable, "value")).unwrap_or_default();
        assert_eq!(value("SELVAGE_LISTEN"), format!("0.0.0.0:{own}"));
        assert_eq!(value("SELVAGE_METRICS_LISTEN"), format!("0.0.0.0:{metrics}"));
        // Whoever it calls by an option it finds at the Service of that name.
        for option in list(&binary, "options").iter().filter(|option| text(option, "type") == "target") {
            let called = text(option, "name");
            // Those are said where there is an operator: `chart::operator` has that.
            if ["broker", "operator"].contains(&called) {
                continue;
            }
            let at = port(&of(called), "listen");
            assert_eq!(value(text(option, "variable")), format!("shop-selvage-{called}:{at}"), "{service}");
        }
        // Each variable of ours is one that the binary knows.
        let known: BTreeSet<_> = list(&binary, "options").iter().map(|option| text(option, "variable")).collect();
        let unknown = variables.keys().filter(|name| name.starts_with("SELVAGE_") && !known.contains(**name));
        assert_eq!(unknown.count(), 0, "{service}: {variables:?}");
        // And each that it can't start without is said.
        for option in list(&binary, "options").iter().filter(|option| option["required"] == true) {
            assert!(variables.contains_key(text(option, "variable")), "{service}: {option}");
        }
    }
}

/// The grace period is the sum of the parts in which a process ends, whatever the first of them is set to.
#[test]
fn the_grace_period_is_the_sum_of_the_end() {
    let Some(helm) = helm() else { return };
    for service in SERVICES {
        let ending = of(service)["ending"].clone();
        let part = |name: &str| ending[name].as_u64().expect("a part");
        for lame_duck in [0, 200, part("lame_duck_max_ms")] {
            let objects = helm.objects(&Values::none().with(&json!({"lameDuckMs": lame_duck})));
            let spec = &objects.one("Deployment", &format!("shop-selvage-{service}"))["spec"]["template"]["spec"];
            let parts = part("drain_ms") + part("close_ms") + part("flush_ms") + part("spare_ms");
            let sum = (lame_duck + parts).div_ceil(1000);
            assert_eq!(
                spec["terminationGracePeriodSeconds"], sum,
                "{service} with a lame-duck pause of {lame_duck} ms"
            );
            let variables = variables(&spec["containers"][0]);
            assert_eq!(variables["SELVAGE_LAME_DUCK_MS"]["value"], lame_duck.to_string());
        }
        let beyond = part("lame_duck_max_ms") + 1;
        let refused = helm.template(&Values::none().with(&json!({"lameDuckMs": beyond})));
        assert!(refused.is_err_and(|error| error.contains("lameDuckMs")));
    }
}

/// The file of tunings that is mounted is read by the same code as `--pool-file`, and says what the values say.
#[test]
fn the_file_of_tunings_is_one_that_the_services_read() {
    let Some(helm) = helm() else { return };
    let pools = json!({"checkout": {"pools": {"checkout-relay": {"limit": 2, "ceiling": 7}}}});
    let objects = helm.objects(&Values::none().with(&pools));
    let folder = tempfile::tempdir().expect("a folder");
    let mut all = String::new();
    for service in &SERVICES[..4] {
        let map = objects.one("ConfigMap", &format!("shop-selvage-{service}-pools"));
        all += text(&map["data"], "pools.toml");
        all += "\n";
    }
    let path = folder.path().join("pools.toml");
    std::fs::write(&path, &all).expect("it is written");
    let file = selvage_boot::TuningFile::read(&path).unwrap_or_else(|error| panic!("{error:#}\n{all}"));
    let named: BTreeSet<_> = file.pools().collect();
    assert_eq!(named, ["cart", "catalogue", "checkout", "checkout-provider", "checkout-relay", "delivery"].into());
    let relay =
        selvage_boot::Tuned { name: "checkout-relay", tune: |_| {} }.config("postgres://localhost/any", Some(&file));
    assert_eq!((relay.limit, relay.ceiling, relay.floor), (2, Some(7), Some(1)));
}
