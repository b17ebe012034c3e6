//! The text form in which metrics are served (Prometheus' 0.0.4; OpenMetrics differs in nothing that is looked at here).
//!
//! A page has tens of thousands of lines, of which some ten are looked at. So a line is only taken apart if its name is wanted.

use std::borrow::Cow;

/// The most labels of one sample that are read.
const MOST_LABELS: usize = 64;

/// Names, and what they say.
pub type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// A value, as a line says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// Its labels.
    pub labels: Labels<'a>,
    /// The value; not a number is one.
    pub value: f64,
}

impl Sample<'_> {
    /// What a label says.
    pub fn label(&self, wanted: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.as_ref())
    }
}

/// A line with a wanted name that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the metrics can't be read")]
pub struct Unreadable {
    /// Which line, from 1 on.
    pub line: usize,
}

/// The samples of a page whose names are wanted, in its order.
pub fn samples<'a>(
    page: &'a str,
    is_wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = Result<Sample<'a>, Unreadable>> + 'a {
    page.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim_start_matches([' ', '\t']);
        let name = line.split(['{', ' ', '\t']).next().unwrap_or_default();
        let is_one = !name.is_empty() && !name.starts_with('#') && is_wanted(name);
        is_one.then(|| sample(name, &line[name.len()..]).ok_or(Unreadable { line: index + 1 }))
    })
}

/// What follows a name: labels, a value, and a time or an exemplar, which nobody looks at.
fn sample<'a>(name: &'a str, rest: &'a str) -> Option<Sample<'a>> {
    let rest = rest.trim_start_matches([' ', '\t']);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = number(rest.split_ascii_whitespace().next()?)?;
    Some(Sample { name, labels, value })
}

fn labels(mut rest: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start_matches([' ', '\t']).strip_prefix('"')?)?;
        // Newer clients may put a name in quotes that isn't one otherwise.
        let key = key.trim_matches([' ', '\t', '"']);
        if key.is_empty() || key.contains(['"', '{', '}', ',']) || labels.len() == MOST_LABELS {
            return None;
        }
        labels.push((key, value));
        rest = after;
    }
}

/// A text up to its closing quote, and what follows it.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let plain = text.find(['"', '\\'])?;
    if text.as_bytes()[plain] == b'"' {
        return Some((Cow::Borrowed(&text[..plain]), &text[plain + 1..]));
    }
    let mut value = String::from(&text[..plain]);
    let mut letters = text[plain..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((Cow::Owned(value), &text[plain + at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        // Rust reads more words than that as numbers.
        _ if text.ends_with(|letter: char| letter.is_ascii_digit() || letter == '.') => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(page: &str) -> Result<Vec<Sample<'_>>, Unreadable> {
        samples(page, |_| true).collect()
    }

    #[test]
    fn lines_are_read_as_prometheus_writes_them() {
        let page = "# HELP a Some text {with=\"all\"} 1\n# TYPE a gauge\n\
                    a 1\n\
                    a{} 2.5 1395066363000\n\
                    a{ b = \"c\" , d=\"e\", } -3e2\n\
                    \ta\t{b=\"\\\"\\\\\\n}\"}\t+Inf\n\
                    a_total{b=\"c\"} 7 # {trace_id=\"x\"} 0.5 1.5\n\
                    a NaN\n\n# EOF\n";
        let found = all(page).unwrap();
        let values: Vec<_> = found.iter().map(|sample| sample.value).collect();
        assert_eq!(values[..5], [1.0, 2.5, -300.0, f64::INFINITY, 7.0]);
        assert!(values[5].is_nan());
        assert_eq!(found[2].labels, [("b", "c".into()), ("d", "e".into())]);
        assert_eq!(found[3].label("b"), Some("\"\\\n}"));
        assert_eq!((found[4].name, found[4].label("x")), ("a_total", None));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line_if_it_matters() {
        for wrong in ["a", "a{", "a{b} 1", "a{b=c} 1", "a{b=\"c} 1", "a{b=\"c\"", "a one", "a infinity", "a{b=\"c\"}"] {
            let page = format!("fine 1\n{wrong}\n");
            assert_eq!(all(&page), Err(Unreadable { line: 2 }), "{wrong}");
            assert_eq!(samples(&page, |name| name == "fine").count(), 1, "nobody wants it");
        }
    }

    /// A label's value in a page.
    fn escaped(value: &str) -> String {
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            lines in prop::collection::vec(
                ("[a-z_:][a-z0-9_:]{0,8}", prop::collection::vec(("[a-z_]{1,6}", "[ -~\n\u{e9}]{0,9}"), 0..4), -1e9..1e9_f64), 0..9),
        ) {
            let mut page = String::new();
            for (name, labels, value) in &lines {
                let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
                page.push_str(&format!("{name}{{{}}} {value}\n", labels.join(",")));
            }
            let found = all(&page).unwrap();
            prop_assert_eq!(found.len(), lines.len());
            for (sample, (name, labels, value)) in found.iter().zip(&lines) {
                prop_assert_eq!(sample.name, name.as_str());
                prop_assert!((sample.value - value).abs() < 1e-6);
                let read: Vec<_> = sample.labels.iter().map(|(key, value)| ((*key).to_owned(), value.to_string())).collect();
                prop_assert_eq!(&read, labels);
            }
        }

        /// Whatever comes, nothing goes wrong but what is said.
        #[test]
        fn whatever_comes_is_read_or_refused(page in "[ -~\n\t\\\\\"{}=,\u{e9}\u{1f600}]{0,200}", cut in 0..200_usize) {
            let _ = all(&page);
            let made = format!("a{{b=\"{}\",c=\"d\"}} 1 2\n{page}", escaped(&page));
            let cut = made.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(made.len());
            let _ = all(&made[..cut]);
        }
    }
}
