//! The operations page over plain HTTP: who may see it, and what it says when processes are away.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use selvage_identity::Role;
use selvage_testkit::{Engine, Server, engines, eventually};
use selvage_tests::http::{Answer, Client, Request};
use selvage_tests::process::{Process, binary};
use selvage_tests::shop::{OneProcess, Separate};

use super::markup::Markup;
use super::{has_its_headers, sound_with, stocked};

const LONG: Duration = Duration::from_secs(60);
const RUNBOOKS: &str = "https://github.com/selvage-shop/selvage/blob/main/k8s/runbooks/";

/// A page of operations: only its runbooks are elsewhere.
pub(super) fn page(at: &str, answer: &Answer) -> Markup {
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{at}");
    sound_with(at, answer, |address| address.starts_with(RUNBOOKS))
}

/// A shop of its own, with further arguments.
fn shop(arguments: &[&str]) -> (OneProcess, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (OneProcess::start(folder.path(), &[arguments, &["--carrier-step", "1h"]].concat()), folder)
}

#[test]
fn its_link_opens_it_once_and_nobody_is_let_in_for_being_on_this_machine() {
    let (shop, _folder) = shop(&[]);
    let strangers = |what: &str| {
        // As a reverse proxy on this machine asks, with and without a word of that.
        for (name, value) in [("accept", "*/*"), ("host", "127.0.0.1:8080"), ("x-forwarded-for", "192.0.2.1")] {
            let mut stranger = Client::new(&shop.url);
            for path in ["/ops", "/ops/events"] {
                let answer = stranger.send(&Request::new("GET", path).with(name, value));
                assert_eq!(answer.location(), "/ops/sign-in", "{what}: {path}, {name}");
            }
            assert_eq!(stranger.post("/ops/faults", [("kind", "cpu-burn")]).location(), "/ops/sign-in", "{what}");
            assert_eq!(stranger.send(&Request::new("GET", "/metrics").with(name, value)).status, 401, "{what}: {name}");
        }
    };
    strangers("before");
    let link = shop.operations.strip_prefix(&shop.url).expect("at the shop's own address").to_owned();
    let mut guesser = Client::new(&shop.url);
    assert_eq!(guesser.get("/ops/open?key=AAAA").location(), "/ops/sign-in?notice=used");
    assert_eq!(guesser.send(&Request::new("HEAD", &link)).location(), "/ops/sign-in?notice=used", "no look opens it");

    let mut here = Client::new(&shop.url);
    let opened = here.get(&link);
    has_its_headers("/ops/open", &opened);
    assert_eq!((opened.location(), opened.header("cache-control")), ("/ops", Some("no-store")));
    let cookie = opened.header("set-cookie").unwrap_or_default().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let seen = page("/ops", &here.get("/ops"));
    assert!(seen.text().contains("All is well.") && seen.text().contains("checkout-relay"));
    assert!(seen.all("script").all(|script| script.get("src").is_some_and(|src| src.ends_with("/ops.js"))));
    assert!(!seen.forms("/ops/faults").is_empty(), "who has started the shop may start faults");
    assert!(here.get("/metrics").text().contains("selvage_pool_limit"));
    assert_eq!(here.get(&link).location(), "/ops", "again, in the browser that has opened it");

    strangers("after");
    let used = guesser.get(&link);
    assert_eq!(used.location(), "/ops/sign-in?notice=used");
    let told = page("/ops/sign-in", &guesser.get(used.location()));
    assert!(told.text().contains("opened before") && told.text().contains("The shop printed a link"));

    let leave = seen.form("/ops/sign-out");
    assert_eq!(here.post("/ops/sign-out", leave.pairs()).location(), "/ops/sign-in");
    assert_eq!(here.get("/ops").location(), "/ops/sign-in");
}

#[test]
fn a_shop_that_asks_for_tokens_prints_no_link_and_shows_metrics_to_tokens_alone() {
    let (shop, _folder) = shop(&["--operations", "token"]);
    assert_eq!(shop.operations, format!("{}/ops", shop.url));
    let mut here = Client::new(&shop.url);
    let told = here.get("/metrics");
    assert_eq!((told.status, told.header("www-authenticate")), (401, Some("Bearer")));
    assert!(told.text().contains("selvage token operations") && told.text().contains("--metrics-listen"));
    let with = |token: &str| Request::new("GET", "/metrics").with("authorization", &format!("Bearer {token}"));
    let tokens = shop.tokens();
    for (role, status) in [(Role::Guest, 401), (Role::Customer, 401), (Role::Operations, 200), (Role::Admin, 200)] {
        assert_eq!(here.send(&with(&tokens.of(role, "somebody"))).status, status, "{role}");
    }
    for wrong in ["", "x", &"x".repeat(3_000)] {
        assert_eq!(here.send(&with(wrong)).status, 401);
    }
    sign_in(&mut here, &tokens.of(Role::Operations, "looks"));
    assert!(here.get("/metrics").text().contains("selvage_pool_limit"));
}

#[test]
fn a_shop_behind_https_says_the_links_path_and_its_cookies_travel_by_https_alone() {
    let (shop, _folder) = shop(&["--secure-cookies"]);
    let path = shop.operations.strip_prefix("your https address, and then ").expect("only the path is known");
    let mut here = Client::new(&shop.url);
    let opened = here.get(path);
    let cookie = opened.header("set-cookie").unwrap_or_default();
    assert!(cookie.starts_with("__Host-") && cookie.contains("; Secure"), "{cookie}");
    assert!(here.get("/").header("strict-transport-security").is_some());
    assert_eq!(here.get("/ops").status, 200);
}

#[test]
fn its_forms_are_taken_from_itself_alone() {
    let shop = stocked();
    let mut here = shop.operator();
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
    let visitor = shop.operator();
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
    let mut shop = Separate::start_several(&server, 2, async |_, _, _| None, &[("SELVAGE_FAULTS", "allow")]).await;
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
