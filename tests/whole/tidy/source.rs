//! The checkout's files, and their text as a compiler sees it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A file of the checkout.
pub(super) struct Source {
    /// From the top, with slashes.
    pub(super) path: String,
    /// Empty if it isn't text.
    pub(super) text: String,
}

/// The top of the checkout.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stand below the top").to_owned()
}

/// All files, but those that .gitignore names and the folders of tools whose names begin with a dot.
pub(super) fn all() -> &'static [Source] {
    static ALL: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let mut all = Vec::new();
        walk(&root(), "", &mut all);
        all.sort_by(|left, right| left.path.cmp(&right.path));
        assert!(all.len() > 100, "only {} files below {}", all.len(), root().display());
        all
    });
    &ALL
}

/// The text of the file at `path`.
pub(super) fn text(path: &str) -> &'static str {
    let found = all().iter().find(|source| source.path == path);
    &found.unwrap_or_else(|| panic!("there is no {path}")).text
}

/// Folders with a dot that are ours.
const OWN_DOT_FOLDERS: &[&str] = &[".cargo", ".ci", ".config", ".github"];

/// Whether .gitignore names it: what is built, and what a shop that was tried out has left.
fn is_ignored(path: &str) -> bool {
    static IGNORED: LazyLock<String> =
        LazyLock::new(|| fs::read_to_string(root().join(".gitignore")).expect("a .gitignore"));
    IGNORED.lines().any(|line| line.trim_end_matches('/').strip_prefix('/') == Some(path))
}

fn walk(folder: &Path, below: &str, all: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        // Other tests and editors come and go meanwhile: what is gone by now is no finding.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            let is_tools = name.starts_with('.') && !OWN_DOT_FOLDERS.contains(&name.as_str());
            if !is_ignored(&path) && !is_tools {
                walk(&entry.path(), &path, all);
            }
        } else if kind.is_file()
            // In a further work tree of a repository, .git is a file.
            && name != ".git"
            && let Ok(bytes) = fs::read(entry.path())
        {
            all.push(Source { path, text: String::from_utf8(bytes).unwrap_or_default() });
        }
    }
}

/// The files with one of these endings.
pub(super) fn ending(endings: &[&str]) -> impl Iterator<Item = &'static Source> {
    all().iter().filter(move |source| endings.iter().any(|ending| source.path.ends_with(ending)))
}

/// The Rust that is shipped, below `services/`: without tests, benches and examples.
pub(super) fn shipped() -> impl Iterator<Item = &'static Source> {
    ending(&[".rs"]).filter(|source| source.path.starts_with("services/") && source.path.contains("/src/"))
}

impl Source {
    /// A file that isn't there, for a rule to be tried on.
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The file's name without its ending.
    pub(super) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.split('.').next().unwrap_or_default()
    }

    /// Whether it stands in a folder of this name.
    pub(super) fn is_in(&self, folder: &str) -> bool {
        self.path.split('/').rev().skip(1).any(|part| part == folder)
    }

    /// The places of any of these words in the text.
    pub(super) fn mentions(&self, words: &[&str]) -> Vec<String> {
        places(&self.path, &self.text, words)
    }

    /// The places of any of these words in the code, so not in comments, strings and the file's own tests.
    pub(super) fn uses(&self, words: &[&str]) -> Vec<String> {
        let mut code = code(&self.text);
        if let Some(begin) = code.find("\n#[cfg(test)]\nmod tests {") {
            let end = code[begin..].find("\n}").map_or(code.len(), |end| begin + end);
            let lines = code[begin..end].matches('\n').count();
            code.replace_range(begin..end, &"\n".repeat(lines));
        }
        places(&self.path, &code, words)
    }

    /// Whether the code has this word anywhere.
    pub(super) fn has(&self, word: &str) -> bool {
        self.text.contains(word) && code(&self.text).lines().any(|line| has_word(line, word))
    }
}

fn places(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let found: BTreeSet<_> = words.iter().filter(|word| has_word(line, word)).collect();
        places.extend(found.iter().map(|word| format!("{path}:{}: {word}", index + 1)));
    }
    places
}

/// Whether `word` stands in `line` without being a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let (first, last) = (word.chars().next(), word.chars().next_back());
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let joined =
            |inner: Option<char>, outer: Option<char>| inner.is_some_and(is_name) && outer.is_some_and(is_name);
        !joined(first, before) && !joined(last, after)
    })
}

/// Rust without what stands in comments and strings; lines stay where they are.
pub(super) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let kept = code.chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '_');
        let skipped = match letter {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string(rest),
            'r' if kept => raw_string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|letter| *letter == '\n'));
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return at + 1,
            _ => escaped = letter == '\\' && !escaped,
        }
    }
    text.len()
}

/// `r"…"` with any number of hashes; 0 if it is none.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|letter| *letter == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let (begin, end) = (2 + hashes, format!("\"{}", "#".repeat(hashes)));
    text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len())
}

/// `'x'`, and not the `'x` of a lifetime.
fn character(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |at| at + 4),
        Some(_) => letters.next().filter(|(_, letter)| *letter == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

#[test]
fn code_is_told_from_comments_and_strings() {
    let text =
        "a /* tokio */ b // sqlx\nc(\"rand \\\" rand\", 'x', '\\'', r#\"\"tokio\"#) + d<'a>(tokio_stream, b\"x\")";
    let code = code(text);
    assert_eq!(code.lines().count(), 2);
    let words: Vec<_> = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    assert_eq!(words, ["a", "b", "c", "d", "a", "tokio_stream", "b"]);
    assert!(!has_word("tokio_stream::x", "tokio") && has_word("x: tokio::y", "tokio"));
    assert!(has_word("let x = dbg_!();", concat!("dbg_", "!")));
}
