//! What can be set of each process, as it says itself, for programs that read.

use std::collections::BTreeSet;
use std::process::Command;

use selvage_tests::process::binary;
use serde_json::Value;

const PROCESSES: [&str; 6] =
    ["selvage", "selvage-cart", "selvage-catalogue", "selvage-checkout", "selvage-delivery", "selvage-web"];

/// What can be set of a process, as it prints it.
pub(crate) fn schema(process: &str) -> Value {
    let printed = Command::new(binary(process)).arg("schema").env("SELVAGE_POOL_LIMIT", "9").output().expect("it runs");
    assert!(printed.status.success(), "{process}: {}", String::from_utf8_lossy(&printed.stderr));
    serde_json::from_slice(&printed.stdout).expect("JSON")
}

fn options(schema: &Value) -> &[Value] {
    schema["options"].as_array().expect("a list")
}

fn option<'a>(schema: &'a Value, name: &str) -> &'a Value {
    options(schema).iter().find(|option| option["name"] == name).unwrap_or_else(|| panic!("there is no option {name}"))
}

#[test]
fn every_option_says_all_of_itself_and_is_in_the_help() {
    for process in PROCESSES {
        let schema = schema(process);
        let help = Command::new(binary(process)).args(["serve", "--help"]).output().expect("it runs");
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        let helped: BTreeSet<_> = help
            .lines()
            .filter_map(|line| line.trim_start().split("--").nth(1).filter(|_| line.trim_start().starts_with('-')))
            .map(|rest| rest.split([' ', ',']).next().unwrap_or_default().to_owned())
            .filter(|name| !["help", "version"].contains(&&**name))
            .collect();
        let named: BTreeSet<_> =
            options(&schema).iter().map(|option| option["name"].as_str().expect("a name").to_owned()).collect();
        assert_eq!(named, helped, "{process}");
        for option in options(&schema) {
            let about = format!("{process}: {option}");
            let text = |key: &str| option[key].as_str().unwrap_or_default();
            assert!(text("variable").starts_with("SELVAGE_") && !text("help").is_empty(), "{about}");
            match text("type") {
                "integer" => {
                    let [least, most] = ["minimum", "maximum"].map(|key| option[key].as_i64().expect(&about));
                    assert!(least < most && !text("unit").is_empty(), "{about}");
                    let default = option["default"].as_i64();
                    assert!(default.is_none_or(|default| (least..=most).contains(&default)), "{about}");
                }
                "enumeration" => assert!(option["values"].as_array().is_some_and(|values| values.len() > 1), "{about}"),
                "boolean" => assert_eq!(option["default"], false, "{about}"),
                kind => assert!(["listener", "target", "time", "path", "url", "text"].contains(&kind), "{about}"),
            }
        }
    }
}

/// A bound is what the process itself takes: one more or less is refused.
#[test]
fn bounds_are_those_of_the_process() {
    let checkout = schema("selvage-checkout");
    let hold = option(&checkout, "hold-stock");
    assert_eq!((&hold["minimum"], &hold["maximum"], &hold["unit"]), (&180.into(), &86_400.into(), &"seconds".into()));
    let limit = option(&checkout, "pool-limit");
    assert_eq!((&limit["minimum"], &limit["maximum"]), (&1.into(), &1_000.into()));
    for (name, beyond) in [("hold-stock", 179), ("hold-stock", 86_401), ("pool-limit", 1_001), ("lame-duck-ms", 8_001)]
    {
        let refused =
            Command::new(binary("selvage-checkout")).arg(format!("--{name}={beyond}")).output().expect("it runs");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(name), "{said}");
    }
}

#[test]
fn pools_and_the_sum_of_the_end_are_in_it() {
    let checkout = schema("selvage-checkout");
    let pools = checkout["pools"].as_array().expect("a list");
    let limit = |pool: &Value| {
        let settings = pool["settings"].as_array().expect("a list");
        settings.iter().find(|setting| setting["name"] == "limit").expect("a limit")["default"].as_i64()
    };
    let named: Vec<_> = pools.iter().map(|pool| (pool["name"].as_str().unwrap(), limit(pool).unwrap())).collect();
    assert_eq!(named, [("checkout", 8), ("checkout-relay", 3), ("checkout-provider", 2)]);
    // The environment of whoever prints it doesn't matter.
    assert_eq!(option(&checkout, "pool-limit")["default"], 8);
    assert_eq!(option(&checkout, "database-url")["secret"], true);
    assert_eq!(option(&checkout, "database-url")["required"], true);
    let ending = &checkout["ending"];
    let parts = ["lame_duck_max_ms", "drain_ms", "close_ms", "flush_ms", "spare_ms"];
    let sum: i64 = parts.iter().map(|part| ending[part].as_i64().expect("a part")).sum();
    assert!(sum <= 30_000, "{ending}");
    assert!(schema("selvage-web")["pools"].as_array().is_some_and(Vec::is_empty));
}
