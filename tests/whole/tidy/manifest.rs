//! As much of TOML as our manifests and deny.toml use: tables, and values that end where their brackets do.

use super::source::{self, Source};

/// An entry, with the table it stands in.
pub(super) struct Entry {
    /// For example `dependencies`.
    pub(super) table: String,
    /// For example `tonic.workspace`.
    pub(super) key: String,
    /// As it is written, on one line.
    pub(super) value: String,
    /// Where it begins.
    pub(super) line: usize,
}

/// The manifests of the workspace's members.
pub(super) fn members() -> impl Iterator<Item = &'static Source> {
    source::ending(&["/Cargo.toml"])
}

/// A file at the top.
pub(super) fn top(name: &str) -> Vec<Entry> {
    let found = source::all().iter().find(|source| source.path == name);
    entries(&found.unwrap_or_else(|| panic!("there is no {name} at the top")).text)
}

/// The entries of a TOML file.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut table = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = without_comment(line);
        if let Some(name) = line.strip_prefix('[') {
            name.trim_matches(['[', ']']).trim().clone_into(&mut table);
        } else if let Some((key, value)) = line.split_once('=') {
            let mut value = value.trim().to_owned();
            while depth(&value) > 0 {
                let (_, line) = lines.next().expect("every bracket is closed");
                value.push(' ');
                value.push_str(without_comment(line));
            }
            let key = key.trim().trim_matches('"').to_owned();
            entries.push(Entry { table: table.clone(), key, value, line: index + 1 });
        }
    }
    entries
}

impl Entry {
    /// The strings of an array of strings, or the one that it is.
    pub(super) fn strings(&self) -> Vec<String> {
        strings(&self.value)
    }

    /// The strings under `key` in an array of inline tables, of those tables that have `flag = true`.
    pub(super) fn strings_of(&self, key: &str, flag: &str) -> Vec<String> {
        let tables = self.value.split('{').skip(1).map(|table| table.split('}').next().unwrap_or_default());
        let flagged = tables.filter(|table| field(table, flag) == Some("true"));
        flagged.filter_map(|table| strings(field(table, key)?).pop()).collect()
    }
}

/// The value under `key` of an inline table without further brackets.
fn field<'a>(table: &'a str, key: &str) -> Option<&'a str> {
    let mut fields = table.split(',').filter_map(|field| field.split_once('='));
    fields.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
}

fn strings(value: &str) -> Vec<String> {
    value.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let end = line.char_indices().find(|(_, letter)| {
        quoted ^= *letter == '"';
        *letter == '#' && !quoted
    });
    line[..end.map_or(line.len(), |(at, _)| at)].trim()
}

/// How many brackets are open at the end.
fn depth(value: &str) -> usize {
    let outside: String = value.split('"').step_by(2).collect();
    outside.matches(['[', '{']).count().saturating_sub(outside.matches([']', '}']).count())
}

#[test]
fn manifests_are_read() {
    let text =
        "[a.b] # c\nx.workspace = true\nlist = [ # \"no\"\n  \"y#\", # z\n  { crate = \"p\", deny = true },\n]\n";
    let entries = entries(text);
    let read: Vec<_> = entries.iter().map(|entry| (entry.table.as_str(), entry.key.as_str(), entry.line)).collect();
    assert_eq!(read, [("a.b", "x.workspace", 2), ("a.b", "list", 3)]);
    assert_eq!(entries[0].value, "true");
    assert_eq!(entries[1].strings(), ["y#", "p"]);
    assert_eq!(entries[1].strings_of("crate", "deny"), ["p"]);
}
