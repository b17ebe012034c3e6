//! The network policies, evaluated as a cluster that enforces them would: a table of ways that must be open and of ways that
//! must be shut.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use selvage_tests::helm::{Objects, Values};
use serde_json::{Value, json};

use super::helm;

/// The release's namespace.
const OWN: &str = "selvage";

/// Somebody at one end of a connection.
#[derive(Clone, Debug)]
struct Party {
    /// Of a pod; who stands outside has none.
    namespace: Option<&'static str>,
    labels: BTreeMap<String, String>,
    address: Ipv4Addr,
}

impl Party {
    /// A pod of the release.
    fn own(component: &str) -> Self {
        let labels = [("name", "selvage"), ("instance", "shop"), ("component", component)];
        let labels = labels.map(|(key, value)| (format!("app.kubernetes.io/{key}"), value.to_owned()));
        Self { namespace: Some(OWN), labels: labels.into(), address: Ipv4Addr::new(10, 244, 1, 7) }
    }

    /// A pod of somebody else's.
    fn pod(namespace: &'static str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { namespace: Some(namespace), labels, address: Ipv4Addr::new(10, 244, 2, 9) }
    }

    /// Who isn't a pod.
    fn outside(address: [u8; 4]) -> Self {
        Self { namespace: None, labels: BTreeMap::new(), address: address.into() }
    }
}

/// Whether `selector` chooses what has `labels`.
fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    assert!(selector["matchExpressions"].is_null(), "the evaluation knows no expressions: {selector}");
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    wanted.into_iter().all(|(key, value)| labels.get(key).is_some_and(|label| *value == *label))
}

/// Whether a block of addresses has `address` in it.
fn holds(block: &Value, address: Ipv4Addr) -> bool {
    let within = |cidr: &str| {
        let (network, bits) = cidr.split_once('/').expect("a block");
        let (network, bits): (Ipv4Addr, u32) = (network.parse().expect("an address"), bits.parse().expect("bits"));
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        address.to_bits() & mask == network.to_bits() & mask
    };
    let except = block["except"].as_array().into_iter().flatten();
    within(block["cidr"].as_str().expect("a block"))
        && !except.into_iter().any(|cidr| within(cidr.as_str().expect("a block")))
}

/// Whether a peer of a policy is `party`.
fn is(peer: &Value, party: &Party) -> bool {
    if !peer["ipBlock"].is_null() {
        return party.namespace.is_none() && holds(&peer["ipBlock"], party.address);
    }
    let Some(namespace) = party.namespace else { return false };
    let named = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]);
    let in_namespace = match &peer["namespaceSelector"] {
        Value::Null => namespace == OWN,
        selector => selects(selector, &named),
    };
    in_namespace && selects(&peer["podSelector"], &party.labels)
}

/// Whether a rule lets `party` through on a port.
fn lets(rule: &Value, peers: &str, party: &Party, port: (&str, u64)) -> bool {
    let on_port = rule["ports"].as_array().is_none_or(|ports| {
        ports.iter().any(|known| known["protocol"] == port.0 && (known["port"].is_null() || known["port"] == port.1))
    });
    on_port && rule[peers].as_array().is_none_or(|all| all.iter().any(|peer| is(peer, party)))
}

/// Whether the policies of one side, `Ingress` or `Egress`, let `own` have to do with `other`.
fn side(objects: &Objects, kind: &str, own: &Party, other: &Party, port: (&str, u64)) -> bool {
    if own.namespace != Some(OWN) {
        return true;
    }
    let (rules, peers) = if kind == "Ingress" { ("ingress", "from") } else { ("egress", "to") };
    let about = |policy: &&Value| {
        let types = policy["spec"]["policyTypes"].as_array().expect("types are written out");
        types.iter().any(|known| known == kind) && selects(&policy["spec"]["podSelector"], &own.labels)
    };
    let policies: Vec<_> = objects.of_kind("NetworkPolicy").filter(about).collect();
    let all = policies.iter().flat_map(|policy| policy["spec"][rules].as_array().into_iter().flatten());
    policies.is_empty() || all.into_iter().any(|rule| lets(rule, peers, other, port))
}

fn is_open(objects: &Objects, from: &Party, to: &Party, port: (&str, u64)) -> bool {
    side(objects, "Egress", from, to, port) && side(objects, "Ingress", to, from, port)
}

const TCP: &str = "TCP";
const UDP: &str = "UDP";

/// Everybody of the release with the port that it is called at, where it is called.
const PARTIES: [(&str, Option<u64>); 11] = [
    ("web", Some(8080)),
    ("catalogue", Some(50051)),
    ("cart", Some(50052)),
    ("checkout", Some(50053)),
    ("delivery", Some(50054)),
    ("postgres", Some(5432)),
    ("catalogue-migrate", None),
    ("delivery-migrate", None),
    ("samples", None),
    ("keys", None),
    ("test", None),
];

/// Who calls whom within the release of the playground.
const CALLS: &[(&str, &[&str])] = &[
    ("web", &["catalogue", "cart", "checkout", "delivery"]),
    ("catalogue", &["checkout", "postgres"]),
    ("cart", &["catalogue", "postgres"]),
    ("checkout", &["cart", "catalogue", "delivery", "postgres"]),
    ("delivery", &["postgres"]),
    ("catalogue-migrate", &["postgres"]),
    ("delivery-migrate", &["postgres"]),
    ("samples", &["postgres"]),
    ("keys", &[]),
    ("test", &["web"]),
    ("postgres", &[]),
];

#[test]
fn within_the_shop_exactly_the_needed_ways_are_open() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::of("ci/playground-values.yaml"));
    let (mut open, mut shut) = (0, 0);
    for (from, _) in PARTIES {
        let (_, called) = CALLS.iter().find(|(name, _)| *name == from).expect("everybody is in the table");
        for (to, port) in PARTIES {
            let Some(port) = port else { continue };
            // The pages are for everybody who comes from outside, but a pod of the shop needs a way out of its own.
            let wanted = called.contains(&to);
            let found = is_open(&objects, &Party::own(from), &Party::own(to), (TCP, port));
            assert_eq!(found, wanted, "{from} to {to}:{port}");
            *(if wanted { &mut open } else { &mut shut }) += 1;
        }
    }
    assert!((open, shut) == (17, 49), "the table has {open} open ways and {shut} that are shut");
}

#[test]
fn the_operator_is_asked_by_services_and_pages_and_asks_the_database_the_api_server_and_its_leader() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&super::with_operator());
    let operator = Party::own("operator");
    for (component, _) in PARTIES {
        let asks = ["catalogue", "cart", "checkout", "delivery", "web"].contains(&component);
        assert_eq!(is_open(&objects, &Party::own(component), &operator, (TCP, 50060)), asks, "{component}");
        assert_eq!(is_open(&objects, &operator, &Party::own(component), (TCP, 5432)), component == "postgres");
        assert!(!is_open(&objects, &operator, &Party::own(component), (TCP, 8080)));
    }
    assert!(is_open(&objects, &operator, &operator, (TCP, 50060)), "one that doesn't lead asks the one that does");
    assert!(is_open(&objects, &operator, &Party::outside([10, 96, 0, 1]), (TCP, 443)), "the API server");
    assert!(!is_open(&objects, &Party::pod("elsewhere", &[]), &operator, (TCP, 50060)));
}

#[test]
fn the_operator_reads_metrics_of_others_where_it_is_let() {
    let Some(helm) = helm() else { return };
    let (operator, java) = (Party::own("operator"), Party::pod(OWN, &[("app", "invoices")]));
    let elsewhere = Party::pod("elsewhere", &[("app", "invoices")]);
    let closed = helm.objects(&super::with_operator());
    assert!(!is_open(&closed, &operator, &java, (TCP, 8080)));
    let ports = super::with_operator().with(&json!({"networkPolicy": {"scrapePorts": [8080]}}));
    let open = helm.objects(&ports);
    assert!(is_open(&open, &operator, &java, (TCP, 8080)) && is_open(&open, &operator, &elsewhere, (TCP, 8080)));
    assert!(!is_open(&open, &operator, &java, (TCP, 8081)) && !is_open(&open, &Party::own("cart"), &java, (TCP, 8080)));
    let to = json!([{"podSelector": {"matchLabels": {"app": "invoices"}}}]);
    let narrowed = helm.objects(&ports.with(&json!({"networkPolicy": {"scrapePorts": [8080], "scrapeTo": to}})));
    assert!(
        is_open(&narrowed, &operator, &java, (TCP, 8080)) && !is_open(&narrowed, &operator, &elsewhere, (TCP, 8080))
    );
}

#[test]
fn pods_of_others_attach_to_the_operator_where_they_are_let() {
    let Some(helm) = helm() else { return };
    let (operator, stars) = (Party::own("operator"), Party::pod(OWN, &[("app", "stars")]));
    let let_in = json!({"networkPolicy": {"brokerFrom": [{"podSelector": {"matchLabels": {"app": "stars"}}}]}});
    for (values, is_let) in [(super::with_operator(), false), (super::with_operator().with(&let_in), true)] {
        let objects = helm.objects(&values);
        assert_eq!(is_open(&objects, &stars, &operator, (TCP, 50060)), is_let);
        assert!(!is_open(&objects, &Party::pod("elsewhere", &[("app", "stars")]), &operator, (TCP, 50060)));
        assert!(is_open(&objects, &Party::own("cart"), &operator, (TCP, 50060)));
    }
}

#[test]
fn names_are_looked_up_and_nothing_else_is_reached_outside() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::of("ci/playground-values.yaml"));
    let dns = Party::pod("kube-system", &[("k8s-app", "kube-dns")]);
    let other = Party::pod("kube-system", &[("k8s-app", "dashboard")]);
    let cache = Party::outside([169, 254, 20, 10]);
    let (metadata, internet) = (Party::outside([169, 254, 169, 254]), Party::outside([93, 184, 216, 34]));
    for (component, _) in PARTIES {
        let own = Party::own(component);
        let looks_up = component != "postgres";
        for port in [(UDP, 53), (TCP, 53)] {
            assert_eq!(is_open(&objects, &own, &dns, port), looks_up, "{component} asks the name server");
            assert_eq!(is_open(&objects, &own, &cache, port), looks_up, "{component} asks the node's cache");
            assert!(!is_open(&objects, &own, &other, port) && !is_open(&objects, &own, &internet, port));
        }
        assert!(!is_open(&objects, &own, &metadata, (TCP, 80)), "{component} must not reach the cloud's metadata");
        let api = is_open(&objects, &own, &Party::outside([10, 96, 0, 1]), (TCP, 443));
        assert_eq!(api, component == "keys", "{component} and the API server");
        assert!(!is_open(&objects, &own, &internet, (TCP, 80)));
    }
}

#[test]
fn from_outside_only_the_pages_are_reached() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::of("ci/playground-values.yaml"));
    let strangers =
        [Party::pod("elsewhere", &[]), Party::pod(OWN, &[("app", "stranger")]), Party::outside([192, 0, 2, 1])];
    for stranger in &strangers {
        for (component, port) in PARTIES {
            for port in port.into_iter().chain([9464, 9465, 9466, 9467, 9468]) {
                let found = is_open(&objects, stranger, &Party::own(component), (TCP, port));
                assert_eq!(found, (component, port) == ("web", 8080), "{stranger:?} to {component}:{port}");
            }
        }
    }
}

#[test]
fn what_is_configured_opens_its_way_and_no_other() {
    let Some(helm) = helm() else { return };
    let small = Values::of("ci/small-values.yaml");
    let objects = helm.objects(&small);
    let prometheus = Party::pod("monitoring", &[("app", "prometheus")]);
    let elsewhere = Party::pod("elsewhere", &[("app", "prometheus")]);
    let collector = Party::pod("observability", &[("app", "collector")]);
    for (component, metrics) in [("catalogue", 9464), ("checkout", 9466), ("web", 9468)] {
        let own = Party::own(component);
        assert!(is_open(&objects, &prometheus, &own, (TCP, metrics)), "{component}'s metrics");
        assert!(!is_open(&objects, &elsewhere, &own, (TCP, metrics)), "{component}'s metrics are for Prometheus alone");
        assert!(!is_open(&objects, &prometheus, &own, (TCP, 50051)));
        assert!(is_open(&objects, &own, &collector, (TCP, 4317)), "{component} sends its traces");
    }
    let mail = Party::outside([192, 0, 2, 25]);
    assert!(is_open(&objects, &Party::own("checkout"), &mail, (TCP, 465)));
    assert!(!is_open(&objects, &Party::own("cart"), &mail, (TCP, 465)), "only checkout sends mail");
    let database = Party::outside([192, 0, 2, 54]);
    assert!(is_open(&objects, &Party::own("cart"), &database, (TCP, 5432)));
    assert!(!is_open(&objects, &Party::own("web"), &database, (TCP, 5432)), "web has no database");

    // Narrowed, nothing but what was named is left.
    let narrowed = small.clone().with(&json!({"networkPolicy": {
        "webFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
        "databaseTo": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}}],
        "collectorTo": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}],
    }}));
    let objects = helm.objects(&narrowed);
    let web = Party::own("web");
    assert!(is_open(&objects, &Party::pod("ingress", &[]), &web, (TCP, 8080)));
    assert!(
        !is_open(&objects, &elsewhere, &web, (TCP, 8080)) && is_open(&objects, &Party::own("test"), &web, (TCP, 8080))
    );
    assert!(is_open(&objects, &Party::own("cart"), &database, (TCP, 5432)));
    assert!(!is_open(&objects, &Party::own("cart"), &Party::outside([192, 0, 2, 200]), (TCP, 5432)));
    assert!(is_open(&objects, &web, &collector, (TCP, 4317)) && !is_open(&objects, &web, &elsewhere, (TCP, 4317)));

    // The API server's place, for the Job that makes keys.
    let api = Values::of("ci/playground-values.yaml")
        .with(&json!({"networkPolicy": {"apiServerTo": [{"ipBlock": {"cidr": "172.30.0.1/32"}}]}}));
    let objects = helm.objects(&api);
    let keys = Party::own("keys");
    assert!(is_open(&objects, &keys, &Party::outside([172, 30, 0, 1]), (TCP, 6443)));
    assert!(!is_open(&objects, &keys, &Party::outside([172, 30, 0, 2]), (TCP, 6443)));

    // The collector's port is its address's.
    for (endpoint, port) in
        [("http://10.0.0.5", 80), ("https://traces.example.org", 443), ("http://[fd00::1]:4318/", 4318)]
    {
        let values = json!({"telemetry": {"otlp": {"endpoint": endpoint}}});
        let objects = helm.objects(&Values::none().with(&values));
        for known in [80, 443, 4317, 4318] {
            assert_eq!(is_open(&objects, &web, &database, (TCP, known)), known == port, "{endpoint} and {known}");
        }
    }

    let off = helm.objects(&Values::none().with(&json!({"networkPolicy": {"enabled": false}})));
    assert_eq!(off.of_kind("NetworkPolicy").count(), 0);
}

/// The evaluation itself: it is what the tests above trust.
#[test]
fn a_policy_is_evaluated_as_kubernetes_does() {
    let policy = |spec: Value| {
        let object = json!({"kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": spec});
        Objects::read(&serde_json::to_string(&object).expect("JSON"))
    };
    let (web, cart) = (Party::own("web"), Party::own("cart"));
    let none = Objects::read("kind: Namespace\n");
    assert!(is_open(&none, &web, &cart, (TCP, 1)), "without a policy everything is open");
    let deny = policy(json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
    assert!(!is_open(&deny, &web, &cart, (TCP, 1)));
    assert!(is_open(&deny, &web, &Party::outside([192, 0, 2, 1]), (TCP, 1)), "it says nothing of the way out");
    let from_all = policy(json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}));
    assert!(is_open(&from_all, &web, &cart, (TCP, 1)));
    let one = policy(json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [
        {"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "web"}}}],
         "ports": [{"port": 7, "protocol": "TCP"}]},
    ]}));
    assert!(is_open(&one, &web, &cart, (TCP, 7)));
    assert!(!is_open(&one, &web, &cart, (TCP, 8)) && !is_open(&one, &web, &cart, (UDP, 7)));
    assert!(!is_open(&one, &cart, &web, (TCP, 7)));
    let labels = [("app.kubernetes.io/component", "web")];
    assert!(
        !is_open(&one, &Party::pod("elsewhere", &labels), &cart, (TCP, 7)),
        "a pod's selector is for one namespace"
    );
}
