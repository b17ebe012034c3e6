//! Forms that other sites make people's browsers send, and pages that are somebody else's.

use selvage_tests::http::{Answer, Client, Request};

use super::markup::Form;
use super::purchase::order;
use super::{bag, has_empty_bag, put_into_bag, sound, stocked};

const NO_ORDER: &str = "/orders/00000000-0000-0000-0000-000000000000";

/// The form of the first product that can be bought, as `visitor` sees it.
fn product_form(visitor: &mut Client) -> Form {
    let product = sound("/c/knitwear?stock=1", &visitor.get("/c/knitwear?stock=1"));
    let link = product.all("a").find_map(|link| link.get("href").filter(|href| href.starts_with("/p/")));
    let page = sound("a product", &visitor.get(link.expect("a product in stock")));
    let size = page.all("input").find(|size| size.has("name", "sku") && size.get("disabled").is_none());
    page.form("/bag/items").set("sku", size.and_then(|size| size.get("value")).expect("a size in stock"))
}

fn send(form: &Form, headers: &[(&str, &str)]) -> Request {
    let request = Request::form(&form.action, form.pairs());
    headers.iter().fold(request, |request, (name, value)| request.with(name, value))
}

/// `form` as it may come from elsewhere, with `theirs` for the token of another session.
fn forged(form: &Form, theirs: &str, origin: &str) -> Vec<(&'static str, Request)> {
    let right = form.get("csrf");
    let changed = format!("{}{}", if right.starts_with('A') { 'B' } else { 'A' }, &right[1..]);
    let with = |token: &str| send(&form.clone().set("csrf", token), &[]);
    vec![
        ("no token", send(&form.clone().without("csrf"), &[])),
        ("an empty token", with("")),
        ("a changed token", with(&changed)),
        ("another session's token", with(theirs)),
        ("another site", send(form, &[("origin", "https://shop.example")])),
        ("another port", send(form, &[("origin", "http://127.0.0.1:1")])),
        ("a page of nowhere", send(form, &[("origin", "null")])),
        ("across sites", send(form, &[("sec-fetch-site", "cross-site")])),
        ("from a neighbour", send(form, &[("sec-fetch-site", "same-site")])),
        ("across sites, as if from here", send(form, &[("sec-fetch-site", "cross-site"), ("origin", origin)])),
    ]
}

/// The first line of the bag, but for what differs from look to look.
fn lines(visitor: &mut Client) -> Form {
    bag(visitor).form("/bag/lines").without("csrf")
}

fn is_refused(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 403, "{what}");
    assert_eq!(answer.header("set-cookie"), None, "{what}: begins no session");
    let page = sound(what, answer);
    assert!(page.text().contains("This form has gone stale"), "{what}");
}

#[test]
fn a_form_is_taken_from_our_own_pages_alone() {
    let shop = stocked();
    let (mut victim, mut attacker, mut guest) = (shop.visitor(), shop.visitor(), shop.visitor());
    // The attacker has a session and tokens of their own; the victim has only looked around.
    put_into_bag(&mut attacker, "/c/knitwear");
    let theirs = product_form(&mut attacker).get("csrf").to_owned();
    let (form, origin) = (product_form(&mut victim), victim.origin());
    for (what, request) in forged(&form, &theirs, &origin) {
        is_refused(what, &victim.send(&request));
    }
    let text = Request::body("/bag/items", "text/plain", b"csrf=x");
    assert_eq!(victim.send(&text).status, 400, "what a page elsewhere can send without a form");
    assert!(has_empty_bag(&mut victim), "nothing of it did anything");

    // The same form, sent by hand and by browsers old and new, begins a session.
    for headers in [&[][..], &[("origin", &*origin)], &[("sec-fetch-site", "same-origin"), ("origin", &*origin)]] {
        let mut somebody = guest.clone();
        let answer = somebody.send(&send(&product_form(&mut guest), headers));
        assert!(answer.location().ends_with("notice=added"), "{headers:?}");
        let cookies: Vec<_> = answer.all("set-cookie").collect();
        let [cookie] = cookies[..] else { panic!("{cookies:?}") };
        for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=2592000"] {
            assert!(cookie.starts_with("selvage-session=") && cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain") && !cookie.contains("Secure"), "{cookie}");
        assert!(!has_empty_bag(&mut somebody));
    }

    // With a session as well. A form from before it counts only where the browser vouches for the page.
    victim.send(&send(&form, &[]));
    let before = lines(&mut victim);
    for (what, request) in forged(&product_form(&mut victim), &theirs, &origin) {
        is_refused(what, &victim.send(&request));
    }
    is_refused("a form from before the session", &victim.send(&send(&form, &[])));
    for address in ["/bag/lines", "/checkout", &format!("{NO_ORDER}/cancel")] {
        is_refused(address, &victim.post(address, before.clone().set("csrf", &theirs).set("do", "remove").pairs()));
    }
    assert_eq!(lines(&mut victim), before, "nothing of it did anything");
    let vouched = send(&form, &[("sec-fetch-site", "same-origin")]);
    assert!(victim.send(&vouched).location().ends_with("notice=added"));
    assert_eq!(lines(&mut victim).get("quantity"), "2");
}

#[test]
fn an_order_is_its_buyers_alone() {
    let shop = stocked();
    let (mut buyer, mut other, mut guest) = (shop.visitor(), shop.visitor(), shop.visitor());
    put_into_bag(&mut buyer, "/c/shoes");
    let theirs = order(&mut buyer);
    let path = theirs.split('?').next().unwrap();
    put_into_bag(&mut other, "/c/shoes");
    let token = bag(&mut other).form("/bag/lines").get("csrf").to_owned();
    for somebody in [&mut other, &mut guest] {
        for behind in ["", "?placed=1", "/events"] {
            let found = somebody.get(&format!("{path}{behind}"));
            let missing = somebody.get(&format!("{NO_ORDER}{behind}"));
            assert_eq!((found.status, missing.status), (404, 404), "{behind}");
            assert_eq!(found.text(), missing.text(), "nobody learns whether there is such an order");
            sound(path, &found);
        }
        let list = sound("/orders", &somebody.get("/orders"));
        assert!(list.text().contains("Nothing yet."));
    }
    let answer = other.post(&format!("{path}/cancel"), [("csrf", token.as_str())]);
    assert_eq!(answer.status, 404);
    sound("a cancellation", &answer);
    let own = buyer.get(path);
    assert_eq!((own.status, own.header("cache-control")), (200, Some("no-store")));
    let page = sound(path, &own);
    assert!(page.forms(&format!("{path}/cancel")).len() == 1 && !page.text().contains("stopp"), "it wasn't cancelled");
}
