//! What others' code we take: deny.toml, enforced from `cargo metadata`, as cargo-deny does where its database of advisories
//! can be fetched.

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::{self, Entry};
use super::metadata;
use super::nothing_found;

fn rule(table: &str, key: &str) -> Entry {
    let found = manifest::top("deny.toml").into_iter().find(|entry| entry.table == table && entry.key == key);
    found.unwrap_or_else(|| panic!("deny.toml has no {key} in [{table}]"))
}

/// Whether an SPDX expression can be satisfied. AND binds before OR; a slash is OR, as it was once written.
fn is_satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let satisfied = any(&mut rest, allowed);
    assert!(rest.is_empty(), "'{expression}' is no licence expression");
    satisfied
}

fn any(words: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut satisfied = every(words, allowed);
    while let ["OR", rest @ ..] = words {
        *words = rest;
        satisfied |= every(words, allowed);
    }
    satisfied
}

fn every(words: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut satisfied = one(words, allowed);
    while let ["AND", rest @ ..] = words {
        *words = rest;
        satisfied &= one(words, allowed);
    }
    satisfied
}

fn one(words: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let satisfied = any(words, allowed);
            *words = words.strip_prefix([")"].as_slice()).expect("every bracket is closed");
            satisfied
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            allowed(&format!("{licence} WITH {exception}"))
        }
        [licence, rest @ ..] => {
            *words = rest;
            allowed(licence)
        }
        [] => panic!("a licence is missing"),
    }
}

#[test]
fn expressions_are_understood() {
    let allowed = |licence: &str| ["MIT", "ISC", "GPL-2.0 WITH Classpath-exception-2.0"].contains(&licence);
    for (expression, satisfied) in [
        ("MIT", true),
        ("Apache-2.0", false),
        ("MIT/Apache-2.0", true),
        ("MIT AND Apache-2.0", false),
        ("Apache-2.0 AND Zlib OR MIT", true),
        ("(MIT OR Apache-2.0) AND ISC", true),
        ("MIT OR (Apache-2.0 AND ISC)", true),
        ("(MIT OR ISC) AND Zlib", false),
        ("GPL-2.0 WITH Classpath-exception-2.0", true),
        ("MIT WITH Classpath-exception-2.0", false),
    ] {
        assert_eq!(is_satisfied(expression, &allowed), satisfied, "{expression}");
    }
}

#[test]
fn every_licence_is_allowed_and_every_allowance_needed() {
    let allowed = rule("licenses", "allow").strings();
    let used: BTreeSet<_> = metadata::others().filter_map(|package| package.licence.as_deref()).collect();
    assert!(used.len() > 5, "cargo metadata lists no packages: {used:?}");
    let mut findings = Vec::new();
    for package in metadata::others() {
        let licence = package.licence.as_deref().unwrap_or_else(|| panic!("{} names no licence", package.name));
        if !is_satisfied(licence, &|one| allowed.iter().any(|allowed| allowed == one)) {
            findings.push(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    nothing_found(&findings, "Do without the package; or, if the licence lets us ship it, allow it in deny.toml.");
    for allowance in &allowed {
        let without = |one: &str| one != allowance && allowed.iter().any(|allowed| allowed == one);
        if used.iter().all(|licence| is_satisfied(licence, &without)) {
            findings.push(allowance.clone());
        }
    }
    nothing_found(&findings, "Nothing needs these licences any more: take them out of deny.toml.");
}

/// Two versions of one of these compile, and then meet as types that don't fit or registries that don't know each other.
const FAMILIES: &[&str] = &["opentelemetry", "prost", "tonic", "tracing"];

#[test]
fn what_must_be_one_is_one() {
    let single: BTreeSet<_> = rule("bans", "deny").strings_of("crate", "deny-multiple-versions").into_iter().collect();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in metadata::others() {
        versions.entry(&package.name).or_default().insert(&package.version);
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
    nothing_found(&findings, "'cargo tree --invert NAME@VERSION' says who wants which: choose versions that agree.");
}

#[test]
fn everything_is_from_crates_io_in_a_version_that_is_said() {
    let registries = rule("sources", "allow-registry").strings();
    let strangers = metadata::others().filter(|package| {
        let from = package.source.as_deref().unwrap_or_default();
        from.strip_prefix("registry+").is_none_or(|registry| registries.iter().all(|known| known != registry))
    });
    let mut findings: Vec<_> = strangers.map(|package| format!("{}: {:?}", package.name, package.source)).collect();
    for package in metadata::ours() {
        let any = package.dependencies.iter().filter(|wanted| !wanted.is_ours && wanted.wanted == "*");
        findings.extend(any.map(|wanted| format!("{} wants any version of {}", package.name, wanted.name)));
    }
    nothing_found(&findings, "Use what is published on crates.io, and name its version in the workspace's Cargo.toml.");
}
