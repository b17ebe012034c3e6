//! The chart's README: its table of values is written from `values.yaml`, where each value has its sentence above it.

use selvage_tests::helm::chart;
use serde_json::Value;

use super::compare_or_write;

const BEGIN: &str = "<!-- The values: written from values.yaml by tests/whole/chart/readme.rs. -->\n";
const END: &str = "<!-- The end of the values. -->\n";
/// What is said of a value that is explained where it stands first.
const SAME: &str = "As for catalogue.";

/// A key of the file, and what is said above it.
struct Entry {
    path: Vec<String>,
    said: String,
}

/// The keys of a file of values, in their order.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let (mut open, mut said): (Vec<(usize, String)>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("# ") {
            said.push(comment);
            continue;
        }
        let key = line.split_once(':').map(|(key, _)| key);
        match key {
            Some(key) if !line.starts_with('-') => {
                open.retain(|(outer, _)| *outer < indent);
                open.push((indent, key.to_owned()));
                let path = open.iter().map(|(_, key)| key.clone()).collect();
                entries.push(Entry { path, said: said.join(" ") });
            }
            _ => {}
        }
        said.clear();
    }
    entries
}

fn at<'a>(values: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(values, |value, key| &value[key])
}

/// A row for each value that is explained, and a heading for each that holds such.
fn table(text: &str) -> Result<String, String> {
    let values: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let entries = entries(text);
    let holds = |path: &[String]| {
        entries
            .iter()
            .any(|entry| entry.path.len() > path.len() && entry.path.starts_with(path) && !entry.said.is_empty())
    };
    let mut rows = String::new();
    for entry in &entries {
        let is_group = holds(&entry.path);
        let named = entry.path.join(".");
        if entry.said.is_empty() {
            // What is within an explained value needs no words of its own; a group may do without.
            let within = (1..entry.path.len()).any(|depth| {
                let outer = &entry.path[..depth];
                entries.iter().any(|known| known.path == outer && !known.said.is_empty()) && !holds(outer)
            });
            if !within && !is_group {
                return Err(format!("{named} has no sentence above it"));
            }
            continue;
        }
        let default = at(&values, &entry.path);
        if entry.said.starts_with(SAME) && entry.said.len() == SAME.len() {
            let twin: Vec<_> = match entry.path.as_slice() {
                [_, pools, _, key] if pools == "pools" => {
                    ["catalogue", "pools", "catalogue", key].map(ToOwned::to_owned).into()
                }
                [_, rest @ ..] => [&["catalogue".to_owned()], rest].concat(),
                [] => Vec::new(),
            };
            if at(&values, &twin) == default {
                continue;
            }
        }
        if is_group {
            rows += &format!("| **`{named}`** | | {} |\n", entry.said);
        } else {
            rows += &format!("| `{named}` | `{}` | {} |\n", default.to_string().replace('|', "\\|"), entry.said);
        }
    }
    Ok(format!("| value | default | |\n|---|---|---|\n{rows}"))
}

#[test]
fn the_readmes_table_is_that_of_the_values() {
    let folder = chart();
    let read =
        |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let table = table(&read("values.yaml")).unwrap_or_else(|error| panic!("values.yaml: {error}"));
    let readme = read("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the README has a mark where the values begin");
    let (_, after) = rest.split_once(END).expect("the README has a mark where the values end");
    compare_or_write(&folder.join("README.md"), &format!("{before}{BEGIN}\n{table}\n{END}{after}"));
}

#[test]
fn a_value_without_a_sentence_is_found() {
    let text = "# A group.\nouter:\n  # One.\n  one: 1\n  # A list.\n  list:\n    - key: x\n  map: {}\n";
    assert_eq!(table(text), Err("outer.map has no sentence above it".to_owned()));
    let text = "# A group.\nouter:\n  # One.\n  one: 1\n  # Asked for.\n  asked:\n    cpu: 1m\n";
    let wanted = "| **`outer`** | | A group. |\n| `outer.one` | `1` | One. |\n| `outer.asked` | `{\"cpu\":\"1m\"}` | Asked for. |\n";
    assert_eq!(table(text).map(|table| table.ends_with(wanted)), Ok(true));
}
