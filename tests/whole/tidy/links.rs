//! Links in our pages lead somewhere.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::nothing_found;
use super::source::{self, Source};

/// The addresses that a page's links and pictures have.
fn targets(page: &str) -> Vec<String> {
    let target = |event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url.into_string()),
        _ => None,
    };
    Parser::new(page).filter_map(target).collect()
}

/// The anchors of a page: its headings as GitHub writes them, in small letters, with hyphens for spaces and without
/// punctuation.
fn anchors(page: &str) -> BTreeSet<String> {
    let (mut anchors, mut heading) = (BTreeSet::new(), None::<String>);
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take()),
            Event::Text(text) | Event::Code(text) => {
                let kept = |letter: &char| letter.is_alphanumeric() || "-_ ".contains(*letter);
                let letters = text.chars().filter(kept).map(|letter| if letter == ' ' { '-' } else { letter });
                if let Some(heading) = &mut heading {
                    heading.extend(letters.flat_map(char::to_lowercase));
                }
            }
            _ => {}
        }
    }
    anchors
}

/// `target` as seen from the page at `from`, as a path from the top; `None` if it leads out of the checkout.
fn resolved(from: &str, target: &str) -> Option<String> {
    let mut path = PathBuf::new();
    for part in Path::new(from).parent()?.join(target).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    path.to_str().map(ToOwned::to_owned)
}

/// Links of `page` to files that aren't among `all`, and to anchors that their pages haven't.
fn dead(page: &Source, all: &[Source]) -> Vec<String> {
    let leads = |target: &str| {
        let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
        let path = if file.is_empty() { Some(page.path.clone()) } else { resolved(&page.path, file) };
        let Some(path) = path else { return false };
        let (found, below) = (all.iter().find(|source| source.path == path), format!("{path}/"));
        match (found, anchor) {
            (None, None) => all.iter().any(|source| source.path.starts_with(&below)),
            (None, Some(_)) => false,
            (Some(_), None) => true,
            (Some(found), Some(anchor)) => anchors(&found.text).contains(anchor),
        }
    };
    // What is elsewhere can't be looked at without a network.
    let targets = targets(&page.text).into_iter().filter(|target| !target.contains("://"));
    targets.filter(|target| !leads(target)).map(|target| format!("{}: {target}", page.path)).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages: Vec<_> = source::ending(&[".md"]).collect();
    let links: usize = pages.iter().map(|page| targets(&page.text).len()).sum();
    assert!(links > 30, "only {links} links: the pages stand elsewhere now");
    let findings: Vec<_> = pages.iter().flat_map(|page| dead(page, source::all())).collect();
    nothing_found(&findings, "Let it lead to a file of the checkout, or to a heading of one.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text = "# A b, `c`: d\n[a](../README.md) [b](../README.md#a-title) [c](#a-b-c-d) [d](../a) [e](https://x.org/y)\n\n\
                    [f](../no.md) [g](../README.md#no) [h](#no) ![i](no.svg) [j](../../out)\n\n`[k](code)`";
        let all = [Source::new("a/page.md", text), Source::new("README.md", "## A title!\n")];
        let dead = dead(&all[0], &all);
        let expected = ["../no.md", "../README.md#no", "#no", "no.svg", "../../out"];
        assert_eq!(dead, expected.map(|target| format!("a/page.md: {target}")));
    }
}
