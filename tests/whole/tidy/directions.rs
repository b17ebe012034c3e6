//! Who may depend on whom.

use std::collections::BTreeSet;

use cargo_metadata::Package;
use toml::{Table, Value};

use super::source::Source;
use super::{manifest, metadata, nothing_found, source};

/// The services: each stands alone.
const SERVICES: &[&str] = &["selvage-cart", "selvage-catalogue", "selvage-checkout", "selvage-delivery", "selvage-web"];
/// What puts services together.
const ASSEMBLIES: &[&str] = &["selvage", "selvage-deploy", "selvage-tests"];
/// What services share and what is none: the API, the drawing of garments, and who holds which key.
const LIBRARIES: &[&str] = &["selvage-drawing", "selvage-holders", "selvage-proto"];
/// What scales the services, and knows none of them.
const OPERATOR: &str = "selvage-operator";
/// What runs beside the shop.
const BESIDE: &[&str] = &[OPERATOR];
/// What speaks with Kubernetes.
const IN_A_CLUSTER: &[&str] = &["selvage-deploy", OPERATOR];
/// What has a database.
const STORED: &[&str] = &["selvage-cart", "selvage-catalogue", "selvage-checkout", "selvage-delivery"];

fn is_one_of(package: &Package, names: &[&str]) -> bool {
    names.contains(&package.name.as_str())
}

fn ours() -> Vec<&'static Package> {
    metadata::ours().collect()
}

/// Dependencies on services of crates that aren't assemblies.
fn on_services(packages: &[&Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| !is_one_of(package, ASSEMBLIES)) {
        let others = package.dependencies.iter().filter(|wanted| SERVICES.contains(&wanted.name.as_str()));
        findings.extend(others.map(|wanted| format!("{} depends on {} ({})", package.name, wanted.name, wanted.kind)));
    }
    findings
}

#[test]
fn services_stand_alone() {
    nothing_found(
        &on_services(&ours()),
        "Services meet over gRPC, as selvage-proto describes it; the kit knows no service.",
    );
    let outside_the_kit = metadata::ours().filter(|package| !metadata::folder(package).starts_with("services/kit/"));
    let known: BTreeSet<_> = outside_the_kit.map(|package| package.name.as_str()).collect();
    let listed: BTreeSet<_> = SERVICES.iter().chain(ASSEMBLIES).chain(LIBRARIES).chain(BESIDE).copied().collect();
    assert_eq!(
        known, listed,
        "a crate came or went: name it in SERVICES, LIBRARIES, ASSEMBLIES or BESIDE, or move it into services/kit"
    );
}

/// Users of what leads to a database that aren't listed as such.
fn past_the_pool(packages: &[&Package]) -> Vec<String> {
    let pool: &[&str] = &["selvage-pool"];
    // The operator's tests have pools of processes; the program has none.
    let users = ["selvage-boot", "selvage-broker", "selvage-faults", OPERATOR, "selvage-outbox", "selvage-status"];
    let only: [(&str, Vec<&str>); 5] = [
        // testkit makes and drops databases; it has no pool to do that with. The operator looks at a server over one
        // connection: a pool of its own would be one more that it has to be told of.
        ("sqlx", [pool, &["selvage-testkit"], BESIDE].concat()),
        ("sea-query-sqlx", pool.to_vec()),
        ("sea-orm", [pool, STORED, &["selvage-outbox", "selvage-status"]].concat()),
        ("sea-orm-migration", [pool, STORED, &["selvage-boot", "selvage-outbox"]].concat()),
        ("selvage-pool", [STORED, ASSEMBLIES, &users].concat()),
    ];
    let mut findings = Vec::new();
    for (wanted, users) in only {
        let using = packages.iter().filter(|package| package.dependencies.iter().any(|found| found.name == wanted));
        let wrong = using.filter(|package| !is_one_of(package, &users));
        findings.extend(wrong.map(|package| format!("{} uses {wanted}", package.name)));
    }
    findings
}

#[test]
fn a_database_is_reached_through_the_pool_alone() {
    nothing_found(
        &past_the_pool(&ours()),
        "Only the pool kit speaks to databases; services with a store use it, and SeaORM on top.",
    );
}

/// The databases' crates in what `cargo tree` prints.
fn databases(tree: &str) -> Vec<String> {
    let databases = ["selvage-pool", "selvage-outbox", "sea-orm", "sea-query", "sqlx", "sqlx-core", "libsqlite3-sys"];
    let linked: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    databases.iter().filter(|name| linked.contains(*name)).map(ToString::to_string).collect()
}

/// What `cargo tree` prints of the crates that are linked into `package`.
fn linked(package: &str) -> String {
    metadata::cargo(&["tree", "--package", package, "--edges=normal", "--prefix=none", "--locked", "--offline"])
}

#[test]
fn web_has_no_database_in_it() {
    let tree = linked("selvage-web");
    assert!(tree.contains("selvage-rpc"), "cargo tree says nothing:\n{tree}");
    nothing_found(
        &databases(&tree),
        "The pages come from the services' rpcs: take it out of selvage-web's dependencies.",
    );
}

#[test]
fn the_shop_in_one_process_knows_no_cluster() {
    let clusters = |package: &str| {
        let tree = linked(package);
        tree.lines().filter(|line| line.starts_with("kube") || line.starts_with("k8s-openapi")).count()
    };
    for package in IN_A_CLUSTER {
        assert!(clusters(package) > 2, "cargo tree says nothing of {package}");
    }
    for package in SERVICES.iter().chain(&["selvage"]) {
        assert_eq!(clusters(package), 0, "{package}: what speaks with Kubernetes is {IN_A_CLUSTER:?} alone");
    }
}

/// The tables of dependencies in a manifest, those for some platforms included.
fn dependency_tables(manifest: &Table) -> impl Iterator<Item = (&str, &Table)> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    places.flat_map(|place| KINDS.into_iter().filter_map(|kind| Some((kind, place.get(kind)?.as_table()?))))
}

/// What a member's manifest says by itself though the workspace says it.
fn said_twice(path: &str, manifest: &Table) -> Vec<String> {
    let inherits = |value: Option<&Value>| {
        value.and_then(|value| value.get("workspace")).and_then(Value::as_bool).unwrap_or_default()
    };
    let mut findings = Vec::new();
    if !inherits(manifest.get("lints")) {
        findings.push(format!("{path}: no [lints] workspace = true"));
    }
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        if !inherits(manifest.get("package").and_then(|package| package.get(key))) {
            findings.push(format!("{path}: no {key}.workspace = true"));
        }
    }
    for (kind, table) in dependency_tables(manifest) {
        let own = table.iter().filter(|(_, wanted)| {
            !inherits(Some(wanted)) || ["version", "path", "git"].iter().any(|key| wanted.get(key).is_some())
        });
        findings.extend(own.map(|(name, wanted)| format!("{path}, [{kind}]: {name} = {wanted:?}")));
    }
    findings
}

#[test]
fn members_inherit_what_the_workspace_says() {
    let members: BTreeSet<_> =
        metadata::ours().map(|package| format!("{}/Cargo.toml", metadata::folder(package))).collect();
    let mut findings = Vec::new();
    for (path, manifest) in manifest::members() {
        if !members.contains(path) {
            findings.push(format!("{path} is no member of the workspace"));
        }
        findings.extend(said_twice(path, &manifest));
    }
    nothing_found(&findings, "Versions, paths, edition and lints stand in the workspace's Cargo.toml, once.");
}

/// Packages whose library has another name.
const RENAMED: &[(&str, &str)] = &[("layout-rs", "layout")];
/// Dependencies that are used by code that a build script writes.
const IN_GENERATED_CODE: &[(&str, &str)] = &[("selvage-proto", "tonic-prost")];

/// Dependencies of `package` that nothing in these files names.
fn unused(package: &Package, sources: &[&Source]) -> Vec<String> {
    let unused = package.dependencies.iter().filter(|wanted| {
        let is_known = IN_GENERATED_CODE.contains(&(package.name.as_str(), wanted.name.as_str()));
        let library = RENAMED.iter().find(|(package, _)| *package == wanted.name);
        let name = library.map_or_else(|| wanted.name.replace('-', "_"), |(_, library)| (*library).to_owned());
        !is_known && !sources.iter().any(|source| source.has(&name))
    });
    unused.map(|wanted| format!("{}: {} ({})", package.name, wanted.name, wanted.kind)).collect()
}

/// Dependencies that the workspace offers, and no member wants.
fn unwanted(workspace: &Table, packages: &[&Package]) -> Vec<String> {
    let wanted: BTreeSet<_> =
        packages.iter().flat_map(|package| &package.dependencies).map(|wanted| wanted.name.as_str()).collect();
    let offered = workspace["workspace"]["dependencies"].as_table().expect("a table of dependencies");
    let unwanted = offered.keys().filter(|name| !wanted.contains(name.as_str()));
    unwanted.map(|name| format!("Cargo.toml: {name} is wanted by no member")).collect()
}

#[test]
fn every_dependency_is_used() {
    let mut findings = unwanted(&manifest::top("Cargo.toml"), &ours());
    for package in metadata::ours() {
        let below = format!("{}/", metadata::folder(package));
        let sources: Vec<_> = source::ending(&[".rs"]).filter(|source| source.path.starts_with(&below)).collect();
        findings.extend(unused(package, &sources));
    }
    nothing_found(&findings, "Take unused dependencies out.");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        metadata::ours().find(|package| package.name.as_str() == name).expect(name).clone()
    }

    /// `package` as it is, and a dependency more, which another one of ours has.
    fn with(package_name: &str, dependency: &str) -> Package {
        let mut package = package(package_name);
        let known = metadata::ours().flat_map(|package| &package.dependencies).find(|known| known.name == dependency);
        package.dependencies.push(known.expect(dependency).clone());
        package
    }

    #[test]
    fn a_wrong_direction_is_found() {
        for (package, dependency) in
            [("selvage-cart", "selvage-catalogue"), ("selvage-rpc", "selvage-cart"), ("selvage-proto", "selvage-web")]
        {
            let findings = on_services(&[&with(package, dependency)]);
            assert!(findings.len() == 1 && findings[0].contains(dependency), "{findings:?}");
        }
        for (package, dependency) in [
            ("selvage-cart", "sqlx"),
            ("selvage-outbox", "sea-query-sqlx"),
            ("selvage-web", "sea-orm"),
            ("selvage-rpc", "sea-orm-migration"),
            ("selvage-web", "selvage-pool"),
        ] {
            let findings = past_the_pool(&[&with(package, dependency)]);
            assert_eq!(findings, [format!("{package} uses {dependency}")]);
        }
        assert_eq!(databases("selvage-web v0.1.0 (x)\nsqlx-core v0.9.0\nsqlx-like v1.0.0"), ["sqlx-core"]);
        assert!(databases(&linked("selvage-cart")).contains(&"selvage-pool".to_owned()));
    }

    #[test]
    fn what_a_member_says_by_itself_is_found() {
        let sound = "[package]\nversion.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n\
                     license.workspace = true\npublish.workspace = true\n[lints]\nworkspace = true\n";
        let findings = |text: &str| said_twice("x", &text.parse().expect("TOML"));
        for line in ["version.workspace = true\n", "publish.workspace = true\n", "[lints]\nworkspace = true\n"] {
            assert_eq!(findings(&sound.replacen(line, "", 1)).len(), 1, "without {line}");
        }
        for table in ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            let sound = format!("{sound}[{table}]\na.workspace = true\nb = {{ workspace = true, optional = true }}\n");
            assert_eq!(findings(&sound), [""; 0]);
            for own in [
                "c = '1'",
                "c = { version = '1' }",
                "c.workspace = false",
                "c = { workspace = true, version = '1' }",
                "c = { workspace = true, path = '..' }",
            ] {
                assert_eq!(findings(&format!("{sound}{own}")).len(), 1, "[{table}] {own}");
            }
        }
    }

    #[test]
    fn what_nothing_uses_is_found() {
        let cart = with("selvage-cart", "csv");
        let sources: Vec<_> =
            source::ending(&[".rs"]).filter(|source| source.path.starts_with("services/cart/")).collect();
        assert_eq!(unused(&cart, &sources), ["selvage-cart: csv (normal)"]);
        let offered: Table = "[workspace.dependencies]\ncsv = \"1\"\nnobody-wants-this = \"1\"".parse().unwrap();
        assert_eq!(unwanted(&offered, &[&cart]), ["Cargo.toml: nobody-wants-this is wanted by no member"]);
    }
}
