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

/// What stands at the top and has its place elsewhere.
fn strange(sources: &[Source]) -> Vec<String> {
    let found: BTreeSet<_> = sources.iter().filter_map(|source| source.path.split('/').next()).collect();
    let strange = found.into_iter().filter(|name| !name.starts_with('.') && !TOP.contains(name));
    strange.map(ToOwned::to_owned).collect()
}

#[test]
fn the_top_level_is_as_the_house_says() {
    nothing_found(&strange(source::all()), "Put it below services, proto, charts, k8s or tests.");
}

/// Crates and modules whose name is no job.
fn nameless<'a>(sources: impl IntoIterator<Item = &'a Source>) -> Vec<String> {
    let has_none = |part: &str| NO_JOB.contains(&part.split('.').next().unwrap_or_default());
    let nameless = sources.into_iter().filter(|source| source.path.split('/').any(has_none));
    nameless.map(|source| source.path.clone()).collect()
}

#[test]
fn every_crate_and_module_has_one_job() {
    let findings = nameless(source::ending(&[".rs", "Cargo.toml"]));
    nothing_found(&findings, "Name it by what it does, or put its parts beside what uses them.");
}

fn longer_than<'a>(lines: usize, sources: impl IntoIterator<Item = &'a Source>) -> Vec<String> {
    let counted = sources.into_iter().map(|source| (source, source.text.lines().count()));
    let long = counted.filter(|(_, count)| *count > lines);
    long.map(|(source, count)| format!("{}: {count} lines", source.path)).collect()
}

#[test]
fn files_are_short_enough_to_be_read() {
    let findings = longer_than(MAX_LINES, source::ending(&[".rs", ".css", ".js", ".html", ".proto"]));
    nothing_found(&findings, &format!("Split it by job: at most {MAX_LINES} lines."));
    let mains = source::shipped().filter(|source| source.path.ends_with("/src/main.rs"));
    let findings = longer_than(MAX_MAIN_LINES, mains);
    nothing_found(&findings, "A main has under 40 lines: arguments go to args.rs, wiring to app.rs.");
}

/// Marks of what was put off.
fn put_off<'a>(written: impl IntoIterator<Item = &'a Source>) -> Vec<String> {
    let markers = [
        concat!("#[ig", "nore"),
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("db", "g!"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("To be wri", "tten"),
    ];
    written.into_iter().flat_map(|source| source.mentions(&markers)).collect()
}

#[test]
fn nothing_is_left_for_later() {
    let findings =
        put_off(source::ending(&[".rs", ".toml", ".proto", ".css", ".js", ".html", ".yaml", ".yml", ".sh", "/run"]));
    nothing_found(&findings, "Do it, or say in words why not; a test that can't run yet isn't one.");
}

/// Paths that only one machine has.
fn foreign_paths(sources: &[Source]) -> Vec<String> {
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("..", "/shared")];
    // As a path's beginning: not the middle of a longer one.
    let begins = |line: &str, folder: &str| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|letter| !letter.is_alphanumeric() && !"/.-_~".contains(letter))
        })
    };
    let mut findings = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            if folders.iter().any(|folder| begins(line, folder)) {
                findings.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    findings
}

#[test]
fn nothing_knows_the_machine_it_was_written_on() {
    nothing_found(&foreign_paths(source::all()), "Take the path from the environment, or relative to the checkout.");
}

/// The migrations of a folder: its mod.rs, and the names of the other files, in order.
type Migrations<'a> = (Option<&'a Source>, Vec<&'a str>);

/// The migrations by folder.
fn migrations<'a>(shipped: impl IntoIterator<Item = &'a Source>) -> BTreeMap<String, Migrations<'a>> {
    let mut folders: BTreeMap<_, Migrations<'_>> = BTreeMap::new();
    for source in shipped.into_iter().filter(|source| source.path.contains("/src/migration/")) {
        let (folder, name) = source.path.rsplit_once('/').expect("a folder");
        let (list, files) = folders.entry(folder.to_owned()).or_default();
        if name == "mod.rs" { *list = Some(source) } else { files.push(source.stem()) }
    }
    folders
}

/// Migrations that aren't run, or are called otherwise than they should be.
fn disordered(folders: BTreeMap<String, Migrations<'_>>) -> Vec<String> {
    let mut findings = Vec::new();
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
    findings
}

#[test]
fn migrations_are_append_only() {
    let folders = migrations(source::shipped());
    assert!(folders.len() >= 4, "migrations stand elsewhere now: {:?}", folders.keys());
    nothing_found(
        &disordered(folders),
        "A new migration is a new file, listed last in its Migrator; the others stay as they are.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_what_breaks_it() {
        assert_eq!(
            strange(&[Source::new("scripts/x", ""), Source::new(".github/x", ""), Source::new("proto/x", "")]),
            ["scripts"]
        );
        let named = ["services/utils/Cargo.toml", "services/cart/src/helpers.rs", "services/cart/src/use.rs"];
        assert_eq!(nameless(&named.map(|path| Source::new(path, ""))), &named[..2]);
        assert_eq!(longer_than(2, &[Source::new("a", "\n\n"), Source::new("b", "\n\n\n")]), ["b: 3 lines"]);
        assert_eq!(put_off(&[Source::new("a", concat!("to", "do!()\nFIX", "ME"))]).len(), 2);
        let (paths, ours) = (concat!("a = /wo", "rk/x\n\"/ro", "ot/y\""), concat!("a/wo", "rk/x"));
        assert_eq!(foreign_paths(&[Source::new("a", paths), Source::new("b", ours)]).len(), 2);
    }

    #[test]
    fn each_disorder_of_migrations_is_found() {
        let first = "m20260101_000001_init";
        let findings = |list: Option<&str>, files: &[&str]| {
            let folder = "services/cart/src/migration";
            let list = list.map(|list| Source::new(&format!("{folder}/mod.rs"), list));
            let files = files.iter().map(|stem| Source::new(&format!("{folder}/{stem}.rs"), ""));
            disordered(migrations(&list.into_iter().chain(files).collect::<Vec<_>>())).len()
        };
        let list = "Box::new(m20260101_000001_init::Migration)";
        assert_eq!(findings(Some(list), &[first]), 0);
        assert_eq!(findings(None, &[first]), 1, "there is no list");
        assert_eq!(findings(Some(list), &[first, "m20260102_000002_more"]), 1, "one isn't run");
        assert_eq!(findings(Some("Box::new(init::Migration)"), &["init"]), 1, "no date");
    }
}
