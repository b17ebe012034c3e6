//! The definitions in the chart: that they are those of the operator's types, and what Helm does with them.

use std::path::Path;

use selvage_operator::resources::{definitions, manifest};
use selvage_tests::helm::Helm;
use serde_json::Value;

use crate::cluster::{Cluster, SKIPPED, chart};

/// What `kubectl apply` can take: it keeps the whole object in an annotation, and all annotations together have this bound.
const MAX_BYTES: usize = 262_144;

/// Compares a file with what it should say, or writes it.
fn compare_or_write(path: &Path, wanted: &str) {
    if std::env::var_os("SELVAGE_CHART").is_some_and(|wish| wish == "write") {
        std::fs::write(path, wanted).expect("it is written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "{} is another, from line {:?} on: SELVAGE_CHART=write cargo test -p selvage-operator --test it -- definitions",
        path.display(),
        line.map(|index| index + 1)
    );
}

#[test]
fn the_chart_has_the_definitions_of_the_operators_types() {
    for definition in definitions() {
        let text = manifest(&definition).expect("YAML");
        assert!(text.len() < MAX_BYTES / 2, "{} bytes", text.len());
        assert!(!text.contains("{{"), "a template is no definition");
        let read: Value = serde_saphyr::from_str(&text).expect("YAML");
        let read = serde_json::from_value(read).expect("a definition");
        assert_eq!(definition, read, "what is printed is what was meant");
        compare_or_write(&chart().join("files").join(format!("{}.yaml", definition.spec.names.plural)), &text);
    }
    let files = std::fs::read_dir(chart().join("files")).expect("a folder").count();
    assert_eq!(files, definitions().len(), "a definition that the operator hasn't is left in the chart");
}

#[test]
fn the_program_prints_what_the_chart_has() {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_selvage-operator")).arg("crd").output().expect("it runs");
    let printed = selvage_tests::api_server::said(output, "selvage-operator crd");
    let files = ["connectionbudgets", "poolscalers"].map(|name| chart().join("files").join(format!("{name}.yaml")));
    assert_eq!(printed, files.map(|path| std::fs::read_to_string(path).expect("a file")).join("---\n"));
}

/// The schema's nodes, each with its path.
fn walk<'a>(path: &str, schema: &'a Value, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(path, schema);
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), below, visit);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], visit);
    }
}

/// What is unbounded makes a rule's cost unbounded, and an object as large as it likes.
#[test]
fn every_field_is_described_and_bounded() {
    let (mut findings, mut fields) = (Vec::new(), 0);
    for definition in definitions() {
        let definition = serde_json::to_value(definition).unwrap();
        let properties = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            walk(part, &properties[part], &mut |path, schema| {
                fields += 1;
                let is_set = |key: &str| !schema[key].is_null();
                let is_item = path.ends_with("[]");
                if !is_set("description") && !is_item {
                    findings.push(format!("{path} has no description"));
                }
                let is_bounded = match schema["type"].as_str() {
                    Some("string") => ["enum", "maxLength", "format"].into_iter().any(is_set),
                    Some("array") => is_set("maxItems"),
                    Some("integer" | "number") if part == "spec" => {
                        is_set("minimum") && is_set("maximum") || is_set("x-kubernetes-validations")
                    }
                    Some("integer" | "boolean" | "object") => true,
                    _ => false,
                };
                if !is_bounded {
                    findings.push(format!("{path} has no bounds: {schema}"));
                }
            });
        }
    }
    assert!(fields > 100, "only {fields} fields");
    assert!(findings.is_empty(), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_helm_installs_them_upgrades_them_and_leaves_them_where_they_are() {
    for helm in Helm::find_all(SKIPPED) {
        let Some(cluster) = Cluster::bare().await else { return };
        let (chart, values) = (chart(), r#"annotations={"example.org/team":"shop"}"#);
        let chart = chart.to_str().expect("a path");
        cluster.helm(&helm, &["install", "kinds", chart, "--set-json", values, "--set-string", "labels.team=shop"]);
        cluster.established();
        let annotations =
            cluster.server.said(&["get", "crd", "poolscalers.selvage.dev", "-o", "jsonpath={.metadata.annotations}"]);
        let annotations: Value = serde_json::from_str(&annotations).unwrap();
        assert_eq!(
            (&annotations["example.org/team"], &annotations["helm.sh/resource-policy"]),
            (&"shop".into(), &"keep".into())
        );
        let labelled =
            cluster.server.said(&["get", "crd", "-l", "team=shop,app.kubernetes.io/part-of=selvage", "-o", "name"]);
        assert_eq!(labelled.lines().count(), 2, "{labelled}");

        cluster.helm(&helm, &["upgrade", "kinds", chart, "--set-json", r#"annotations={"example.org/team":"web"}"#]);
        let team =
            ["get", "crd", "poolscalers.selvage.dev", "-o", r"jsonpath={.metadata.annotations.example\.org/team}"];
        assert_eq!(cluster.server.said(&team), "web");

        cluster.helm(&helm, &["uninstall", "kinds"]);
        cluster.established();
        cluster.helm(&helm, &["install", "kinds", chart]);
    }
}

/// As people do without Helm: the whole object stands in an annotation then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_applies_them_by_itself_without_a_warning() {
    let Some(cluster) = Cluster::bare().await else { return };
    let files = chart().join("files");
    let arguments = ["apply", "--filename", files.to_str().expect("a path")];
    let output = cluster.server.kubectl(&arguments).output().expect("kubectl");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{complaint}");
    cluster.established();
}
