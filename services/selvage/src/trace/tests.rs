use std::collections::BTreeSet;

use proptest::prelude::*;

use super::id::TraceId;
use super::span::Span;
use super::tree::Stray;
use super::{jaeger, print, tree};

/// A purchase's beginning as Jaeger's API gave it, with a wait, an error, a link, an event and a span whose parent is lost.
const RECORDED: &[u8] = include_bytes!("recorded/trace.json");
const PRINTED: &str = include_str!("recorded/trace.txt");

fn id() -> TraceId {
    "5e1fa9e0000000000000000000000001".parse().unwrap()
}

#[test]
fn a_recorded_trace_is_printed_as_it_was() {
    let page = print::page(&id(), &jaeger::spans(RECORDED).unwrap());
    assert_eq!(page, PRINTED, "printed now:\n{page}");
}

#[test]
fn what_is_no_answer_of_jaegers_is_an_error_in_words() {
    for (answer, word) in
        [("<html>", "isn't what"), ("{}", "nothing of it"), (r#"{"data":[{"spans":[]}]}"#, "isn't what")]
    {
        assert!(format!("{:#}", jaeger::spans(answer.as_bytes()).unwrap_err()).contains(word), "{answer}");
    }
}

fn span(id: &str, parent: Option<&str>, start: u64) -> Span {
    Span { id: id.into(), parent: parent.map(Into::into), name: id.into(), start, duration: 5, ..Span::default() }
}

fn order(spans: &[Span]) -> Vec<(&str, usize, Option<Stray>)> {
    let lines = tree::lines(spans);
    lines.iter().map(|line| (spans[line.span].id.as_str(), line.follows.len(), line.stray)).collect()
}

#[test]
fn children_stand_below_their_parents_by_time() {
    let spans = [span("c", Some("a"), 9), span("d", Some("b"), 4), span("b", Some("a"), 2), span("a", None, 1)];
    assert_eq!(order(&spans), [("a", 0, None), ("b", 1, None), ("d", 2, None), ("c", 1, None)]);
}

#[test]
fn who_belongs_to_nobody_is_printed_too() {
    let spans = [
        span("lost", Some("gone"), 1),
        span("own", Some("own"), 2),
        span("x", Some("y"), 3),
        span("y", Some("x"), 4),
        span("below", Some("y"), 5),
        span("root", None, 6),
    ];
    let (orphan, circle) = (Some(Stray::Orphan), Some(Stray::Circle));
    let expected = [
        ("lost", 0, orphan),
        ("root", 0, None),
        ("own", 0, circle),
        ("x", 0, circle),
        ("y", 1, None),
        ("below", 2, None),
    ];
    assert_eq!(order(&spans), expected);
}

#[test]
fn a_chain_of_any_length_has_narrow_lines() {
    let ids: Vec<_> = (0..20_000).map(|number| number.to_string()).collect();
    let parents = [None].into_iter().chain(ids.iter().map(|id| Some(id.as_str())));
    let spans: Vec<_> = ids.iter().zip(parents).map(|(id, parent)| span(id, parent, 1)).collect();
    let page = print::page(&id(), &spans);
    assert_eq!(tree::lines(&spans).len(), 20_000);
    assert!(page.lines().all(|line| line.chars().count() < 200));
    assert!(page.contains("(+19975) 19999\n"));
}

/// Few ids, so that there are circles, several spans of one id, and orphans; times up to the largest.
fn spans() -> impl Strategy<Value = Vec<Span>> {
    let time = || prop_oneof![0..50_u64, any::<u64>()];
    let one = (0..12_u8, prop::option::of(0..14_u8), time(), time(), ".{0,8}", prop::bool::ANY);
    let one = one.prop_map(|(id, parent, start, duration, name, waits)| Span {
        id: id.to_string(),
        parent: parent.map(|parent| parent.to_string()),
        start,
        duration,
        name: if waits { "pool.wait".into() } else { name },
        ..Span::default()
    });
    prop::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn whatever_spans_say_of_each_other_each_is_printed_once(spans in spans()) {
        let lines = tree::lines(&spans);
        let printed: BTreeSet<_> = lines.iter().map(|line| line.span).collect();
        prop_assert_eq!((lines.len(), printed.len()), (spans.len(), spans.len()));
        // A head of three lines, and an empty line with three of sums.
        prop_assert_eq!(print::page(&id(), &spans).lines().count(), 3 + spans.len() + 4);
    }

    #[test]
    fn a_child_stands_right_of_its_parent_and_the_guides_end_where_nothing_follows(spans in spans()) {
        let lines = tree::lines(&spans);
        for (at, line) in lines.iter().enumerate() {
            let Some((own, ancestors)) = line.follows.split_last() else { continue };
            let above = lines[..at].iter().rev().find(|above| above.follows.len() + 1 == line.follows.len());
            let above = above.expect("a parent above");
            prop_assert_eq!(Some(&spans[above.span].id), spans[line.span].parent.as_ref());
            prop_assert_eq!(&above.follows[..], ancestors);
            let after = lines[at + 1..].iter().find(|after| after.follows.len() <= line.follows.len());
            prop_assert_eq!(*own, after.is_some_and(|after| after.follows.len() == line.follows.len()));
        }
    }
}
