//! Nothing of a person gets into logs, traces and metrics, whatever they do in the shop and whatever becomes of it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use selvage_identity::Role;
use selvage_proto::checkout::v1::{CancelOrderRequest, PlaceOrderRequest, RefundOrderRequest};
use selvage_proto::delivery::v1::{Address, CreateShipmentRequest};
use selvage_rpc::with_token;
use selvage_testkit::eventually;
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::http::{Answer, Client};
use selvage_tests::metrics::Metrics;
use selvage_tests::shop::NAMES;

use super::{BOUND, Traced};
use crate::pages::markup::{Form, Markup};
use crate::pages::put_into_bag;

/// Somebody whose every word can be told from all others.
const PERSON: [(&str, &str); 7] = [
    ("email", "xaverine.geheim@zwirnmark.example"),
    ("recipient", "Xaverine Zwirnmark"),
    ("line1", "77 Quittenmark Lane"),
    ("line2", "Telephone 020 5550 1998"),
    ("postal_code", "ZQ9 7ZQ"),
    ("city", "Markhamstead"),
    ("country", "GB"),
];
/// A card's token that no form offers.
const CARD: &str = "tok_zwirnkarte";
/// What must not be found, in small letters: parts of the above, whatever an encoding makes of the rest.
const MARKS: [&str; 14] = [
    "xaverine",
    "geheim",
    "zwirn",
    "quittenmark",
    "5550 1998",
    "5550%201998",
    "5550+1998",
    "zq9 7zq",
    "zq9+7zq",
    "zq9%207zq",
    "markhamstead",
    // Cards, and what opens doors: tokens and keys.
    "tok_",
    "v4.public.",
    "k4.secret.",
];

/// A path may be found in web's spans: where people look, not what they say of themselves.
const ALLOWED: &str = "/c/allowed-mark";

/// What of `marks` is in `text`, each with what stands around it.
fn found_in(text: &str, marks: &[&str]) -> Vec<String> {
    let small = text.to_lowercase();
    let around = |mark: &&str| {
        let at = small.find(mark)?;
        let from = small.floor_char_boundary(at.saturating_sub(200));
        let to = small.ceil_char_boundary(small.len().min(at + 200));
        Some(format!("{mark}: …{}…", &small[from..to]))
    };
    marks.iter().filter_map(around).collect()
}

#[test]
fn a_mark_is_found_wherever_it_stands() {
    let log = r#"{"level":"INFO","message":"declined","email":"Xaverine.Geheim@zwirnmark.example"}"#;
    assert_eq!(found_in(log, &MARKS).len(), 3);
    assert_eq!(found_in("GET /search?q=77%20QUITTENMARK", &MARKS).len(), 1);
    assert_eq!(found_in("bearer v4.public.abc é", &MARKS).len(), 1);
    assert!(found_in("nothing of that kind", &MARKS).is_empty());
}

/// A mail server that refuses everybody, and says whom.
fn refusing_mail_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut write, lines) = (stream.try_clone().unwrap(), BufReader::new(stream).lines());
                let _ = write.write_all(b"220 here\r\n");
                for line in lines.map_while(Result::ok) {
                    let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                        "RCPT" => format!("550 5.1.1 {line}: nobody of that name here"),
                        _ => "250 well".to_owned(),
                    };
                    if write.write_all(format!("{answer}\r\n").as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    url
}

/// The checkout form as the person fills it in, once it has shown the country's prices.
fn checkout(visitor: &mut Client) -> Form {
    let fill = |page: &Answer| {
        let form = Markup::parse(page.text()).unwrap().form("/checkout");
        PERSON.iter().fold(form, |form, (name, value)| form.set(name, value))
    };
    let form = fill(&visitor.get("/checkout")).set("do", "update");
    fill(&send(visitor, &form)).set("do", "place")
}

fn send(visitor: &mut Client, form: &Form) -> Answer {
    visitor.post(&form.action, form.pairs())
}

/// Orders what is in the bag, and waits until it is emptied; says the order's id.
async fn order(visitor: &mut Client) -> String {
    let form = checkout(visitor);
    let placed = send(visitor, &form).location().to_owned();
    let emptied = async || visitor.get("/bag").text().contains("There is nothing in it yet.");
    eventually(BOUND, "the bag is emptied of what was ordered", emptied).await;
    placed.trim_start_matches("/orders/").split('?').next().unwrap().to_owned()
}

/// Everything that a person may do with the pages; the orders that come of it.
async fn at_the_pages(url: &str) -> (Vec<String>, String) {
    let mut visitor = Client::new(url);
    assert_eq!(visitor.get("/search?q=zwirnmark+geheim").status, 200);
    assert_eq!(visitor.get(ALLOWED).status, 404);
    put_into_bag(&mut visitor, "/c/shirts?stock=1");
    let right = checkout(&mut visitor);
    let long = "Quittenmark".repeat(20);
    let wrong = [
        right.clone().set("email", "xaverine.geheim at zwirnmark"),
        right.clone().set("line1", &long),
        right.clone().set("recipient", ""),
        right.clone().set("postal_code", "ZQ9 7ZQ ZQ9 7ZQ"),
        right.clone().set("card", CARD),
        right.clone().set("country", "Zwirnland"),
        right.clone().set("email", "Zwirn\u{0}\u{1b}[31m@zwirnmark.example"),
    ];
    for form in wrong {
        let status = send(&mut visitor, &form.clone()).status;
        assert!(status != 303 && status < 500, "{status} for {:?}", form.pairs().collect::<Vec<_>>());
    }
    let declined = checkout(&mut visitor).set("card", "tok_declines");
    let answer = send(&mut visitor, &declined);
    let text = Markup::parse(answer.text()).unwrap().text();
    assert!(text.contains("The card was declined"), "{}: {text}", answer.status);
    let first = order(&mut visitor).await;
    assert!(visitor.get(&format!("/orders/{first}")).text().contains("Xaverine"), "the person is told");
    put_into_bag(&mut visitor, "/c/shirts?stock=1");
    let second = order(&mut visitor).await;
    let page = Markup::parse(visitor.get(&format!("/orders/{second}")).text()).unwrap();
    let cancel = page.form(&format!("/orders/{second}/cancel"));
    assert_eq!(send(&mut visitor, &cancel).status, 303);
    (vec![first, second], visitor.cookies())
}

/// What only programs can do: the same person's words where they don't belong.
async fn by_rpc(traced: &Traced, orders: &[String]) {
    let clients = Clients::new(|name| traced.shop.channel(name));
    let tokens = traced.shop.tokens();
    let admin = tokens.of(Role::Admin, "operator");
    clients.stock(&tokens, "ALLOWED-MARK", 10).await;
    let buyer = Buyer::new(&clients, &tokens);
    buyer.add("ALLOWED-MARK", 1).await.unwrap();
    buyer.add("zwirn mark", 1).await.expect_err("no such SKU");
    let usual = buyer.intent("redaction-0000000000000001", CARD).await.unwrap();
    let address = Address {
        recipient: "Xaverine Zwirnmark\u{7}".into(),
        lines: vec!["77 Quittenmark Lane".into(), "Telephone 020 5550 1998".into(), "x".into(), "y".into(), "z".into()],
        postal_code: "ZQ9 7ZQ ZQ9 7ZQ ZQ9 7ZQ".into(),
        city: "Markhamstead".repeat(20),
        country: "Zwirnland".into(),
    };
    for (number, wrong) in [
        PlaceOrderRequest { email: "Xaverine <geheim> zwirnmark".into(), ..usual.clone() },
        PlaceOrderRequest { address: Some(address.clone()), ..usual.clone() },
        PlaceOrderRequest { payment_token: "tok_ zwirnkarte".repeat(30), ..usual.clone() },
        // A token that the provider doesn't know is declined.
        usual.clone(),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("redaction-{number:016}");
        let wrong = PlaceOrderRequest { idempotency_key: key, ..wrong };
        buyer.place(wrong).await.expect_err("it is refused");
    }
    let service = tokens.of(Role::Service, "checkout");
    let shipment = CreateShipmentRequest { order_id: "zwirnmark".into(), address: Some(address), ..Default::default() };
    clients.delivery.clone().create_shipment(with_token(&service, shipment)).await.expect_err("no order's");
    for order_id in orders {
        let cancel = CancelOrderRequest { order_id: order_id.clone() };
        clients.checkout.clone().cancel_order(with_token(buyer.token(), cancel)).await.expect_err("not theirs");
    }
    let captured = async || {
        let refund = RefundOrderRequest { order_id: orders[0].clone() };
        clients.checkout.clone().refund_order(with_token(&admin, refund)).await.is_ok()
    };
    eventually(BOUND, "the first order is paid, and then refunded", captured).await;
    clients.cart.clone().get_cart(with_token("v4.public.zwirnmark", Default::default())).await.expect_err("forged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_person_is_in_logs_traces_or_metrics() {
    let mails = refusing_mail_server();
    let environment = [("RUST_LOG", "debug"), ("SELVAGE_CARRIER_STEP", "1h"), ("SELVAGE_SMTP_URL", mails.as_str())];
    let Some(traced) = Traced::start(&environment).await else { return };
    let (orders, cookies) = at_the_pages(&traced.pages.url).await;
    by_rpc(&traced, &orders).await;

    let logs = || {
        let mut logs: BTreeMap<_, _> = traced.shop.running().map(|(name, process)| (name, process.output())).collect();
        logs.insert("web", traced.pages.process.output());
        logs
    };
    // What may be known is known where it belongs: else nothing was looked through.
    eventually(BOUND, "both orders' mails are refused, and the log says of which", async || {
        orders.iter().all(|order| logs()["checkout"].lines().any(|line| line.contains(order) && line.contains("mail")))
    })
    .await;
    let spans = |service: &str| traced.jaeger.everything_of(&format!("selvage-{service}"));
    eventually(BOUND, "the last page's and the refund's traces are there", async || {
        let web = spans("web");
        web.contains(&format!("/orders/{}/cancel", orders[1]))
            && web.contains(ALLOWED)
            && spans("checkout").contains("process refund_payment")
    })
    .await;

    let mut everything = logs();
    let all = NAMES.into_iter().chain(["web"]);
    let mut telemetry: Vec<(String, String)> = Vec::new();
    for name in all {
        let log = everything.remove(name).expect("a log");
        assert!(log.contains("\"DEBUG\""), "{name} logs all that it can");
        let metrics = if name == "web" { &traced.pages.metrics } else { traced.shop.metrics(name) };
        let (metrics, spans) = (Metrics::of(metrics).text, spans(name));
        assert!(spans.contains("rpc.method"), "{name} has spans");
        assert!(metrics.contains(&format!("service_name=\"selvage-{name}\"")), "{name} has metrics");
        telemetry.extend(
            [("log", log), ("spans", spans), ("metrics", metrics)]
                .map(|(kind, text)| (format!("{name}'s {kind}"), text)),
        );
    }
    let session: Vec<_> = cookies
        .split("; ")
        .filter_map(|cookie| cookie.split_once('='))
        .map(|(_, value)| value.to_lowercase())
        .collect();
    assert!(!session.is_empty() && session.iter().all(|value| value.len() > 8), "{session:?}");
    let marks: Vec<_> = MARKS.into_iter().chain(session.iter().map(String::as_str)).collect();
    let mut leaks = Vec::new();
    for (place, text) in &telemetry {
        leaks.extend(found_in(text, &marks).into_iter().map(|found| format!("{place}: {found}")));
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
