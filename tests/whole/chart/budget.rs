//! The chart adds up connections as `selvage budget check` does: the same numbers, the same verdict, the same words.

use std::fmt::Write as _;
use std::process::Command;

use selvage_pool::budget::{Check, Client, Server};
use selvage_tests::helm::{Helm, Values};
use selvage_tests::process::binary;
use serde_json::{Value, json};

use super::helm;

/// The services with their pools.
const SERVICES: [(&str, &[&str]); 4] = [
    ("catalogue", &["catalogue"]),
    ("cart", &["cart"]),
    ("checkout", &["checkout", "checkout-relay", "checkout-provider"]),
    ("delivery", &["delivery"]),
];

/// Numbers that look like chance and are the same in each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, least: u32, most: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let span = u64::from(most - least) + 1;
        least + u32::try_from((mixed ^ (mixed >> 31)) % span).expect("below the span")
    }
}

/// A deployment: what the chart is told of it, and what the pools' own arithmetic is told.
struct Case {
    values: Value,
    server: Server,
    clients: Vec<Client>,
}

impl Case {
    fn chosen(numbers: &mut Numbers) -> Self {
        let mut values = json!({});
        let mut clients = Vec::new();
        for (service, pools) in SERVICES {
            let (replicas, surge) = (numbers.next(0, 9), numbers.next(0, 3));
            // 0 leaves it to the rule that both have: one more than there are.
            let most = if numbers.next(0, 2) == 0 { 0 } else { replicas + numbers.next(1, 9) };
            let (mut limit, mut floor) = (0, 0);
            let mut said = json!({});
            for pool in pools {
                let own_floor = numbers.next(1, 4);
                let own_limit = own_floor + numbers.next(0, 20);
                said[*pool] = json!({"floor": own_floor, "limit": own_limit});
                limit += own_limit;
                floor += own_floor;
            }
            values[service] = json!({
                "replicas": replicas, "maxReplicas": most, "pools": said,
                "strategy": {"maxSurge": surge, "maxUnavailable": 1},
            });
            let max_replicas = if most == 0 { replicas + 1 } else { most };
            clients.push(Client { name: service.to_owned(), replicas, max_replicas, surge, limit, floor });
        }
        let server = Server {
            max_connections: numbers.next(1, 900),
            reserved: numbers.next(0, 9),
            reserve: numbers.next(0, 99),
            others: numbers.next(0, 20),
        };
        values["budget"] = json!({"servers": {"main": {
            "maxConnections": server.max_connections, "reserved": server.reserved, "reserve": server.reserve,
            "others": server.others,
        }}});
        Self { values, server, clients }
    }

    /// Renders it and compares with the pools' own arithmetic; whether it was rendered.
    fn compare(&self, helm: &Helm, with_operator: bool) -> bool {
        let mut values = self.values.clone();
        values["budget"]["withOperator"] = with_operator.into();
        let check = Check::new(self.server, &self.clients);
        let (fits, words) = (if with_operator { check.floors_fit() } else { check.fixed_fits() }, check.to_string());
        match helm.template(&Values::none().with(&values)) {
            Ok(text) => {
                assert!(fits, "the chart rendered what doesn't fit: {values}\n{words}");
                let objects = selvage_tests::helm::Objects::read(&text);
                let said = objects.one("ConfigMap", "shop-selvage-budget");
                assert_eq!(said["data"]["main"].as_str(), Some(words.as_str()), "{values}");
                self.compare_limits(&objects, with_operator);
            }
            Err(error) => {
                assert!(!fits, "the chart refused what fits: {values}\n{error}");
                assert!(error.contains(&words), "other words: {values}\n{error}\n{words}");
            }
        }
        fits
    }

    /// What the database itself is told, by ALTER ROLE, is the service's part of the sum; with an operator, what its pods may be
    /// granted at the most.
    fn compare_limits(&self, objects: &selvage_tests::helm::Objects, with_operator: bool) {
        for client in &self.clients {
            let (replicas, most, surge) = (client.replicas, client.max_replicas, client.surge);
            let part = if with_operator {
                ((2 * most + surge) * client.limit).min(self.server.budget())
            } else {
                (replicas + surge) * client.limit
            };
            let prefix = format!("shop-selvage-{}-migrate-", client.name);
            let job = objects.of_kind("Job").find(|job| selvage_tests::helm::name(job).starts_with(&prefix));
            let arguments = &job.expect("a migration")["spec"]["template"]["spec"]["containers"][0]["args"];
            let wanted = if part == 0 { None } else { Some(Value::from(format!("--connection-limit={part}"))) };
            let found = arguments.as_array().into_iter().flatten();
            let found = found.into_iter().find(|argument| argument.as_str().unwrap_or_default().contains("connection"));
            assert_eq!(found, wanted.as_ref(), "{}", client.name);
        }
    }
}

#[test]
fn the_chart_and_the_pools_add_up_alike() {
    let Some(helm) = helm() else { return };
    let mut numbers = Numbers(12);
    let (mut fit, mut refused) = (0, 0);
    // Each renders twice in a tenth of a second; half of them fit.
    for _ in 0..24 {
        let case = Case::chosen(&mut numbers);
        for with_operator in [false, true] {
            *(if case.compare(&helm, with_operator) { &mut fit } else { &mut refused }) += 1;
        }
    }
    assert!(fit >= 10 && refused >= 10, "{fit} fit and {refused} don't: too few of one kind to compare");
}

#[test]
fn at_the_edge_one_connection_decides() {
    let Some(helm) = helm() else { return };
    // By default (2 + 1) × (8 + 4 + 13 + 4) = 87, and with an operator (3 + 1 + 3) × (2 + 2 + 4 + 2) = 70.
    for (with_operator, sum) in [(false, 87), (true, 70)] {
        let with = |connections: u32| {
            let server = json!({"maxConnections": connections, "reserved": 3, "reserve": 2, "others": 5});
            let budget = json!({"withOperator": with_operator, "servers": {"main": server}});
            helm.template(&Values::none().with(&json!({"budget": budget})))
        };
        assert!(with(sum + 10).is_ok());
        let error = with(sum + 9).expect_err("one too few");
        let words = format!("{sum} > {}: does NOT fit, 1 too many", sum - 1);
        assert!(error.contains(&words) && error.contains(&format!("raise max_connections to {}", sum + 10)), "{error}");
    }
}

/// The command itself, given the file of tunings that the chart mounts and the replicas of its values, says the same.
#[test]
fn the_command_and_the_chart_say_the_same() {
    let Some(helm) = helm() else { return };
    let mut numbers = Numbers(2026);
    for _ in 0..4 {
        let mut case = Case::chosen(&mut numbers);
        // It must be rendered for its files to be there.
        case.server = Server { max_connections: 60_000, ..case.server };
        case.values["budget"]["servers"]["main"]["maxConnections"] = 60_000.into();
        let objects = helm.objects(&Values::none().with(&case.values));
        let folder = tempfile::tempdir().expect("a folder");
        let (path, mut pools) = (folder.path().join("pools.toml"), String::new());
        let mut command = Command::new(binary("selvage"));
        command.args(["budget", "check"]);
        for client in &case.clients {
            let map = objects.one("ConfigMap", &format!("shop-selvage-{}-pools", client.name));
            writeln!(pools, "{}", map["data"]["pools.toml"].as_str().expect("a file")).expect("a text");
            let Client { name, replicas, max_replicas: most, surge, .. } = client;
            command.arg("--service").arg(format!("{name}:replicas={replicas},max={most},surge={surge}"));
        }
        std::fs::write(&path, pools).expect("it is written");
        let Server { max_connections, reserved, reserve, others } = case.server;
        command.arg("--pool-file").arg(&path);
        for (option, number) in [
            ("--max-connections", max_connections),
            ("--reserved", reserved),
            ("--reserve", reserve),
            ("--others", others),
        ] {
            command.arg(option).arg(number.to_string());
        }
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = objects.one("ConfigMap", "shop-selvage-budget")["data"]["main"].as_str().expect("words");
        assert_eq!(String::from_utf8_lossy(&output.stdout), said);
    }
}

/// Services on servers of their own have sums of their own.
#[test]
fn each_server_has_its_own_sum() {
    let Some(helm) = helm() else { return };
    let server = |connections: u32| json!({"maxConnections": connections, "reserved": 3, "reserve": 2, "others": 5});
    let values = json!({
        "budget": {"servers": {"main": server(58), "orders": server(49)}},
        "checkout": {"database": {"server": "orders"}},
    });
    let objects = helm.objects(&Values::none().with(&values));
    let said = &objects.one("ConfigMap", "shop-selvage-budget")["data"];
    assert!(said["orders"].as_str().is_some_and(|words| words.contains("39 ≤ 39: fits")), "{said}");
    assert!(said["main"].as_str().is_some_and(|words| words.contains("48 ≤ 48: fits")), "{said}");
    let mut narrow = values;
    narrow["budget"]["servers"]["orders"]["maxConnections"] = 48.into();
    let error = helm.template(&Values::none().with(&narrow)).expect_err("it doesn't fit");
    assert!(error.contains("at the server 'orders'") && error.contains("39 > 38"), "{error}");
}

/// An autoscaler that counts no connections may start all pods that there may be: the sum and the role's limit are of those.
#[test]
fn another_autoscaler_than_the_operator_is_counted_with_its_most_replicas() {
    let Some(helm) = helm() else { return };
    let with = |most: u32, connections: u32| {
        helm.template(&Values::none().with(&json!({
            "checkout": {"scaledBy": "autoscaler", "replicasHandedOver": true, "maxReplicas": most},
            "budget": {"servers": {"main": {"maxConnections": connections}}},
        })))
    };
    // (2 + 1) × (8 + 4 + 4) + (6 + 1) × 13 = 139, and 10 that aren't for the services.
    let error = with(6, 148).expect_err("one too few");
    assert!(error.contains("139 > 138: does NOT fit, 1 too many"), "{error}");
    let objects = selvage_tests::helm::Objects::read(&with(6, 149).expect("it fits"));
    let job =
        objects.of_kind("Job").find(|job| selvage_tests::helm::name(job).starts_with("shop-selvage-checkout-migrate-"));
    let arguments = &job.expect("a migration")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(arguments.to_string().contains("--connection-limit=91"), "{arguments}");
}

/// A pooler changes what the sum means: it is refused, or its size is in the sum.
#[test]
fn a_pooler_is_refused_or_counted() {
    let Some(helm) = helm() else { return };
    let with = |pooler: Value| {
        let mut server = json!({"maxConnections": 200, "reserved": 3, "reserve": 2, "others": 5});
        server.as_object_mut().expect("a map").extend(pooler.as_object().expect("a map").clone());
        helm.template(&Values::none().with(&json!({"budget": {"servers": {"main": server}}})))
    };
    for mode in ["transaction", "statement"] {
        let error = with(json!({"pooler": mode})).expect_err("it can't work");
        for reason in ["prepared by name", "set for a session", "pool_mode = session"] {
            assert!(error.contains(reason), "{error}");
        }
    }
    // The largest service opens (2 + 1) × 13 = 39, and four times 48 is more than the budget of 190.
    assert!(with(json!({"pooler": "session", "poolSize": 39})).is_ok());
    let small = with(json!({"pooler": "session", "poolSize": 38})).expect_err("checkout would wait in it");
    assert!(
        small.contains("checkout opens up to (2 + 1) × 13 = 39 connections, and the pooler passes on 38"),
        "{small}"
    );
    let large = with(json!({"pooler": "session", "poolSize": 48})).expect_err("the server can't have them");
    assert!(large.contains("up to 192 sessions, 48 for each service, and the budget is 190"), "{large}");
}
