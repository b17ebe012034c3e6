//! The chart, rendered by a real helm: that it can be installed, that it refuses what makes no sense, and that what it makes
//! is what the binaries, the pools' arithmetic and a demanding cluster expect.
//!
//! # How to add a value
//!
//! 1. **`values.yaml`**: the key with its default, and above it a sentence that says what it does, in the field's own nouns.
//!    `chart::readme` writes the README's table of it, and fails where the sentence is missing.
//! 2. **`values.schema.json`**: its type and bounds. What a binary takes has the binary's bounds: `chart::binaries` compares
//!    options with their schema, and fails where a binary has an option that nothing sets.
//! 3. **The template** of its concern in `templates/`, or a helper in the `_*.tpl` of that concern. It depends on values alone:
//!    `chart::rendered` knows what is forbidden. What makes no sense together is refused in `_validate.tpl`, with what to do.
//! 4. **Tests**: in `chart::switches` what it changes, in `chart::refused` what is refused, in `chart::network` its way if it has
//!    one. Then write the goldens.
//!
//! What is written from the chart is compared with what is committed: the rendered goldens in `k8s/rendered`, and the chart's
//! README. `SELVAGE_CHART=write cargo test -p selvage-tests --test whole -- chart` writes them.

mod api;
mod binaries;
mod budget;
mod network;
mod operator;
mod pods;
mod pooler;
mod readme;
mod refused;
mod rendered;
mod security;
mod switches;

use std::path::{Path, PathBuf};

use selvage_tests::helm::{Helm, Values};
use serde_json::json;

const SKIPPED: &str = "the chart";

/// Values that are tried everywhere: the chart's own, each file of `ci/`, and each kind of database and way with everything
/// that is switched on.
fn all_values() -> Vec<(&'static str, Values)> {
    vec![
        ("defaults", Values::none()),
        ("playground", Values::of("ci/playground-values.yaml")),
        ("small", Values::of("ci/small-values.yaml")),
        ("large", Values::of("ci/large-values.yaml")),
        ("operator", with_operator()),
        (
            "everything",
            Values::of("ci/playground-values.yaml").with(&json!({
                "jaeger": {"enabled": true},
                "ingress": {"enabled": true, "hosts": ["shop.example.org"]},
                "httpRoute": {"enabled": true, "parentRefs": [{"name": "public"}]},
                "telemetry": {
                    "monitor": {"kind": "PodMonitor"},
                    "prometheusRule": {"enabled": true},
                    "dashboards": {"enabled": true},
                },
            })),
        ),
    ]
}

/// The files of a folder and of those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The playground with the operator.
fn with_operator() -> Values {
    Values::of("ci/playground-values.yaml").and("ci/operator-values.yaml")
}

/// Helm, or nothing where there is none, which is said.
fn helm() -> Option<Helm> {
    Helm::find(SKIPPED)
}

/// Whether what is written from the chart is to be written anew.
fn writes() -> bool {
    std::env::var_os("SELVAGE_CHART").is_some_and(|wish| wish == "write")
}

/// Compares a file of the checkout with what it should say, or writes it.
fn compare_or_write(path: &Path, wanted: &str) {
    if writes() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
        std::fs::write(path, wanted).expect("it is written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "{} is another, from line {:?} on: SELVAGE_CHART=write cargo test -p selvage-tests --test whole -- chart",
        path.display(),
        line.map(|index| index + 1)
    );
}
