//! A trace as text.

use std::fmt::Write as _;

use super::id::TraceId;
use super::span::Span;
use super::sums::Sums;
use super::tree::{self, Line, Stray};
use crate::terminal;

/// Columns of the bar that shows when a span was under way.
const BAR: u64 = 24;
/// Links and events that are shown of one span.
const MAX_NOTES: usize = 3;
/// Letters of a name or value that are shown.
const MAX_LETTERS: usize = 120;

/// The whole page: a headline, the tree, the sums.
pub(super) fn page(id: &TraceId, spans: &[Span]) -> String {
    let sums = Sums::of(spans);
    let width = sums.spans.keys().map(|service| clean(service).chars().count()).max().unwrap_or_default();
    let mut page = format!("trace {id}\n\n{:>9} {:>9}  {:24}  {:width$}  span\n", "start", "takes", "", "service");
    for line in tree::lines(spans) {
        let span = &spans[line.span];
        let start = time(span.start - sums.begins);
        let (bar, service) = (bar(span, &sums), clean(&span.service));
        let tree = format!("{}{}", guides(&line), words(span, &line));
        let _ = writeln!(page, "{start:>9} {:>9}  {bar}  {service:width$}  {tree}", time(span.duration));
    }
    page.push('\n');
    page.push_str(&summary(spans.len(), &sums));
    page
}

/// A time in the unit that it is best read in.
fn time(micros: u64) -> String {
    let millis = micros as f64 / 1_000.0;
    match micros {
        0..10_000 => format!("{millis:.2} ms"),
        10_000..1_000_000 => format!("{millis:.1} ms"),
        _ => format!("{:.2} s", millis / 1_000.0),
    }
}

/// When the span was under way, within the whole. Waits for a pool look unlike work.
fn bar(span: &Span, sums: &Sums) -> String {
    let total = u128::from(sums.total.max(1));
    let column = |micros: u64| u128::from(micros) * u128::from(BAR);
    let from = (column(span.start - sums.begins) / total).min(u128::from(BAR) - 1);
    let to = column(span.end() - sums.begins).div_ceil(total).max(from + 1);
    let drawn = if span.wait().is_some() { '░' } else { '█' };
    (0..u128::from(BAR)).map(|at| if (from..to).contains(&at) { drawn } else { ' ' }).collect()
}

fn guides(line: &Line) -> String {
    let mut guides = String::new();
    if let Some((own, ancestors)) = line.follows.split_last() {
        for follows in ancestors {
            guides.push_str(if *follows { "│ " } else { "  " });
        }
        guides.push_str(if *own { "├ " } else { "└ " });
    }
    if line.deeper > 0 {
        let _ = write!(guides, "(+{}) ", line.deeper);
    }
    guides
}

/// What a span is, and all that is remarkable about it.
fn words(span: &Span, line: &Line) -> String {
    let mut words = clean(&span.name);
    if let Some(wait) = span.wait() {
        let _ = write!(words, " ░ waits for pool {}", clean(wait.pool));
        if let Some(class) = wait.class {
            let _ = write!(words, ", {}", clean(class));
        }
    }
    if let Some(error) = span.error() {
        let _ = write!(words, "  ✗ {}", clean(error));
    }
    for link in span.links.iter().take(MAX_NOTES) {
        let _ = write!(words, "  ↷ span {} of trace {}", clean(&link.span), clean(&link.trace));
    }
    for event in span.events.iter().take(MAX_NOTES) {
        let _ = write!(words, "  • {}", clean(event));
    }
    for (notes, what) in [(span.links.len(), "links"), (span.events.len(), "events")] {
        if notes > MAX_NOTES {
            let _ = write!(words, "  and {} {what} more", notes - MAX_NOTES);
        }
    }
    match line.stray {
        Some(Stray::Orphan) => {
            let parent = span.parent.as_deref().unwrap_or_default();
            let _ = write!(words, "  (its parent {} isn't in the trace)", clean(parent));
        }
        Some(Stray::Circle) => words.push_str("  (its parents form a circle)"),
        None => {}
    }
    words
}

fn clean(text: &str) -> String {
    terminal::clean(text, MAX_LETTERS)
}

fn summary(count: usize, sums: &Sums) -> String {
    let number = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let mut text = format!(
        "total       {}: {} of {}; {}\n",
        time(sums.total),
        number(count, "span", "spans"),
        number(sums.spans.len(), "service", "services"),
        if sums.errors == 0 { "no errors".to_owned() } else { number(sums.errors, "error", "errors") },
    );
    let mut line = |label: &str, parts: Vec<String>| {
        let parts = if parts.is_empty() { "none".to_owned() } else { parts.join("; ") };
        let _ = writeln!(text, "{label:11} {parts}");
    };
    let waits = sums.waits.iter().map(|(pool, waits)| {
        let longest = if waits.count > 1 { format!(", at most {}", time(waits.longest)) } else { String::new() };
        format!("{} {} in {}{longest}", clean(pool), time(waits.time), number(waits.count, "wait", "waits"))
    });
    line("pool waits", waits.collect());
    let statements = sums.statements.iter();
    line(
        "statements",
        statements.map(|(service, (count, took))| format!("{} {count} in {}", clean(service), time(*took))).collect(),
    );
    text
}
