//! The architecture, kept true by reading the checkout: who may depend on whom, what is pure, where things stand, and
//! under which licences. Each finding names its place; each test says what to do about it.

mod directions;
mod layout;
mod licences;
mod links;
mod manifest;
mod metadata;
mod picture;
mod protos;
mod purity;
mod source;
mod words;

/// Fails with all findings at once, and with the remedy.
fn nothing_found(findings: &[String], remedy: &str) {
    assert!(findings.is_empty(), "{} found:\n  {}\n{remedy}", findings.len(), findings.join("\n  "));
}
