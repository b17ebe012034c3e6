//! A purchase, from the click on "Place order" to the parcel.

use std::collections::BTreeSet;
use std::process::Command;

use selvage_tests::browser;
use selvage_tests::http::Client;
use selvage_tests::jaeger::Jaeger;
use selvage_tests::process::binary;
use selvage_tests::spans::{Span, Trace};

use super::sound::findings;
use super::{BOUND, Traced};
use crate::browse::{DESKTOP, buy};

const SERVICES: [&str; 5] =
    ["selvage-web", "selvage-checkout", "selvage-cart", "selvage-catalogue", "selvage-delivery"];
const PLACED: &str = "POST /checkout";
const PLACE_ORDER: &str = "selvage.checkout.v1.Checkout/PlaceOrder";
/// Who calls whom for what, and a span of the caller's that this belongs to.
const CALLS: [(&str, &str, &str, &str); 8] = [
    ("selvage-web", "selvage-checkout", PLACE_ORDER, PLACED),
    ("selvage-checkout", "selvage-cart", "selvage.cart.v1.Cart/GetCart", PLACE_ORDER),
    (
        "selvage-cart",
        "selvage-catalogue",
        "selvage.catalogue.v1.Catalogue/BatchGetProducts",
        "selvage.cart.v1.Cart/GetCart",
    ),
    ("selvage-checkout", "selvage-catalogue", "selvage.catalogue.v1.Catalogue/ReserveStock", PLACE_ORDER),
    ("selvage-checkout", "selvage-delivery", "selvage.delivery.v1.Delivery/QuoteDelivery", PLACE_ORDER),
    ("selvage-checkout", "selvage-catalogue", "selvage.catalogue.v1.Catalogue/CommitStock", "process commit_stock"),
    ("selvage-checkout", "selvage-delivery", "selvage.delivery.v1.Delivery/CreateShipment", "process create_shipment"),
    ("selvage-checkout", "selvage-cart", "selvage.cart.v1.Cart/RemoveOrderedLines", "process clear_cart"),
];
/// The messages that follow from an order.
const MESSAGES: [&str; 5] = ["commit_stock", "capture_payment", "create_shipment", "mail_confirmed", "clear_cart"];
/// The pools that an order takes a connection of, and whose they are.
const POOLS: [(&str, &str); 6] = [
    ("selvage-cart", "cart"),
    ("selvage-catalogue", "catalogue"),
    ("selvage-checkout", "checkout"),
    ("selvage-checkout", "checkout-provider"),
    ("selvage-checkout", "checkout-relay"),
    ("selvage-delivery", "delivery"),
];

/// The trace of the request that placed the one order.
fn of_the_order(jaeger: &Jaeger) -> Option<Trace> {
    let mut found = jaeger.search("selvage-web", &[("http.request.method", "POST"), ("http.route", "/checkout")]);
    assert!(found.len() < 2, "the order was placed once");
    found.pop()
}

/// What is amiss with it as a purchase's.
pub(crate) fn amiss(trace: &Trace) -> Vec<String> {
    let mut amiss = findings(trace);
    let mut is = |right: bool, what: String| {
        if !right {
            amiss.push(what);
        }
    };
    let root = trace.roots().first().map(|root| (root.service.as_str(), root.name.as_str(), root.kind.as_str()));
    is(root == Some(("selvage-web", PLACED, "server")), format!("its root is the browser's request, not {root:?}"));
    is(
        trace.services() == BTreeSet::from(SERVICES),
        format!("all services took part, not only {:?}", trace.services()),
    );
    let below = |span: &Span, name: &str| trace.ancestors(span).iter().any(|above| above.name == name);
    for (caller, callee, method, within) in CALLS {
        let served = |call: &&Span| {
            let mut served = trace.named(callee, method, "server");
            served.any(|served| served.parent.as_ref() == Some(&call.id))
        };
        let made = trace.named(caller, method, "client").find(served);
        is(
            made.is_some_and(|made| below(made, within)),
            format!("{caller} calls {callee} for {method} within {within}"),
        );
    }
    for topic in MESSAGES {
        let name = format!("process {topic}");
        let done = trace.named("selvage-checkout", &name, "consumer").next();
        let right = done.is_some_and(|done| {
            done.tag("messaging.destination.name") == topic && below(done, PLACE_ORDER) && below(done, PLACED)
        });
        is(right, format!("{name} follows from the order"));
    }
    for (service, pool) in POOLS {
        let waits = trace.named(service, "pool.wait", "internal");
        let mut waits = waits.filter(|wait| wait.tag("db.client.connection.pool.name") == pool);
        let beside = |wait: &Span| {
            let is_statement = |span: &&Span| span.service == service && span.tags.contains_key("db.system.name");
            trace.spans.iter().filter(is_statement).any(|statement| statement.parent == wait.parent)
        };
        is(waits.any(beside), format!("{service} waits for {pool}, and makes a statement beside that"));
    }
    let failed = trace.spans.iter().filter(|span| span.failed());
    amiss.extend(failed.map(|span| format!("{}: {} failed: {:?}", span.service, span.name, span.tags)));
    amiss
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_in_the_browser_is_one_trace_from_the_click_to_the_parcel() {
    let Some(traced) = Traced::start(&[]).await else { return };
    let Some(chromium) = browser::start().await else { return };
    let tab = chromium.tab(&traced.pages.url, DESKTOP, true).await;
    buy(&tab, "traced").await;
    chromium.close().await;
    let trace = traced.trace("the order's trace is whole", of_the_order, amiss).await;
    let known: BTreeSet<_> = traced.jaeger.services().into_iter().collect();
    assert!(SERVICES.iter().all(|service| known.contains(*service)), "{known:?}");

    let printed = print(&traced.jaeger, &trace.id).expect("it is printed");
    println!("{printed}");
    let lines: Vec<_> = printed.lines().collect();
    assert!(lines[0].ends_with(&trace.id), "{}", lines[0]);
    for span in &trace.spans {
        assert!(printed.contains(&span.name), "{} isn't printed", span.name);
    }
    for (_, pool) in POOLS {
        assert!(printed.contains(&format!("waits for pool {pool}, ")), "{pool}");
        let sums = lines.iter().find(|line| line.starts_with("pool waits")).expect("sums");
        assert!(sums.contains(&format!("{pool} ")), "{sums}");
    }
    assert!(printed.contains(&format!("{} spans of 5 services; no errors", trace.spans.len())));
    assert!(printed.ends_with(&format!("{}/trace/{}\n", traced.jaeger.url(), trace.id)));
}

/// What `selvage trace` prints, or says is wrong.
fn print(jaeger: &Jaeger, id: &str) -> Result<String, String> {
    let output =
        Command::new(binary("selvage")).args(["trace", id]).env("SELVAGE_JAEGER", jaeger.url()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_says_which_trace_it_is_and_anybody_may_ask_for_it() {
    let Some(traced) = Traced::start(&[]).await else { return };
    let answer = Client::new(&traced.pages.url).get("/c/shirts");
    let timing = answer.header("server-timing").expect("a traced page says its trace");
    let id = timing.strip_prefix("traceparent;desc=\"00-").and_then(|rest| rest.get(..32)).expect(timing);
    let listed = |trace: &Trace| {
        let mut amiss = findings(trace);
        if !trace.services().contains("selvage-catalogue") {
            amiss.push("catalogue listed the shirts".to_owned());
        }
        amiss
    };
    let trace = traced.trace("the page's trace", |jaeger| jaeger.trace(id), listed).await;
    assert_eq!(trace.roots()[0].name, "GET /c/{slug}");
    assert!(print(&traced.jaeger, timing).expect("the header's value will do").contains("ListProducts"));

    let unknown = print(&traced.jaeger, "00000000000000000000000000000001").expect_err("there is none");
    assert!(unknown.contains("has no trace 00000000000000000000000000000001"), "{unknown}");
    assert!(print(&traced.jaeger, "shirts").expect_err("no id").contains("32 hexadecimal digits"));
    let Traced { jaeger, .. } = traced;
    let url = jaeger.url();
    drop(jaeger);
    let output = Command::new(binary("selvage")).args(["trace", id, "--jaeger", &url]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("can't be reached") && said.contains("SELVAGE_JAEGER"), "{said}");
    // The shop has no collector any more, and doesn't care.
    let began = std::time::Instant::now();
    assert_eq!(Client::new(&traced.pages.url).get("/c/shirts").status, 200);
    assert!(began.elapsed() < BOUND);
}
