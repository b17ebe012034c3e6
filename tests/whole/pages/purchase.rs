//! A purchase from the shelf to the door, by links and forms alone.

use std::time::Duration;

use selvage_tests::http::{Answer, Client};

use super::markup::{Form, Markup};
use super::{bag, has_empty_bag, put_into_bag, sound, stocked};

/// What a buyer in Leipzig fills in.
const FILLED: [(&str, &str); 6] = [
    ("email", "ada@example.org"),
    ("recipient", "Ada <Muster> & Söhne"),
    ("line1", "Ringstraße 1"),
    ("postal_code", "04109"),
    ("city", "Leipzig"),
    ("country", "DE"),
];

/// How often a browser asks whether an order is placed, and how many seconds it waits each time.
const ASKS: u32 = 10;
const AGAIN: Duration = Duration::from_secs(2);

/// A personal page.
fn personal(at: &str, answer: &Answer) -> Markup {
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{at}");
    sound(at, answer)
}

/// The checkout form, filled in.
fn checkout(visitor: &mut Client) -> Form {
    let page = personal("/checkout", &visitor.get("/checkout"));
    let form = FILLED.iter().fold(page.form("/checkout"), |form, (name, value)| form.set(name, value));
    assert!(form.get("key").len() >= 16 && !form.get("etag").is_empty() && form.get("currency") == "EUR");
    form.set("do", "place")
}

/// Orders what is in the bag; says where the order is.
pub(crate) fn order(visitor: &mut Client) -> String {
    let form = checkout(visitor);
    visitor.post(&form.action, form.pairs()).location().to_owned()
}

/// The same; while the shop is still placing the order, it is asked again as a browser does by itself.
pub(crate) fn order_patiently(visitor: &mut Client) -> String {
    let mut form = checkout(visitor);
    let mut answer = visitor.post(&form.action, form.pairs());
    for _ in 0..ASKS {
        if answer.status != 200 || !answer.text().contains("data-again") {
            break;
        }
        std::thread::sleep(AGAIN);
        form = personal("/checkout", &answer).form("/checkout");
        answer = visitor.post(&form.action, form.pairs());
    }
    answer.location().to_owned()
}

/// The alert on a page that shows the form again.
fn alert(page: &Markup) -> &str {
    &page.one("role", "alert").text
}

#[test]
fn a_shirt_is_bought_by_forms_alone_and_once_however_often_the_form_is_sent() {
    let shop = stocked();
    let mut buyer = shop.visitor();
    assert_eq!(buyer.get("/checkout").location(), "/bag", "there is nothing to order");
    let (sku, product) = put_into_bag(&mut buyer, "/c/t-shirts?stock=1&sort=price-up");
    let added = sound(&product, &buyer.get(&format!("{product}?notice=added")));
    assert!(added.one("role", "status").text.contains("It is in your bag."));
    assert!(added.one("class", "bag").text.contains('1'));

    // The quantity is changed once, and not from a page that has become old.
    let line = bag(&mut buyer).form("/bag/lines");
    assert_eq!((line.get("sku"), line.get("quantity")), (&*sku, "1"));
    for (quantity, leads_to) in [
        ("2", "/bag?notice=updated"),
        // Sent again it is done already.
        ("2", "/bag?notice=updated"),
        ("3", "/bag?notice=changed"),
    ] {
        let change = line.clone().set("quantity", quantity).set("do", "update");
        let answer = buyer.post(&change.action, change.pairs());
        assert_eq!((answer.location(), answer.header("cache-control")), (leads_to, Some("no-store")));
        personal(leads_to, &buyer.get(leads_to));
    }
    let two = bag(&mut buyer).form("/bag/lines");
    assert_eq!(two.get("quantity"), "2");
    let one = two.set("quantity", "1").set("do", "update");
    assert_eq!(buyer.post(&one.action, one.pairs()).location(), "/bag?notice=updated");

    // Another country's prices are shown, and nothing is ordered by that.
    let form = checkout(&mut buyer);
    let swiss = form.clone().set("country", "CH").set("do", "update");
    let page = personal("/checkout", &buyer.post(&swiss.action, swiss.pairs()));
    let shown = page.form("/checkout");
    assert_eq!((shown.get("country"), shown.get("line1")), ("CH", "Ringstraße 1"));
    assert_ne!(shown.get("total_standard"), form.get("total_standard"));

    // A link can choose a country, and nothing of where the parcel goes.
    let led =
        FILLED.map(|(name, _)| if name == "country" { "country=CH".to_owned() } else { format!("{name}=Mallory") });
    let page = personal("/checkout", &buyer.get(&format!("/checkout?{}", led.join("&"))));
    let shown = page.form("/checkout");
    assert_eq!(shown.get("country"), "CH");
    assert!(FILLED.iter().filter(|(name, _)| *name != "country").all(|(name, _)| shown.get(name).is_empty()));

    let first = buyer.post(&form.action, form.pairs()).location().to_owned();
    assert!(first.starts_with("/orders/") && first.ends_with("?placed=1"), "{first}");
    for again in 0..2 {
        assert_eq!(buyer.post(&form.action, form.pairs()).location(), first, "sent again ({again})");
    }
    let other = form.clone().set("city", "Dresden");
    let page = personal("/checkout", &buyer.post(&other.action, other.pairs()));
    assert!(alert(&page).contains("sent before with other content"), "{}", alert(&page));

    let page = personal(&first, &buyer.get(&first));
    let text = page.text();
    for said in ["Thank you, Ada.", "ada@example.org", "Ada <Muster> & Söhne", "Ringstraße 1", "04109", "Leipzig"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let list = personal("/orders", &buyer.get("/orders"));
    let path = first.split('?').next().unwrap();
    let orders: Vec<_> = list.all("a").filter_map(|a| a.get("href")).filter(|to| to.starts_with("/orders/")).collect();
    assert_eq!(orders, [path], "it was ordered once");
}

#[test]
fn what_is_wrong_with_a_form_is_said_beside_it_and_what_was_typed_stays() {
    let shop = stocked();
    let mut buyer = shop.visitor();
    put_into_bag(&mut buyer, "/c/dresses?stock=1");
    let right = checkout(&mut buyer).set("line2", "Back \"yard\" <2>");
    let missing = |names: &[&str]| names.iter().fold(right.clone(), |form, name| form.set(name, "  "));
    let long = "x".repeat(101);
    for (form, wrong) in [
        (missing(&["email"]), &["email"][..]),
        (missing(&["recipient", "line1", "city"]), &["recipient", "line1", "city"]),
        (right.clone().without("email").without("city"), &["email", "city"]),
        (right.clone().set("email", "ada at example"), &["email"]),
        (right.clone().set("postal_code", "not one"), &["postal_code"]),
        (right.clone().set("line1", &long).set("line2", &long), &["line1", "line2"]),
    ] {
        let page = personal("/checkout", &buyer.post(&form.action, form.pairs()));
        assert!(!alert(&page).is_empty());
        for name in ["email", "recipient", "line1", "line2", "postal_code", "city"] {
            let field = page.one("id", name);
            let is_wrong = wrong.contains(&name);
            assert_eq!(field.has("aria-invalid", "true"), is_wrong, "{name} of {wrong:?}");
            assert_eq!(field.get("value"), Some(form.get(name).trim()), "{name} stays");
            if is_wrong {
                let said = page.one("id", field.get("aria-describedby").expect("what is wrong"));
                assert!(said.text.len() > 20, "{said:?}");
            }
        }
        assert_ne!(page.form("/checkout").get("key"), form.get("key"), "the form shown again is another");
    }
    // Each form has a key of its own, as if its page had just been loaded.
    let key = right.get("key");
    for (form, said) in [
        (right.clone().set("card", "tok_of_gold"), "Please choose how to pay."),
        (right.clone().set("card", "tok_declines"), "The card was declined, and nothing was charged."),
        (right.clone().set("country", "ZZ"), "We don't deliver to that country yet."),
        (right.clone().set("total_standard", "1"), "The total has changed since you saw it."),
        (right.clone().set("etag", "another"), "Your bag has changed, perhaps in another tab."),
        (right.clone().set("key", "short"), "The page had become old."),
        (right.clone().set("currency", "zorkmids"), "The page had become old."),
    ] {
        let form = if form.get("key") == key { form.set("key", checkout(&mut buyer).get("key")) } else { form };
        let page = personal("/checkout", &buyer.post(&form.action, form.pairs()));
        assert!(page.text().contains(said), "{said}: {}", page.text());
        assert_eq!(page.one("id", "line2").get("value"), Some("Back \"yard\" <2>"));
    }
    assert!(!has_empty_bag(&mut buyer), "the bag is as it was");
    let list = personal("/orders", &buyer.get("/orders"));
    let told = |state: &str| list.text().matches(state).count();
    assert_eq!((told("· 1 piece"), told("Not placed")), (1, 1), "but for the one that was declined, there is no order");
}

#[test]
fn a_bag_that_changed_behind_the_form_is_told_before_anything_is_ordered() {
    let shop = stocked();
    let mut buyer = shop.visitor();
    put_into_bag(&mut buyer, "/c/bags?stock=1");
    let seen = checkout(&mut buyer);
    put_into_bag(&mut buyer, "/c/jeans?stock=1");
    let page = personal("/checkout", &buyer.post(&seen.action, seen.pairs()));
    assert!(alert(&page).contains("Your bag has changed"), "{}", alert(&page));
    let shown = page.form("/checkout");
    for (name, value) in FILLED {
        assert_eq!(shown.get(name), value);
    }
    for name in ["etag", "total_standard", "key"] {
        assert_ne!(shown.get(name), seen.get(name), "{name} is the new one");
    }
    let now = shown.set("do", "place");
    let placed = buyer.post(&now.action, now.pairs()).location().to_owned();
    assert!(placed.ends_with("?placed=1"));

    // It is stopped before the carrier has it, and the page that watches it learns that by itself.
    let path = placed.split('?').next().unwrap();
    let cancel = personal(path, &buyer.get(path)).form(&format!("{path}/cancel"));
    assert_eq!(buyer.post(&cancel.action, cancel.pairs()).location(), path);
    let events = buyer.get(&format!("{path}/events"));
    assert_eq!((events.status, events.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(events.header("cache-control"), Some("no-store"));
    let last = events.text().split("event: moved").last().unwrap_or_default();
    assert!(last.contains("Cancelled. Your money has been given back."), "{}", events.text());
    let page = personal(path, &buyer.get(path));
    assert!(page.forms(&cancel.action).is_empty() && page.text().contains("Cancelled."));
    assert_eq!(buyer.post(&cancel.action, cancel.pairs()).location().split('?').next(), Some(path));
}

/// A page that watches an order costs a connection and a stream, of which there are 500.
#[test]
fn one_guest_watches_orders_on_some_pages_and_leaves_the_others_to_others() {
    let shop = stocked();
    let ordered = || {
        let mut buyer = shop.visitor();
        put_into_bag(&mut buyer, "/c/t-shirts?stock=1");
        let placed = order_patiently(&mut buyer);
        (buyer, format!("{}/events", placed.split('?').next().unwrap()))
    };
    let (first, events) = ordered();
    let watching: Vec<_> = (0..8).map(|_| first.open(&events)).collect();
    assert!(watching.iter().all(|stream| stream.status == 200));
    assert_eq!(first.open(&events).status, 503, "eight are one guest's share");
    let (second, events) = ordered();
    assert_eq!(second.open(&events).status, 200);
}
