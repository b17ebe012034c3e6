//! The shop's pages over plain HTTP, as people, programs and attackers ask for them. The shop is the real process; the
//! tests that run at the same time share one.

mod crawl;
mod decided;
mod forged;
mod hostile;
mod imported;
pub(super) mod markup;
mod operations;
mod planted;
pub(super) mod purchase;
mod searched;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use selvage_identity::Role;
use selvage_tests::http::{Answer, Client};
use selvage_tests::shop::{OneProcess, Tokens};
use tempfile::TempDir;

use self::markup::Markup;

/// A page has under 100 KB.
const MAX_PAGE: usize = 100_000;

/// The shop with the goods that it has from the first, where no parcel moves during a test.
struct Stocked {
    url: String,
    tokens: Tokens,
    /// Ended with the shop, before its folder goes.
    _process: Mutex<OneProcess>,
    _folder: TempDir,
}

/// The one that runs at present, or a new one. It ends with the last test that uses it.
fn stocked() -> Arc<Stocked> {
    static RUNNING: Mutex<Weak<Stocked>> = Mutex::new(Weak::new());
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.upgrade().unwrap_or_else(|| {
        let folder = tempfile::tempdir().unwrap();
        let process = OneProcess::start(folder.path(), &["--carrier-step", "1h"]);
        let (url, tokens) = (process.url.clone(), process.tokens());
        let shop = Arc::new(Stocked { url, tokens, _process: Mutex::new(process), _folder: folder });
        *running = Arc::downgrade(&shop);
        shop
    })
}

impl Stocked {
    /// Somebody who was never here.
    fn visitor(&self) -> Client {
        Client::new(&self.url)
    }

    /// Somebody who has signed in to its operations, and may start faults.
    fn operator(&self) -> Client {
        let mut visitor = self.visitor();
        operations::sign_in(&mut visitor, &self.tokens.of(Role::Faults, "operator"));
        visitor
    }
}

/// What every answer says to browsers.
fn has_its_headers(at: &str, answer: &Answer) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{at}: {name}");
    }
    assert!(answer.header("cache-control").is_some(), "{at}: how long it may be kept");
    let policy = answer.header("content-security-policy").unwrap_or_default();
    let directives: Vec<_> = policy.split(';').map(str::trim).collect();
    for wanted in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(directives.contains(&wanted), "{at}: {wanted}: {policy}");
    }
    assert!(!["unsafe", "*", "data:", "http:"].iter().any(|lax| policy.contains(lax)), "{at}: {policy}");
}

/// A page of the shop's own: its headers and its markup are right, and nothing in it is from elsewhere.
fn sound(at: &str, answer: &Answer) -> Markup {
    sound_with(at, answer, |_| false)
}

/// The same with pictures from elsewhere and links to there, where `is_known` holds for them.
fn sound_with(at: &str, answer: &Answer, is_known: impl Fn(&str) -> bool) -> Markup {
    has_its_headers(at, answer);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{at}");
    assert!(answer.body.len() < MAX_PAGE, "{at}: {} bytes", answer.body.len());
    let text = answer.text();
    assert!(text.starts_with("<!doctype html>"), "{at}");
    let page = Markup::parse(text).unwrap_or_else(|wrong| panic!("{at}: {wrong}"));
    is_accessible(at, &page);
    is_closed(at, &page, is_known);
    page
}

fn is_accessible(at: &str, page: &Markup) {
    assert_eq!(page.elements[0].get("lang"), Some("en"), "{at}");
    for (name, what) in [("h1", "heading"), ("title", "title"), ("main", "main part")] {
        let found: Vec<_> = page.all(name).collect();
        assert!(found.len() == 1 && !found[0].text.trim().is_empty(), "{at}: one {what}");
    }
    assert!(page.all("img").all(|image| image.get("alt").is_some()), "{at}: a picture without alt");
    let mut ids = BTreeSet::new();
    for id in page.elements.iter().filter_map(|element| element.get("id")) {
        assert!(ids.insert(id), "{at}: twice the id {id}");
    }
    for (element, name) in page
        .elements
        .iter()
        .flat_map(|element| ["for", "aria-describedby", "aria-labelledby"].into_iter().map(move |name| (element, name)))
    {
        let refers = element.get(name).unwrap_or_default();
        assert!(refers.split_whitespace().all(|id| ids.contains(id)), "{at}: {name}={refers}");
    }
    let labelled: BTreeSet<_> = page.all("label").filter_map(|label| label.get("for")).collect();
    for field in page.elements.iter().filter(|element| ["input", "select"].contains(&element.name.as_str())) {
        let by_id = field.get("id").is_some_and(|id| labelled.contains(id));
        let named = field.has("type", "hidden") || by_id || page.within(field, "label", |_| true);
        assert!(named, "{at}: a field without label: {field:?}");
    }
    for name in ["a", "button"] {
        let says = |element: &markup::Element| !element.text.trim().is_empty();
        assert!(page.all(name).all(says), "{at}: an <{name}> says nothing");
    }
}

/// No script and no style in the page, nothing from elsewhere, and no form that others could send.
fn is_closed(at: &str, page: &Markup, is_known: impl Fn(&str) -> bool) {
    for element in &page.elements {
        for (name, value) in &element.attributes {
            assert!(name != "style" && !name.starts_with("on"), "{at}: {name}={value}");
            let is_address =
                ["href", "src", "action", "formaction", "srcset", "poster", "data", "data-tracker", "data-events"];
            if is_address.contains(&name.as_str()) {
                let own = value.starts_with('#') || (value.starts_with('/') && !value.starts_with("//"));
                let leads_away = ["a", "img"].contains(&element.name.as_str()) && is_known(value);
                assert!(own || leads_away, "{at}: {name}={value}");
            }
        }
        let name = element.name.as_str();
        assert!(!["style", "iframe", "object", "embed", "base"].contains(&name), "{at}: <{name}>");
        assert!(name != "script" || (element.get("src").is_some() && element.text.is_empty()), "{at}: {element:?}");
        if name == "form" && element.has("method", "post") {
            let forms = page.forms(element.get("action").unwrap_or_default());
            assert!(forms.iter().all(|form| form.get("csrf").len() == 86), "{at}: a form without token");
        }
    }
}

/// Puts a piece of the first product of `category` that can be bought into the visitor's bag; says what and where it is.
pub(crate) fn put_into_bag(visitor: &mut Client, category: &str) -> (String, String) {
    let answer = visitor.get(category);
    assert_eq!(answer.status, 200, "{category}: {}", answer.text());
    let shelf = sound(category, &answer);
    let cards = shelf.all("a").filter_map(|link| link.get("href")).filter(|href| href.starts_with("/p/"));
    for card in cards {
        let answer = visitor.get(card);
        assert_eq!(answer.status, 200, "{card}: {}", answer.text());
        let page = sound(card, &answer);
        let open = |size: &&markup::Element| size.has("name", "sku") && size.get("disabled").is_none();
        let Some(sku) = page.all("input").find(open).and_then(|size| size.get("value")) else { continue };
        let form = page.form("/bag/items").set("sku", sku);
        let answer = visitor.post("/bag/items", form.pairs());
        has_its_headers("/bag/items", &answer);
        assert!(answer.location().starts_with(card) && answer.location().ends_with("notice=added"));
        return (sku.to_owned(), card.to_owned());
    }
    panic!("everything is sold out in {category}");
}

/// The visitor's bag.
fn bag(visitor: &mut Client) -> Markup {
    let answer = visitor.get("/bag");
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    sound("/bag", &answer)
}

/// Whether there is nothing in it.
fn has_empty_bag(visitor: &mut Client) -> bool {
    bag(visitor).text().contains("There is nothing in it yet.")
}
