//! The order in which spans are printed: each after its parent, by their times.

use std::collections::{HashMap, HashSet};

use super::span::Span;

/// A span's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The span's index.
    pub(super) span: usize,
    /// From the root on, whether more siblings follow below: of each ancestor but the root, then of the span itself. Empty
    /// for a root.
    pub(super) follows: Vec<bool>,
    /// Levels that were left out of `follows`.
    pub(super) deeper: usize,
    /// Why a span that names a parent is printed as a root.
    pub(super) stray: Option<Stray>,
}

/// Why a span isn't printed below its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// Its parent isn't in the trace: it comes later, was lost, or belongs to another system.
    Orphan,
    /// Its ancestors are its descendants.
    Circle,
}

/// Levels that are drawn. For deeper ones a number is printed, as a chain of n spans would take n² columns.
const MAX_LEVELS: usize = 24;

/// One line for each span, whatever they say of each other.
pub(super) fn lines(spans: &[Span]) -> Vec<Line> {
    let mut order: Vec<_> = (0..spans.len()).collect();
    order.sort_by_key(|&index| (spans[index].start, std::cmp::Reverse(spans[index].duration), index));
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    for &index in &order {
        by_id.entry(&spans[index].id).or_insert(index);
    }
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut roots = Vec::new();
    for &index in &order {
        match spans[index].parent.as_deref().map(|parent| by_id.get(parent)) {
            Some(Some(&parent)) => children.entry(parent).or_default().push(index),
            Some(None) => roots.push((index, Some(Stray::Orphan))),
            None => roots.push((index, None)),
        }
    }
    let mut grown = Growing { children, drawn: HashSet::new(), lines: Vec::with_capacity(spans.len()) };
    for (root, stray) in roots {
        grown.grow(root, stray);
    }
    // A span that isn't below a root is in a circle of parents, or below one.
    for index in order {
        grown.grow(index, Some(Stray::Circle));
    }
    grown.lines
}

struct Growing {
    children: HashMap<usize, Vec<usize>>,
    drawn: HashSet<usize>,
    lines: Vec<Line>,
}

impl Growing {
    /// Adds the lines of a root and of all spans below it. It uses a stack of its own, since a trace may be deeper than the
    /// thread's stack allows.
    fn grow(&mut self, root: usize, stray: Option<Stray>) {
        let mut open = vec![Line { span: root, follows: Vec::new(), deeper: 0, stray }];
        while let Some(line) = open.pop() {
            if !self.drawn.insert(line.span) {
                continue;
            }
            // A child that is drawn already closes a circle.
            let below: Vec<_> = self.children.remove(&line.span).unwrap_or_default();
            let below: Vec<_> = below.into_iter().filter(|child| !self.drawn.contains(child)).collect();
            for (place, &span) in below.iter().enumerate().rev() {
                let mut child = Line { span, stray: None, ..line.clone() };
                if child.follows.len() < MAX_LEVELS {
                    child.follows.push(place + 1 < below.len());
                } else {
                    child.deeper += 1;
                }
                open.push(child);
            }
            self.lines.push(line);
        }
    }
}
