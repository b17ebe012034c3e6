//! The rpcs' description is their documentation: each part says what it means (AIP-192), and lists come in pages (AIP-158).

use std::collections::BTreeMap;

use super::nothing_found;
use super::source::{self, Source};

/// A declaration in a .proto file.
struct Part {
    kind: &'static str,
    name: String,
    /// The message or service around it.
    within: String,
    place: String,
    is_explained: bool,
    /// Of an rpc: request and response.
    types: Vec<String>,
}

/// All declarations below `proto/`.
fn parts() -> Vec<Part> {
    let files: Vec<_> =
        source::ending(&[".proto"]).filter(|source| source.path.starts_with("proto/selvage/")).collect();
    assert!(files.len() >= 5, "the protos stand elsewhere now");
    files.into_iter().flat_map(scan).collect()
}

/// Line by line, as the files are formatted: a declaration begins a line, its comment stands above it.
fn scan(source: &Source) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut around: Vec<(&str, String)> = Vec::new();
    let mut is_explained = false;
    for (index, line) in source.text.lines().enumerate() {
        let (line, trailing) = line.split_once("//").map_or((line.trim(), false), |(line, _)| (line.trim(), true));
        if line.is_empty() {
            is_explained = trailing;
            continue;
        }
        let words: Vec<_> = line.split(|letter: char| !letter.is_alphanumeric() && !"_.".contains(letter)).collect();
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let inner = around.last().map_or("", |(kind, _)| *kind);
        let declared = match (inner, words.as_slice()) {
            (_, [kind @ ("service" | "rpc" | "message" | "enum"), name, ..]) => Some((*kind, *name)),
            ("message" | "oneof", [.., name, number]) if line.contains(" = ") && number.parse::<u32>().is_ok() => {
                Some(("field", *name))
            }
            _ => None,
        };
        if let Some((kind, name)) = declared {
            parts.push(Part {
                kind: ["service", "rpc", "message", "enum", "field"]
                    .into_iter()
                    .find(|known| *known == kind)
                    .expect("known"),
                name: name.to_owned(),
                within: around.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join("."),
                place: format!("{}:{}", source.path, index + 1),
                is_explained: is_explained || trailing,
                types: words
                    .iter()
                    .skip(2)
                    .filter(|word| !["returns", "stream"].contains(word))
                    .map(ToString::to_string)
                    .collect(),
            });
        }
        is_explained = false;
        for letter in line.chars() {
            match letter {
                '{' => around.push((
                    words.first().copied().unwrap_or_default(),
                    words.get(1).copied().unwrap_or_default().to_owned(),
                )),
                '}' => drop(around.pop()),
                _ => {}
            }
        }
    }
    assert!(around.is_empty(), "{}: the scanner lost its way", source.path);
    parts
}

#[test]
fn every_rpc_message_and_field_is_explained() {
    let parts = parts();
    let unexplained = parts.iter().filter(|part| !part.is_explained);
    let findings: Vec<_> = unexplained
        .map(|part| {
            format!(
                "{}: {} {}{}{}",
                part.place,
                part.kind,
                part.within,
                if part.within.is_empty() { "" } else { "." },
                part.name
            )
        })
        .collect();
    nothing_found(&findings, "Say in a comment above it what it means, its bounds, and when it is empty.");
}

/// Lists that come whole.
const WHOLE: &[(&str, &str)] = &[
    ("ListCategories", "a shop has a dozen; every page shows them all"),
    ("ListFaults", "16 are active at the most; a process keeps no others"),
];

#[test]
fn lists_come_in_pages() {
    let parts = parts();
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for field in parts.iter().filter(|part| part.kind == "field") {
        fields.entry(&field.within).or_default().push(&field.name);
    }
    let lists = parts
        .iter()
        .filter(|part| part.kind == "rpc" && (part.name.starts_with("List") || part.name.starts_with("Search")));
    let (mut findings, mut seen) = (Vec::new(), 0);
    for list in lists.filter(|list| WHOLE.iter().all(|(name, _)| list.name != *name)) {
        seen += 1;
        let [request, response, ..] = list.types.as_slice() else { panic!("{}: no request and response", list.place) };
        for (message, field) in [(request, "page_size"), (request, "page_token"), (response, "next_page_token")] {
            if !fields.get(message.as_str()).is_some_and(|fields| fields.contains(&field)) {
                findings.push(format!("{}: {} has no {field}", list.place, message));
            }
        }
    }
    assert!(seen >= 4, "only {seen} lists: the scanner lost its way");
    nothing_found(&findings, "Everything that can grow is read in pages: page_size, page_token, next_page_token.");
}
