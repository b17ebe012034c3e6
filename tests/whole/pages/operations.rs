//! The operations page over plain HTTP: who may see it, and what it says when processes are away.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use selvage_identity::Role;
use selvage_testkit::{Engine, Server, engines, eventually};
use selvage_tests::http::{Answer, Client, Request};
use selvage_tests::process::{Process, binary};
use selvage_tests::shop::Separate;

use super::markup::Markup;
use super::{has_its_headers, sound_with, stocked};

const LONG: Duration = Duration::from_secs(60);
const RUNBOOKS: &str = "https://github.com/selvage-shop/selvage/blob/main/k8s/runbooks/";

/// A page of operations: only its runbooks are elsewhere.
pub(super) fn page(at: &str, answer: &Answer) -> Markup {
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{at}");
    sound_with(at, answer, |address| address.starts_with(RUNBOOKS))
}

#[test]
fn it_is_open_to_this_machine_alone() {
    let shop = stocked();
    let mut here = shop.visitor();
    let seen = page("/ops", &here.get("/ops"));
    assert!(seen.text().contains("All is well.") && seen.text().contains("checkout-relay"));
    assert!(seen.all("script").all(|script| script.get("src").is_some_and(|src| src.ends_with("/ops.js"))));
    // Who is somewhere else, or comes through something, or was led here under another name.
    for (name, value) in [("x-forwarded-for", "192.0.2.1"), ("via", "1.1 proxy"), ("forwarded", "for=192.0.2.1")] {
        let answer = here.send(&Request::new("GET", "/ops").with(name, value));
        assert_eq!(answer.location(), "/ops/sign-in", "{name}");
    }
    let named = here.send(&Request::new("GET", "/ops").with("host", "shop.example"));
    assert_eq!(named.location(), "/ops/sign-in");
    let stranger = here.send(&Request::new("GET", "/ops/events").with("via", "1.1 proxy"));
    assert_eq!(stranger.location(), "/ops/sign-in", "a stream is no page, and tells as little");
}

#[test]
fn its_forms_are_taken_from_itself_alone() {
    let shop = stocked();
    let mut here = shop.visitor();
    let form = page("/ops", &here.get("/ops")).forms("/ops/faults").into_iter().next().expect("a switch");
    let form = form.set("kind", "cpu-burn").set("target", "shop/").set("seconds", "1").set("share", "1");
    // A token from the shop's own pages, which everybody gets, is none for this one.
    let shops = page_of_the_shop(&mut here);
    let forged = [
        form.clone().without("csrf"),
        form.clone().set("csrf", &shops),
        form.clone().set("csrf", &format!("A{}", &form.get("csrf")[1..])),
    ];
    for form in forged {
        assert_eq!(here.post("/ops/faults", form.pairs()).status, 403);
    }
    let foreign = Request::form("/ops/faults", form.pairs()).with("origin", "https://shop.example");
    assert_eq!(here.send(&foreign).status, 403);
    let wrong = form.clone().set("kind", "hats");
    let answer = here.post("/ops/faults", wrong.pairs());
    assert!(page("/ops/faults", &answer).text().contains("The fault wasn't started: there is no such fault."));
    let wrong = form.clone().set("seconds", "0");
    let answer = here.post("/ops/faults", wrong.pairs());
    assert!(page("/ops/faults", &answer).text().contains("duration must be 1 s to 10 min"));
    assert_eq!(here.post("/ops/faults", form.pairs()).location(), "/ops?notice=started#faults");
    let form = form.set("process", "shop").set("fault", "fault-1a2b3c4d-999");
    assert_eq!(here.post("/ops/faults/end", form.pairs()).location(), "/ops?notice=over#faults");
}

/// The token that a form of the shop's own has for somebody who only looks.
fn page_of_the_shop(visitor: &mut Client) -> String {
    let sign_in = page("/ops/sign-in", &visitor.get("/ops/sign-in"));
    sign_in.form("/ops/sign-in").get("csrf").to_owned()
}

#[tokio::test]
async fn it_sends_what_changes_to_so_many_and_frees_their_places() {
    let shop = stocked();
    let visitor = shop.visitor();
    let watch = || visitor.open("/ops/events");
    let mut first = watch();
    assert_eq!((first.status, first.header("content-type")), (200, Some("text/event-stream")));
    let said = first.until("event: faults").await;
    for part in ["alerts", "totals", "pools", "decisions"] {
        assert!(said.contains(&format!("event: {part}\n")), "{part}: {said}");
    }
    let mut watching = vec![first];
    let refused = loop {
        let stream = watch();
        if stream.status != 200 {
            break stream.status;
        }
        watching.push(stream);
    };
    assert_eq!(refused, 503);
    assert!(watching.len() <= 8, "{}", watching.len());
    drop(watching);
    eventually(LONG, "their places are free", async || watch().status == 200).await;
}

/// The pages in a process of their own.
struct Web {
    _process: Process,
    url: String,
}

impl Web {
    fn start(shop: &Separate) -> Self {
        let mut command = Command::new(binary("selvage-web"));
        command.args(["--listen", "127.0.0.1:0"]).env("SELVAGE_ISSUER_KEY", shop.tokens().key_file("web"));
        for name in ["catalogue", "cart", "checkout", "delivery"] {
            command.env(format!("SELVAGE_{}", name.to_uppercase()), shop.address(name));
        }
        let process = Process::start(&mut command);
        let address = process.wait_for("where its pages are", |line| {
            let (_, rest) = line.contains("\"serving\"").then(|| line.split_once("\"address\":\""))??;
            rest.split('"').next().map(str::to_owned)
        });
        Self { _process: process, url: format!("http://{address}") }
    }
}

#[tokio::test]
async fn between_processes_it_asks_for_an_admins_token_and_shows_who_is_away() {
    let mut shop = Separate::start(Engine::Sqlite, async |_| None).await;
    let web = Web::start(&shop);
    let mut visitor = Client::new(&web.url);
    assert_eq!(visitor.get("/ops").location(), "/ops/sign-in");
    let form = page("/ops/sign-in", &visitor.get("/ops/sign-in")).form("/ops/sign-in");
    let sign_in = |token: &str| form.clone().set("token", token);
    let guests = shop.tokens().of(Role::Guest, "g-1");
    for (token, words) in [
        ("", "That is no token."),
        (&*"x".repeat(2_000), "That is no token."),
        ("v4.public.nonsense", "That token isn't taken"),
        (&*guests, "That token isn't taken"),
    ] {
        let answer = visitor.post("/ops/sign-in", sign_in(token).pairs());
        assert_eq!(answer.header("set-cookie"), None, "{token}");
        assert!(page("/ops/sign-in", &answer).text().contains(words), "{token}");
    }
    let looks = shop.tokens().of(Role::Operations, "operator");
    let answer = visitor.post("/ops/sign-in", sign_in(&looks).pairs());
    assert_eq!(answer.location(), "/ops");
    let cookie = answer.header("set-cookie").expect("a cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=3600"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("v4.public"), "nobody but the pages can read it");

    let seen = page("/ops", &visitor.get("/ops"));
    for pool in ["catalogue", "cart", "delivery", "checkout", "checkout-relay", "checkout-provider"] {
        assert!(seen.elements.iter().any(|element| element.has("id", &format!("pool-{pool}"))), "{pool}");
    }
    assert!(seen.text().contains("faults are refused") && seen.forms("/ops/faults").is_empty());

    // Who is away keeps nobody waiting.
    shop.stop("delivery");
    let began = Instant::now();
    let seen = page("/ops", &visitor.get("/ops"));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(seen.text().contains("delivery is away"), "{}", seen.text());
    assert!(seen.elements.iter().any(|element| element.has("id", "away-delivery")));
    shop.restart("delivery");
    eventually(LONG, "it is here again", async || visitor.get("/ops").text().contains("pool-delivery")).await;

    let leave = page("/ops", &visitor.get("/ops")).form("/ops/sign-out");
    let answer = visitor.post("/ops/sign-out", leave.pairs());
    has_its_headers("/ops/sign-out", &answer);
    assert_eq!(answer.location(), "/ops/sign-in");
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
}

/// Two instances of each service behind one name: each is shown, and one alone is disturbed.
#[tokio::test]
async fn each_instance_is_shown_and_a_fault_is_started_in_one_or_in_all() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let server = Server::start(&[]).await;
    let mut shop = Separate::start_several(&server, 2, async |_, _| None, &[("SELVAGE_FAULTS", "allow")]).await;
    let pages = shop.pages(&[]);
    let mut visitor = Client::new(&pages.url);
    sign_in(&mut visitor, &shop.tokens().of(Role::Operations, "looks"));
    let seen = page("/ops", &visitor.get("/ops"));
    assert!(seen.text().contains("8 of 8"), "each process answers: {}", seen.text());
    assert!(seen.text().contains("Your token looks and starts nothing") && seen.forms("/ops/faults").is_empty());
    let cards = |seen: &Markup| {
        let ids = seen.elements.iter().filter_map(|element| element.get("id").map(ToOwned::to_owned));
        ids.filter(|id| id.starts_with("pool-cart-127.0.0.1:")).collect::<Vec<_>>()
    };
    assert_eq!(cards(&seen).len(), 2);

    let mut visitor = Client::new(&pages.url);
    sign_in(&mut visitor, &shop.tokens().of(Role::Faults, "drill"));
    let seen = page("/ops", &visitor.get("/ops"));
    let switches = seen.forms("/ops/faults");
    let switch = switches.into_iter().find(|form| form.get("kind") == "leaked-connection").expect("its switch");
    let offered = seen
        .all("option")
        .filter(|option| seen.within(option, "select", |select| select.has("id", "leaked-connection-target")));
    let targets = offered.filter_map(|option| option.get("value")).filter(|value| value.ends_with("/cart"));
    let targets: Vec<_> = targets.map(ToOwned::to_owned).collect();
    let [all, first, second] = targets.as_slice() else { panic!("all of cart, and each: {targets:?}") };
    assert_eq!(all, "cart/cart");
    assert!(first.starts_with("cart@127.0.0.1:") && second.starts_with("cart@127.0.0.1:") && first != second);

    let begin = |target: &str| switch.clone().set("target", target).set("seconds", "60");
    assert_eq!(visitor.post("/ops/faults", begin(second).pairs()).location(), "/ops?notice=started#faults");
    // It is the second one's alone: by its page, and by what each says itself.
    let seen = page("/ops", &visitor.get("/ops"));
    let ends = seen.forms("/ops/faults/end");
    assert_eq!(ends.len(), 1, "{}", seen.text());
    let boot_id = second.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a boot id").0;
    assert!(ends[0].get("fault").starts_with(&format!("fault-{boot_id}-")), "{}", ends[0].get("fault"));
    let end = ends[0].clone();
    // Another instance refuses what isn't its own, wherever a form leads.
    let strayed = end.clone().set("process", first.rsplit_once('/').expect("a process").0);
    assert_eq!(visitor.post("/ops/faults/end", strayed.pairs()).location(), "/ops?notice=over#faults");
    assert_eq!(page("/ops", &visitor.get("/ops")).forms("/ops/faults/end").len(), 1, "it goes on");
    assert_eq!(visitor.post("/ops/faults/end", end.pairs()).location(), "/ops?notice=ended#faults");
    assert_eq!(page("/ops", &visitor.get("/ops")).forms("/ops/faults/end").len(), 0);

    assert_eq!(visitor.post("/ops/faults", begin(all).pairs()).location(), "/ops?notice=started#faults");
    let ends = page("/ops", &visitor.get("/ops")).forms("/ops/faults/end");
    let ids: BTreeSet<_> = ends.iter().map(|end| end.get("fault").to_owned()).collect();
    assert_eq!(ids.len(), 2, "in both: {ids:?}");

    // One of them dies: the other is shown, and nobody waits.
    shop.process("cart", 0).kill();
    let began = Instant::now();
    let seen = page("/ops", &visitor.get("/ops"));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(seen.text().contains("7 of 8"), "{}", seen.text());
    assert_eq!((cards(&seen).len(), seen.forms("/ops/faults/end").len()), (1, 1));
    // What was meant for the process that died isn't done to the one that comes after it at its place.
    let died = [first, second].into_iter().find(|value| value.contains(shop.address("cart"))).expect("it was offered");
    shop.restart("cart");
    eventually(LONG, "it is here again", async || visitor.get("/ops").text().contains("8</b> of 8")).await;
    let answer = visitor.post("/ops/faults", begin(died).pairs());
    let words = "The fault wasn't started: this process isn't the one that was named";
    assert!(page("/ops/faults", &answer).text().contains(words));
}

pub(super) fn sign_in(visitor: &mut Client, token: &str) {
    let form = page("/ops/sign-in", &visitor.get("/ops/sign-in")).form("/ops/sign-in").set("token", token);
    assert_eq!(visitor.post("/ops/sign-in", form.pairs()).location(), "/ops");
}
