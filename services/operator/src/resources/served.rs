//! Whether the definitions that a cluster serves are those that this operator was made with.
//!
//! Helm leaves definitions of an earlier chart in place, and an API server drops fields that it doesn't know without a word: a
//! PoolScaler then lacks what its author wrote, and a status what the operator wrote.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value};

/// What stands in a schema for readers only.
const FOR_READERS: [&str; 4] = ["description", "title", "example", "externalDocs"];

/// What `own` has and `served` lacks or has otherwise, each as a sentence that names the place. What `served` has in addition
/// is a newer operator's, and harms nobody. Nothing, if they agree.
pub fn stale(own: &CustomResourceDefinition, served: &CustomResourceDefinition) -> Vec<String> {
    let mut found = Vec::new();
    for version in &own.spec.versions {
        let name = &version.name;
        let Some(other) = served.spec.versions.iter().find(|other| other.name == *name && other.served) else {
            found.push(format!("the version {name} isn't served"));
            continue;
        };
        let (own, served) = (serde_json::to_value(version), serde_json::to_value(other));
        let (Ok(own), Ok(served)) = (own, served) else {
            found.push(format!("the version {name} can't be compared"));
            continue;
        };
        compare("", &own["schema"]["openAPIV3Schema"], &served["schema"]["openAPIV3Schema"], &mut found);
        for subresource in ["status", "scale"] {
            if own["subresources"][subresource] != served["subresources"][subresource] {
                found.push(format!("the subresource {subresource} is another"));
            }
        }
        if own["additionalPrinterColumns"] != served["additionalPrinterColumns"] {
            found.push("the columns of kubectl get are others".to_owned());
        }
    }
    found
}

/// Compares what stands at `path` in both schemas.
fn compare(path: &str, own: &Value, served: &Value, found: &mut Vec<String>) {
    let none = Map::new();
    let (own, served) = (own.as_object().unwrap_or(&none), served.as_object().unwrap_or(&none));
    let place = if path.is_empty() { "the object" } else { path };
    for (key, value) in own {
        match key.as_str() {
            key if FOR_READERS.contains(&key) => {}
            "properties" => {
                let known = served.get(key).and_then(Value::as_object).unwrap_or(&none);
                for (name, schema) in value.as_object().unwrap_or(&none) {
                    let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    match known.get(name) {
                        Some(other) => compare(&below, schema, other, found),
                        None => found.push(format!("{below} is unknown, and is dropped without a word")),
                    }
                }
            }
            "items" | "additionalProperties" => {
                let none = Value::Null;
                compare(&format!("{path}[]"), value, served.get(key).unwrap_or(&none), found);
            }
            key => match served.get(key) {
                Some(other) if same(key, value, other) => {}
                Some(other) => found.push(format!("{place}: {key} is {other} instead of {value}")),
                None => found.push(format!("{place}: {key} isn't there; it should be {value}")),
            },
        }
    }
    for key in
        ["required", "x-kubernetes-validations", "minimum", "maximum", "maxLength", "maxItems", "pattern", "enum"]
    {
        if let (None, Some(other)) = (own.get(key), served.get(key)) {
            found.push(format!("{place}: {key} is {other}, and shouldn't be there"));
        }
    }
}

/// Whether both say the same. The order of names says nothing, and 1 is 1.0.
fn same(key: &str, own: &Value, served: &Value) -> bool {
    match (own, served) {
        (Value::Number(own), Value::Number(served)) => own.as_f64() == served.as_f64(),
        (Value::Array(own), Value::Array(served)) if ["required", "enum"].contains(&key) => {
            own.len() == served.len() && own.iter().all(|entry| served.contains(entry))
        }
        (Value::Object(own), Value::Object(served)) => {
            own.len() == served.len()
                && own.iter().all(|(key, own)| served.get(key).is_some_and(|served| same(key, own, served)))
        }
        _ => own == served,
    }
}

#[cfg(test)]
mod tests {
    use super::super::definitions;
    use super::*;
    use serde_json::json;

    fn scaler() -> CustomResourceDefinition {
        let [_, scaler] = definitions();
        scaler
    }

    /// The definition, with its only version changed.
    fn changed(change: impl FnOnce(&mut Value)) -> CustomResourceDefinition {
        let mut value = serde_json::to_value(scaler()).unwrap();
        change(&mut value["spec"]["versions"][0]);
        serde_json::from_value(value).unwrap()
    }

    fn spec(version: &mut Value) -> &mut Value {
        &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    }

    #[test]
    fn what_agrees_is_not_stale_however_it_is_described() {
        for definition in definitions() {
            assert_eq!(stale(&definition, &definition), [""; 0]);
        }
        let described = changed(|version| spec(version)["properties"]["weight"]["description"] = json!("another"));
        assert_eq!(stale(&scaler(), &described), [""; 0]);
        let newer = changed(|version| spec(version)["properties"]["colour"] = json!({"type": "string"}));
        assert_eq!(stale(&scaler(), &newer), [""; 0], "a newer operator's field harms nobody");
        let reordered = changed(|version| spec(version)["required"].as_array_mut().unwrap().reverse());
        assert_eq!(stale(&scaler(), &reordered), [""; 0]);
    }

    #[test]
    fn each_difference_is_named_with_its_place() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 9] = [
            (
                |version| {
                    drop(spec(version)["properties"]["pool"]["properties"].as_object_mut().unwrap().remove("floor"));
                },
                "spec.pool.floor is unknown, and is dropped without a word",
            ),
            (
                |version| spec(version)["properties"]["maxReplicas"]["maximum"] = json!(100.0),
                "spec.maxReplicas: maximum is 100.0 instead of 1000.0",
            ),
            (|version| spec(version)["properties"]["mode"]["enum"] = json!(["Enforce"]), "spec.mode: enum is"),
            (
                |version| drop(spec(version).as_object_mut().unwrap().remove("x-kubernetes-validations")),
                "spec: x-kubernetes-validations isn't there",
            ),
            (|version| spec(version)["properties"]["weight"]["default"] = json!(1), "spec.weight: default is 1"),
            (
                |version| spec(version)["properties"]["weight"]["enum"] = json!([1, 2]),
                "spec.weight: enum is [1,2], and shouldn't be there",
            ),
            (|version| version["subresources"]["scale"] = Value::Null, "the subresource scale is another"),
            (
                |version| drop(version["additionalPrinterColumns"].as_array_mut().unwrap().pop()),
                "the columns of kubectl get",
            ),
            (|version| version["served"] = json!(false), "the version v1alpha1 isn't served"),
        ];
        for (change, wanted) in cases {
            let found = stale(&scaler(), &changed(change));
            assert!(found.len() == 1 && found[0].starts_with(wanted), "{wanted}: {found:?}");
        }
    }

    #[test]
    fn what_lists_contain_is_looked_at_too() {
        let fewer = changed(|version| {
            let conditions =
                &mut version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["conditions"];
            conditions["items"]["properties"].as_object_mut().unwrap().remove("observedGeneration");
        });
        let found = stale(&scaler(), &fewer);
        assert_eq!(found, ["status.conditions[].observedGeneration is unknown, and is dropped without a word"]);
    }
}
