//! What others' code we take: deny.toml, enforced from `cargo metadata`, as cargo-deny does where its database of advisories
//! can be fetched.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::Package;
use cargo_metadata::semver::VersionReq;
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use super::{manifest, metadata, nothing_found};

/// As much of deny.toml as is enforced here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    #[serde(default)]
    deny_multiple_versions: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

fn rules() -> Rules {
    manifest::top("deny.toml").try_into().unwrap_or_else(|error| panic!("deny.toml: {error}"))
}

fn others() -> Vec<&'static Package> {
    metadata::others().collect()
}

/// The licence of a package. A slash means OR, as it was once written.
fn licence(package: &Package) -> Expression {
    let text = package.license.as_deref().unwrap_or_else(|| panic!("{} names no licence", package.name));
    let mode = ParseMode { allow_slash_as_or_operator: true, ..ParseMode::STRICT };
    Expression::parse_mode(text, mode).unwrap_or_else(|error| panic!("{}: {error}", package.name))
}

fn licensees(allowed: &[String]) -> Vec<Licensee> {
    allowed.iter().map(|text| Licensee::parse(text).unwrap_or_else(|error| panic!("deny.toml: {error}"))).collect()
}

fn is_satisfied(licence: &Expression, allowed: &[Licensee]) -> bool {
    licence.evaluate(|wanted| allowed.iter().any(|one| one.satisfies(wanted)))
}

/// Packages whose licence isn't allowed.
fn forbidden(packages: &[&Package], allowed: &[String]) -> Vec<String> {
    let allowed = licensees(allowed);
    let forbidden = packages.iter().map(|package| (package, licence(package)));
    let forbidden = forbidden.filter(|(_, licence)| !is_satisfied(licence, &allowed));
    forbidden.map(|(package, licence)| format!("{} {}: {licence}", package.name, package.version)).collect()
}

/// Allowed licences without which every package would be allowed too.
fn needless(packages: &[&Package], allowed: &[String]) -> Vec<String> {
    let used: Vec<_> = packages.iter().map(|package| licence(package)).collect();
    let is_needless = |allowance: &&String| {
        let others: Vec<_> = allowed.iter().filter(|other| other != allowance).cloned().collect();
        let others = licensees(&others);
        used.iter().all(|licence| is_satisfied(licence, &others))
    };
    allowed.iter().filter(is_needless).cloned().collect()
}

#[test]
fn every_licence_is_allowed_and_every_allowance_needed() {
    let (packages, allowed) = (others(), rules().licenses.allow);
    assert!(packages.len() > 100, "cargo metadata lists {} packages", packages.len());
    nothing_found(
        &forbidden(&packages, &allowed),
        "Do without the package; or, if the licence lets us ship it, allow it in deny.toml.",
    );
    nothing_found(&needless(&packages, &allowed), "Nothing needs these licences any more: take them out of deny.toml.");
}

/// Two versions of one of these compile, and then meet as types that don't fit or registries that don't know each other.
const FAMILIES: &[&str] = &["opentelemetry", "prost", "tonic", "tracing"];

/// Packages that are there in two versions and must not be, or of a family and not on the list.
fn doubled(packages: &[&Package], bans: &[Ban]) -> Vec<String> {
    let single: BTreeSet<_> =
        bans.iter().filter(|ban| ban.deny_multiple_versions).map(|ban| ban.name.as_str()).collect();
    let mut versions: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for package in packages {
        versions.entry(package.name.as_str()).or_default().insert(package.version.to_string());
    }
    let of_family = |name: &str| {
        FAMILIES
            .iter()
            .any(|family| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_'])))
    };
    let unlisted = versions.keys().filter(|name| of_family(name) && !single.contains(**name));
    let mut findings: Vec<_> = unlisted.map(|name| format!("{name} is not on the list in deny.toml")).collect();
    let doubled = versions.iter().filter(|(name, versions)| single.contains(**name) && versions.len() > 1);
    findings.extend(doubled.map(|(name, versions)| format!("{name}: {versions:?}")));
    findings
}

#[test]
fn what_must_be_one_is_one() {
    nothing_found(
        &doubled(&others(), &rules().bans.deny),
        "'cargo tree --invert NAME@VERSION' says who wants which: choose versions that agree.",
    );
}

/// Packages from elsewhere than the registries that are allowed.
fn strangers(packages: &[&Package], registries: &[String]) -> Vec<String> {
    let is_known = |package: &Package| {
        let from = package.source.as_ref().and_then(|source| source.repr.strip_prefix("registry+"));
        from.is_some_and(|registry| registries.iter().any(|known| known == registry))
    };
    let strangers = packages.iter().filter(|package| !is_known(package));
    strangers.map(|package| format!("{}: {:?}", package.name, package.source)).collect()
}

/// Dependencies of ours on any version of a package of others.
fn wildcards(packages: &[&Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages {
        let any = package.dependencies.iter().filter(|wanted| wanted.path.is_none() && wanted.req == VersionReq::STAR);
        findings.extend(any.map(|wanted| format!("{} wants any version of {}", package.name, wanted.name)));
    }
    findings
}

#[test]
fn everything_is_from_crates_io_in_a_version_that_is_said() {
    let ours: Vec<_> = metadata::ours().collect();
    let findings = [strangers(&others(), &rules().sources.allow_registry), wildcards(&ours)].concat();
    nothing_found(&findings, "Use what is published on crates.io, and name its version in the workspace's Cargo.toml.");
}

#[cfg(test)]
mod tests {
    use cargo_metadata::Source;

    use super::*;

    /// A package of others, and what is changed in it.
    fn package(change: impl FnOnce(&mut Package)) -> Package {
        let mut package = metadata::others().find(|package| package.name.as_str() == "tonic").expect("tonic").clone();
        change(&mut package);
        package
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_licence_that_is_not_allowed_is_found() {
        let allowed = strings(&["MIT", "ISC", "GPL-2.0-only WITH Classpath-exception-2.0"]);
        for (expression, is_allowed) in [
            ("MIT", true),
            ("Apache-2.0", false),
            ("MIT/Apache-2.0", true),
            ("MIT AND Apache-2.0", false),
            ("Apache-2.0 AND Zlib OR MIT", true),
            ("(MIT OR Apache-2.0) AND ISC", true),
            ("MIT OR (Apache-2.0 AND ISC)", true),
            ("(MIT OR ISC) AND Zlib", false),
            ("GPL-2.0-only WITH Classpath-exception-2.0", true),
            ("GPL-2.0-only", false),
        ] {
            let package = package(|package| package.license = Some(expression.to_owned()));
            assert_eq!(forbidden(&[&package], &allowed).is_empty(), is_allowed, "{expression}");
        }
        let package = package(|package| package.license = Some("MIT OR Apache-2.0".to_owned()));
        assert_eq!(needless(&[&package], &strings(&["MIT", "ISC"])), ["ISC"]);
    }

    #[test]
    #[should_panic(expected = "names no licence")]
    fn a_package_without_licence_is_found() {
        forbidden(&[&package(|package| package.license = None)], &[]);
    }

    #[test]
    fn two_versions_are_found() {
        let one = package(|_| {});
        let other = package(|package| package.version.major += 1);
        let ban = |name: &str, deny_multiple_versions| Ban { name: name.to_owned(), deny_multiple_versions };
        assert_eq!(doubled(&[&one, &other], &[ban("tonic", true)]).len(), 1);
        assert_eq!(doubled(&[&one], &[ban("tonic", true)]), [""; 0]);
        assert_eq!(doubled(&[&one], &[ban("tonic", false)]), ["tonic is not on the list in deny.toml"]);
    }

    #[test]
    fn strangers_and_wildcards_are_found() {
        let registries = rules().sources.allow_registry;
        for from in ["git+https://example.com/tonic", "registry+https://example.com/index"] {
            let mut source: Option<Source> = None;
            let text = format!("\"{from}\"");
            source.replace(serde_json::from_str(&text).expect("a source"));
            assert_eq!(strangers(&[&package(|package| package.source = source)], &registries).len(), 1, "{from}");
        }
        assert_eq!(strangers(&[&package(|_| {})], &registries), [""; 0]);
        let any = package(|package| package.dependencies[0].req = VersionReq::STAR);
        assert_eq!(wildcards(&[&any]).len(), 1);
    }
}
