//! Who may depend on whom.

use std::collections::BTreeSet;

use super::metadata::{self, Package};
use super::{manifest, nothing_found, source};

/// The services: each stands alone.
const SERVICES: &[&str] = &["selvage-cart", "selvage-catalogue", "selvage-checkout", "selvage-delivery", "selvage-web"];
/// What services share and what is none: the API, and the drawing of garments.
const LIBRARIES: &[&str] = &["selvage-drawing", "selvage-proto"];
/// What puts services together.
const ASSEMBLIES: &[&str] = &["selvage", "selvage-tests"];
/// What has a database.
const STORED: &[&str] = &["selvage-cart", "selvage-catalogue", "selvage-checkout", "selvage-delivery"];

fn is_kit(package: &Package) -> bool {
    package.folder.starts_with("services/kit/")
}

#[test]
fn services_stand_alone() {
    let mut findings = Vec::new();
    for package in metadata::ours().filter(|package| !ASSEMBLIES.contains(&package.name.as_str())) {
        let others = package.dependencies.iter().filter(|wanted| SERVICES.contains(&wanted.name.as_str()));
        findings.extend(others.map(|wanted| format!("{} depends on {} ({})", package.name, wanted.name, wanted.kind)));
    }
    nothing_found(&findings, "Services meet over gRPC, as selvage-proto describes it; kit crates know no service.");
    let known: BTreeSet<_> =
        metadata::ours().filter(|package| !is_kit(package)).map(|package| &*package.name).collect();
    let listed: BTreeSet<_> = SERVICES.iter().chain(ASSEMBLIES).chain(LIBRARIES).copied().collect();
    assert_eq!(
        known, listed,
        "a crate came or went: name it in SERVICES, LIBRARIES or ASSEMBLIES, or move it into services/kit"
    );
}

#[test]
fn a_database_is_reached_through_the_pool_alone() {
    let pool: &[&str] = &["selvage-pool"];
    let kit = ["selvage-boot", "selvage-faults", "selvage-outbox", "selvage-status"];
    let only: [(&str, Vec<&str>); 5] = [
        // testkit makes and drops databases; it has no pool to do that with.
        ("sqlx", [pool, &["selvage-testkit"]].concat()),
        ("sea-query-sqlx", pool.to_vec()),
        ("sea-orm", [pool, STORED, &["selvage-outbox", "selvage-status"]].concat()),
        ("sea-orm-migration", [pool, STORED, &["selvage-boot", "selvage-outbox"]].concat()),
        ("selvage-pool", [STORED, ASSEMBLIES, &kit].concat()),
    ];
    let mut findings = Vec::new();
    for (wanted, users) in only {
        let using = |package: &&Package| package.dependencies.iter().any(|found| found.name == wanted);
        let wrong = metadata::ours().filter(using).filter(|package| !users.contains(&package.name.as_str()));
        findings.extend(wrong.map(|package| format!("{}/Cargo.toml: {} uses {wanted}", package.folder, package.name)));
    }
    nothing_found(&findings, "Only the pool kit speaks to databases; services with a store use it, and SeaORM on top.");
}

#[test]
fn web_has_no_database_in_it() {
    let arguments = ["tree", "--package=selvage-web", "--edges=normal", "--prefix=none", "--locked", "--offline"];
    let tree = metadata::cargo(&arguments);
    assert!(tree.contains("selvage-rpc"), "cargo tree says nothing:\n{tree}");
    let databases = ["selvage-pool", "selvage-outbox", "sea-orm", "sea-query", "sqlx", "sqlx-core", "libsqlite3-sys"];
    let linked: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let findings: Vec<_> = databases.iter().filter(|name| linked.contains(*name)).map(ToString::to_string).collect();
    nothing_found(&findings, "The pages come from the services' rpcs: take it out of selvage-web's dependencies.");
}

#[test]
fn members_inherit_what_the_workspace_says() {
    let members: BTreeSet<_> = metadata::ours().map(|package| format!("{}/Cargo.toml", package.folder)).collect();
    let mut findings = Vec::new();
    for file in manifest::members() {
        if !members.contains(&file.path) {
            findings.push(format!("{} is no member of the workspace", file.path));
        }
        let entries = manifest::entries(&file.text);
        let has = |table: &str, key: &str| {
            entries.iter().any(|entry| entry.table == table && entry.key == key && entry.value == "true")
        };
        if !has("lints", "workspace") {
            findings.push(format!("{}: no [lints] workspace = true", file.path));
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !has("package", &format!("{key}.workspace")) {
                findings.push(format!("{}: no {key}.workspace = true", file.path));
            }
        }
        for entry in entries.iter().filter(|entry| entry.table.ends_with("dependencies")) {
            let inherits = entry.key.ends_with(".workspace") || entry.value.contains("workspace = true");
            if !inherits || entry.value.contains("version") || entry.value.contains("path") {
                findings.push(format!("{}:{}: {} = {}", file.path, entry.line, entry.key, entry.value));
            }
        }
        let tables = entries.iter().filter(|entry| entry.table.contains("dependencies."));
        findings.extend(tables.map(|entry| format!("{}:{}: [{}]", file.path, entry.line, entry.table)));
    }
    nothing_found(&findings, "Versions, paths, edition and lints stand in the workspace's Cargo.toml, once.");
}

/// Dependencies that are used by code that a build script writes.
const IN_GENERATED_CODE: &[(&str, &str)] = &[("selvage-proto", "tonic-prost")];

#[test]
fn every_dependency_is_used() {
    let mut findings = Vec::new();
    for package in metadata::ours() {
        let below = format!("{}/", package.folder);
        let sources: Vec<_> = source::ending(&[".rs"]).filter(|source| source.path.starts_with(&below)).collect();
        for wanted in &package.dependencies {
            let is_known = IN_GENERATED_CODE.contains(&(&*package.name, &*wanted.name));
            let name = wanted.name.replace('-', "_");
            if !is_known && !sources.iter().any(|source| source.has(&name)) {
                findings.push(format!("{below}Cargo.toml: {} ({})", wanted.name, wanted.kind));
            }
        }
    }
    let wanted: BTreeSet<_> =
        metadata::ours().flat_map(|package| &package.dependencies).map(|found| &*found.name).collect();
    let offered = manifest::top("Cargo.toml").into_iter().filter(|entry| entry.table == "workspace.dependencies");
    let unwanted = offered.filter(|entry| !wanted.contains(entry.key.as_str()));
    findings.extend(unwanted.map(|entry| format!("Cargo.toml:{}: {} is wanted by no member", entry.line, entry.key)));
    nothing_found(&findings, "Take unused dependencies out.");
}
