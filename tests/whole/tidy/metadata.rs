//! What cargo says of the workspace: `cargo metadata`, without the network, for this machine's platform, whose packages are
//! here once anything was built.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use super::source;

/// A package.
pub(super) struct Package {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// The licence expression, if it has one.
    pub(super) licence: Option<String>,
    /// Where it is from; none if it is ours.
    pub(super) source: Option<String>,
    /// The folder of its manifest, from the top; only for ours.
    pub(super) folder: String,
    /// What it depends on directly.
    pub(super) dependencies: Vec<Dependency>,
}

/// A direct dependency.
pub(super) struct Dependency {
    /// The package's name.
    pub(super) name: String,
    /// The kind: `normal`, `dev` or `build`.
    pub(super) kind: String,
    /// What versions are wanted.
    pub(super) wanted: String,
    /// Whether it stands in the workspace.
    pub(super) is_ours: bool,
}

/// All packages, ours and others'.
pub(super) fn packages() -> &'static [Package] {
    static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
        let version = run(Command::new("rustc").arg("-vV"));
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its platform");
        let arguments = ["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host];
        let metadata: Value = serde_json::from_str(&cargo(&arguments)).expect("metadata in JSON");
        let packages = metadata["packages"].as_array().expect("packages");
        packages.iter().map(package).collect()
    });
    &PACKAGES
}

/// Ours.
pub(super) fn ours() -> impl Iterator<Item = &'static Package> {
    packages().iter().filter(|package| package.source.is_none())
}

/// Others', as far as they are compiled: metadata has those too that a feature would bring which nobody asks for.
pub(super) fn others() -> impl Iterator<Item = &'static Package> {
    static COMPILED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let edges = "--edges=normal,build,dev";
        let tree = cargo(&["tree", "--workspace", "--all-features", edges, "--prefix=none", "--locked", "--offline"]);
        tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    });
    let is_compiled = |package: &&Package| COMPILED.contains(&format!("{} v{}", package.name, package.version));
    packages().iter().filter(|package| package.source.is_some()).filter(is_compiled)
}

/// What cargo prints.
pub(super) fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo).args(arguments).current_dir(source::root()))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

fn package(value: &Value) -> Package {
    let top = source::root().canonicalize().expect("the checkout").display().to_string();
    let text = |key: &str| value[key].as_str().map(ToOwned::to_owned);
    let manifest = text("manifest_path").expect("a manifest");
    let folder = manifest.strip_prefix(&top).and_then(|path| path.strip_suffix("/Cargo.toml")).unwrap_or_default();
    Package {
        name: text("name").expect("a name"),
        version: text("version").expect("a version"),
        licence: text("license"),
        source: text("source"),
        folder: folder.trim_start_matches('/').to_owned(),
        dependencies: value["dependencies"].as_array().expect("dependencies").iter().map(dependency).collect(),
    }
}

fn dependency(value: &Value) -> Dependency {
    let text = |key: &str| value[key].as_str();
    Dependency {
        name: text("name").expect("a name").to_owned(),
        kind: text("kind").unwrap_or("normal").to_owned(),
        wanted: text("req").expect("versions").to_owned(),
        is_ours: text("source").is_none(),
    }
}
