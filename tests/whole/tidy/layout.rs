//! Where things stand, how long they are, and what must not be in them.

use std::collections::{BTreeMap, BTreeSet};

use super::nothing_found;
use super::source::{self, Source};

const TOP: &[&str] = &[
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "charts",
    "clippy.toml",
    "deny.toml",
    "k8s",
    "proto",
    "rustfmt.toml",
    "services",
    "tests",
];
/// Longer files have more than one job.
const MAX_LINES: usize = 600;
/// A service's main says what it is and starts it.
const MAX_MAIN_LINES: usize = 39;
/// Names of places where things go whose place nobody knows.
const NO_JOB: &[&str] = &["common", "helper", "helpers", "misc", "util", "utils"];

#[test]
fn the_top_level_is_as_the_house_says() {
    let found: BTreeSet<_> = source::all().iter().filter_map(|source| source.path.split('/').next()).collect();
    let strange = found.into_iter().filter(|name| !name.starts_with('.') && !TOP.contains(name));
    let findings: Vec<_> = strange.map(ToOwned::to_owned).collect();
    nothing_found(&findings, "Put it below services, proto, charts, k8s or tests.");
}

#[test]
fn every_crate_and_module_has_one_job() {
    let has_none = |part: &str| NO_JOB.contains(&part.split('.').next().unwrap_or_default());
    let nameless = source::ending(&[".rs", "Cargo.toml"]).filter(|source| source.path.split('/').any(has_none));
    let findings: Vec<_> = nameless.map(|source| source.path.clone()).collect();
    nothing_found(&findings, "Name it by what it does, or put its parts beside what uses them.");
}

#[test]
fn files_are_short_enough_to_be_read() {
    let lines = |source: &Source| source.text.lines().count();
    let written = source::ending(&[".rs", ".css", ".js", ".html", ".proto"]);
    let long = written.filter(|source| lines(source) > MAX_LINES);
    let mut findings: Vec<_> = long.map(|source| format!("{}: {} lines", source.path, lines(source))).collect();
    nothing_found(&findings, &format!("Split it by job: at most {MAX_LINES} lines."));
    let mains = source::shipped().filter(|source| source.path.ends_with("/src/main.rs"));
    let long = mains.filter(|source| lines(source) > MAX_MAIN_LINES);
    findings.extend(long.map(|source| format!("{}: {} lines", source.path, lines(source))));
    nothing_found(&findings, "A main has under 40 lines: arguments go to args.rs, wiring to app.rs.");
}

#[test]
fn nothing_is_left_for_later() {
    let markers = [
        concat!("#[ig", "nore"),
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("db", "g!"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("To be wri", "tten"),
    ];
    let written = source::ending(&[".rs", ".toml", ".proto", ".css", ".js", ".html", ".yaml", ".yml", ".sh", "/run"]);
    let findings: Vec<_> = written.flat_map(|source| source.mentions(&markers)).collect();
    nothing_found(&findings, "Do it, or say in words why not; a test that can't run yet isn't one.");
}

#[test]
fn nothing_knows_the_machine_it_was_written_on() {
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("..", "/shared")];
    // As a path's beginning: not the middle of a longer one.
    let begins = |line: &str, folder: &str| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|letter| !letter.is_alphanumeric() && !"/.-_~".contains(letter))
        })
    };
    let mut findings = Vec::new();
    for source in source::all() {
        for (index, line) in source.text.lines().enumerate() {
            if folders.iter().any(|folder| begins(line, folder)) {
                findings.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    nothing_found(&findings, "Take the path from the environment, or relative to the checkout.");
}

/// The migrations of each folder: the files' names, in order.
fn migrations() -> BTreeMap<String, (Option<&'static Source>, Vec<&'static str>)> {
    let mut folders: BTreeMap<_, (Option<_>, Vec<_>)> = BTreeMap::new();
    for source in source::shipped().filter(|source| source.path.contains("/src/migration/")) {
        let (folder, name) = source.path.rsplit_once('/').expect("a folder");
        let (list, files) = folders.entry(folder.to_owned()).or_default();
        if name == "mod.rs" { *list = Some(source) } else { files.push(source.stem()) }
    }
    folders
}

#[test]
fn migrations_are_append_only() {
    let mut findings = Vec::new();
    let folders = migrations();
    assert!(folders.len() >= 4, "migrations stand elsewhere now: {folders:?}", folders = folders.keys());
    for (folder, (list, files)) in folders {
        let Some(list) = list else {
            findings.push(format!("{folder} has no mod.rs with a Migrator"));
            continue;
        };
        let code = source::code(&list.text);
        let words: Vec<_> = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
        let called: Vec<_> = words.windows(3).filter(|three| three[2] == "Migration").map(|three| three[0]).collect();
        if called != files {
            findings.push(format!("{}: runs {called:?}, and the files are {files:?}", list.path));
        }
        let dated = |stem: &&&str| {
            let mut parts = stem.splitn(3, '_').map(str::len);
            !stem.starts_with('m') || [parts.next(), parts.next()] != [Some(9), Some(6)] || parts.next().is_none()
        };
        let undated = files.iter().filter(dated);
        findings.extend(undated.map(|stem| format!("{folder}/{stem}.rs: is not named mYYYYMMDD_NNNNNN_what.rs")));
    }
    nothing_found(
        &findings,
        "A new migration is a new file, listed last in its Migrator; the others stay as they are.",
    );
}
