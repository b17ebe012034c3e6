//! As much of PromQL as tells which series and labels an expression is about.

use std::collections::BTreeSet;

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Its series.
    pub(crate) metrics: BTreeSet<String>,
    /// Labels in selectors, groupings and matchings.
    pub(crate) labels: BTreeSet<String>,
}

/// What is followed by a list of labels.
const LISTS: &[&str] = &["by", "group_left", "group_right", "ignoring", "on", "without"];
const WORDS: &[&str] = &["and", "bool", "inf", "nan", "offset", "or", "unless"];

impl Names {
    /// Those in `expression`, in which a dashboard's variables may stand for a range or a value.
    pub(crate) fn of(expression: &str) -> Self {
        let mut names = Self::default();
        let mut rest = expression;
        while let Some(letter) = rest.chars().next() {
            let end = match letter {
                '"' | '\'' | '`' => quoted(rest),
                '{' => {
                    let end = closing(rest, '}');
                    names.labels.extend(identifiers(&rest[1..end]));
                    end
                }
                '[' => closing(rest, ']'),
                '$' => 1 + word(&rest[1..]),
                '0'..='9' => rest.find(|letter: char| !letter.is_alphanumeric() && letter != '.').unwrap_or(rest.len()),
                _ if is_name(letter) => names.take_word(rest),
                _ => letter.len_utf8(),
            };
            rest = &rest[end..];
        }
        names
    }

    fn take_word(&mut self, text: &str) -> usize {
        let end = word(text);
        let (name, after) = text.split_at(end);
        // Also `sum by (…) (…)`.
        let next = after.trim_start();
        let is_call = next.starts_with('(') || next[..word(next)] == *"by" || next[..word(next)] == *"without";
        if LISTS.contains(&name) {
            if !is_call {
                return end;
            }
            let list = closing(after, ')');
            self.labels.extend(identifiers(&after[..list]));
            return end + list;
        }
        if !is_call && !WORDS.contains(&name.to_ascii_lowercase().as_str()) {
            self.metrics.insert(name.to_owned());
        }
        end
    }
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'
}

/// How long the word at the beginning is.
fn word(text: &str) -> usize {
    text.find(|letter| !is_name(letter)).unwrap_or(text.len())
}

/// How long the string at the beginning is.
fn quoted(text: &str) -> usize {
    let quote = text.chars().next().expect("a quote");
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if letter == quote && !escaped {
            return at + 1;
        }
        escaped = letter == '\\' && !escaped && quote != '`';
    }
    text.len()
}

/// How long it is to the end of the brackets that open at the beginning.
fn closing(text: &str, bracket: char) -> usize {
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        if letter == bracket {
            return at + 1;
        }
        at += if matches!(letter, '"' | '\'' | '`') { quoted(&text[at..]) } else { letter.len_utf8() };
    }
    panic!("nothing closes {text}");
}

/// The names outside strings.
fn identifiers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let end = match letter {
            '"' | '\'' | '`' => quoted(rest),
            _ if is_name(letter) => {
                found.push(rest[..word(rest)].to_owned());
                word(rest)
            }
            _ => letter.len_utf8(),
        };
        rest = &rest[end..];
    }
    found
}

#[test]
fn names_are_found() {
    let names = Names::of(
        r#"histogram_quantile(0.95, sum by (le, pool) (rate(a_bucket{x=~"b{1}|c", y!="d"}[$__rate_interval])))
           / on (service) group_left (z) avg_over_time(e:f:g[2h] offset 5m) > bool 1.5e3 or vector(NaN) and h unless $i"#,
    );
    assert_eq!(names.metrics.iter().map(String::as_str).collect::<Vec<_>>(), ["a_bucket", "e:f:g", "h"]);
    let labels: Vec<_> = names.labels.iter().map(String::as_str).collect();
    assert_eq!(labels, ["le", "pool", "service", "x", "y", "z"]);
    assert_eq!(Names::of("sum without () (i)").metrics.len(), 1);
}
