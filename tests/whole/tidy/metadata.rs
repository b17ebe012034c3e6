//! What cargo says of the workspace: `cargo metadata`, without the network, for this machine's platform, whose packages are
//! here once anything was built.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use cargo_metadata::{Metadata, MetadataCommand, Package};

use super::source;

fn metadata() -> &'static Metadata {
    static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
        let options = ["--locked", "--offline", "--filter-platform", "host-tuple"].map(ToOwned::to_owned);
        let mut command = MetadataCommand::new();
        command.current_dir(source::root()).other_options(options);
        command.exec().unwrap_or_else(|error| panic!("cargo metadata: {error}"))
    });
    &METADATA
}

/// The members of the workspace.
pub(super) fn ours() -> impl Iterator<Item = &'static Package> {
    metadata().packages.iter().filter(|package| package.source.is_none())
}

/// The packages of others, as far as they are compiled: metadata also lists those that a feature would bring which nobody
/// asks for.
pub(super) fn others() -> impl Iterator<Item = &'static Package> {
    static COMPILED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let edges = "--edges=normal,build,dev";
        let tree = cargo(&["tree", "--workspace", "--all-features", edges, "--prefix=none", "--locked", "--offline"]);
        tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    });
    let is_compiled = |package: &&Package| COMPILED.contains(&format!("{} v{}", package.name, package.version));
    metadata().packages.iter().filter(|package| package.source.is_some()).filter(is_compiled)
}

/// The folder of a member's manifest, from the top: `services/kit/pool`.
pub(super) fn folder(package: &Package) -> &str {
    let folder = package.manifest_path.parent().expect("a manifest stands in a folder");
    folder.strip_prefix(&metadata().workspace_root).map_or("", |folder| folder.as_str())
}

/// What cargo prints.
pub(super) fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Whoever runs the tests may build all members with the same features; what is asked here is each by itself.
    command.args(arguments).current_dir(source::root()).env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION");
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}
