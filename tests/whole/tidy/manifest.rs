//! Our files in TOML.

use toml::Table;

use super::source;

/// The manifests of all crates below the top: path and content.
pub(super) fn members() -> impl Iterator<Item = (&'static str, Table)> {
    source::ending(&["/Cargo.toml"]).map(|source| (source.path.as_str(), read(&source.path, &source.text)))
}

/// A file at the top.
pub(super) fn top(name: &str) -> Table {
    read(name, source::text(name))
}

fn read(path: &str, text: &str) -> Table {
    text.parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}
