//! Sums over a trace: its time, its waits for pools, its statements.

use std::collections::BTreeMap;

use super::span::Span;

/// Sums over the spans of a trace; times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// When the first span began.
    pub(super) begins: u64,
    /// From the beginning of the first span to the end of the last.
    pub(super) total: u64,
    pub(super) errors: usize,
    /// Waits for connections, by pool.
    pub(super) waits: BTreeMap<String, Waits>,
    /// Statements and the time that they took, by service.
    pub(super) statements: BTreeMap<String, (usize, u64)>,
    /// Spans, by service.
    pub(super) spans: BTreeMap<String, usize>,
}

/// The waits for one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) count: usize,
    pub(super) time: u64,
    pub(super) longest: u64,
}

impl Sums {
    pub(super) fn of(spans: &[Span]) -> Self {
        let begins = spans.iter().map(|span| span.start).min().unwrap_or_default();
        let ends = spans.iter().map(Span::end).max().unwrap_or_default();
        let mut sums = Self { begins, total: ends - begins, ..Self::default() };
        for span in spans {
            *sums.spans.entry(span.service.clone()).or_default() += 1;
            sums.errors += usize::from(span.error().is_some());
            if let Some(wait) = span.wait() {
                let waits = sums.waits.entry(wait.pool.to_owned()).or_default();
                waits.count += 1;
                waits.time = waits.time.saturating_add(span.duration);
                waits.longest = waits.longest.max(span.duration);
            }
            if span.is_statement() {
                let (count, time) = sums.statements.entry(span.service.clone()).or_default();
                *count += 1;
                *time = time.saturating_add(span.duration);
            }
        }
        sums
    }
}
