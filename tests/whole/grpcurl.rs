//! A client that we did not write, grpcurl, learns the shop by reflection and buys in it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use selvage_identity::Role;
use selvage_testkit::{engines, eventually};
use selvage_tests::shop::{OneProcess, Separate, Tokens};
use serde_json::{Value, json};
use uuid::Uuid;

/// Each service as reflection names it, with one of its rpcs and what that rpc's comment says.
const SERVICES: [(&str, &str, &str, &str); 4] = [
    ("catalogue", "selvage.catalogue.v1.Catalogue", "SearchProducts", "Full-text search"),
    ("cart", "selvage.cart.v1.Cart", "AddItem", "Puts pieces of a SKU into the cart"),
    ("checkout", "selvage.checkout.v1.Checkout", "PlaceOrder", "OUT_OF_STOCK"),
    ("delivery", "selvage.delivery.v1.Delivery", "TrackShipment", "returns ( stream"),
];
const HEALTH: &str = "grpc.health.v1.Health";
/// For operators, beside each process's own service.
const OPERATIONS: &str = "selvage.operations.v1.Operations";
/// Relay, carrier's pick-up and four steps of 200 ms, on a machine that may be busy.
const DELIVERY: Duration = Duration::from_secs(60);

/// The program, if this machine has it.
fn installed() -> Option<PathBuf> {
    selvage_tests::installed::installed(&["grpcurl"], "calls by a client that we did not write")
}

/// grpcurl, as one caller of one address.
struct Grpcurl<'a> {
    program: &'a PathBuf,
    address: &'a str,
    token: Option<String>,
}

/// What it says of a call that failed.
#[derive(Debug)]
struct Failure {
    code: String,
    text: String,
}

impl<'a> Grpcurl<'a> {
    fn new(program: &'a PathBuf, address: &'a str) -> Self {
        Self { program, address, token: None }
    }

    fn as_caller(&self, tokens: &Tokens, role: Role, subject: &str) -> Self {
        Self { token: Some(tokens.of(role, subject)), ..*self }
    }

    fn at(&self, address: &'a str) -> Self {
        Self { address, token: self.token.clone(), ..*self }
    }

    fn run(&self, options: &[&str], rest: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(self.program);
        command.args(["-plaintext", "-connect-timeout=10", "-max-time=30"]).args(options);
        if let Some(token) = &self.token {
            command.args(["-H", &format!("authorization: Bearer {token}")]);
        }
        let output = command.arg(self.address).args(rest).output().expect("grpcurl runs");
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).expect("it prints UTF-8"));
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = text.lines().find_map(|line| line.trim().strip_prefix("Code: ")).unwrap_or_default().to_owned();
        Err(Failure { code, text })
    }

    /// The messages that a call answers with.
    fn stream(&self, rpc: &str, request: &Value) -> Result<Vec<Value>, Failure> {
        let answers = self.run(&["-emit-defaults", "-d", &request.to_string()], &[rpc])?;
        Ok(serde_json::Deserializer::from_str(&answers).into_iter().collect::<Result<_, _>>().expect("JSON"))
    }

    /// The message that a call answers with.
    fn call(&self, rpc: &str, request: &Value) -> Result<Value, Failure> {
        let mut answers = self.stream(rpc, request)?;
        assert_eq!(answers.len(), 1, "{rpc}: {answers:?}");
        Ok(answers.remove(0))
    }

    #[track_caller]
    fn fails(&self, rpc: &str, request: &Value, code: &str) -> String {
        let failure = self.call(rpc, request).expect_err("the call is refused");
        assert_eq!(failure.code, code, "{rpc}: {}", failure.text);
        failure.text
    }

    /// What reflection lists beside itself.
    fn lists(&self) -> Vec<String> {
        let listed = self.run(&[], &["list"]).expect("reflection");
        listed.lines().filter(|name| !name.starts_with("grpc.reflection.")).map(ToOwned::to_owned).collect()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn slugs(page: &Value) -> Vec<&str> {
    list(&page["products"]).iter().map(|product| text(&product["slug"])).collect()
}

/// A token for it isn't needed: what a service offers, and that it is well.
fn is_introduced(grpcurl: &Grpcurl<'_>, (_, service, rpc, comment): (&str, &str, &str, &str)) {
    let described = grpcurl.run(&[], &["describe", service]).expect("reflection");
    let found = described.contains(&format!("rpc {rpc} (")) && described.contains(comment);
    assert!(found, "{service}/{rpc} is not described:\n{described}");
    for name in ["", service] {
        let health = grpcurl.call(&format!("{HEALTH}/Check"), &json!({ "service": name })).expect("health");
        assert_eq!(health["status"], "SERVING", "{name}");
    }
}

fn browses(guest: &Grpcurl<'_>) {
    let rpc = "selvage.catalogue.v1.Catalogue/ListProducts";
    let first = guest.call(rpc, &json!({ "page_size": 3 })).expect("a page");
    let token = text(&first["nextPageToken"]);
    let second = guest.call(rpc, &json!({ "page_size": 3, "page_token": token })).expect("the page after it");
    let seen = [slugs(&first), slugs(&second)];
    assert!(seen.iter().all(|page| page.len() == 3), "{seen:?}");
    assert!(seen[1].iter().all(|slug| !seen[0].contains(slug)), "{seen:?}");

    let refusal = guest.fails(rpc, &json!({ "page_size": -3 }), "InvalidArgument");
    let is_named = refusal.contains("fieldViolations") && refusal.contains(r#""field": "page_size""#);
    assert!(is_named, "what is wrong can't be read by a client that has only reflection:\n{refusal}");
}

/// A search's first hit that can be bought.
fn finds_a_shirt(guest: &Grpcurl<'_>) -> String {
    let search = json!({ "query": "linen shirt", "filter": { "in_stock": true } });
    let found = guest.call("selvage.catalogue.v1.Catalogue/SearchProducts", &search).expect("a search");
    let slug = slugs(&found).first().copied().expect("the demo shop sells linen shirts");
    let product = guest.call("selvage.catalogue.v1.Catalogue/GetProduct", &json!({ "slug": slug })).expect("the shirt");
    let variants = list(&product["variants"]).iter();
    let variant = variants.max_by_key(|variant| variant["available"].as_i64()).expect("a size");
    text(&variant["sku"]).to_owned()
}

/// Only an admin changes stock.
fn is_stocked(anybody: &Grpcurl<'_>, tokens: &Tokens, sku: &str) {
    let rpc = "selvage.catalogue.v1.Catalogue/AdjustStock";
    let delivery = json!({ "sku": sku, "delta": 5, "request_id": Uuid::new_v4() });
    anybody.fails(rpc, &delivery, "Unauthenticated");
    anybody.as_caller(tokens, Role::Guest, "g-1").fails(rpc, &delivery, "PermissionDenied");
    let forged = Grpcurl { token: Some("v4.public.forged".into()), ..*anybody };
    forged.fails(rpc, &delivery, "Unauthenticated");
    let admin = anybody.as_caller(tokens, Role::Admin, "operator");
    let stocked = admin.call(rpc, &delivery).expect("an admin may");
    assert!(stocked["available"].as_i64() >= Some(5), "{stocked}");
    assert_eq!(admin.call(rpc, &delivery).expect("the same id is applied once"), stocked);
}

fn buys(guest: &Grpcurl<'_>, cart: &str, checkout: &str, sku: &str) -> String {
    let (cart, checkout) = (guest.at(cart), guest.at(checkout));
    let added = cart.call("selvage.cart.v1.Cart/AddItem", &json!({ "sku": sku, "quantity": 2 })).expect("it is added");
    let bag = cart.call("selvage.cart.v1.Cart/GetCart", &json!({})).expect("the bag");
    assert_eq!((&bag["itemCount"], &bag["lines"][0]["sku"]), (&json!(2), &json!(sku)), "{bag}");
    assert_eq!(bag["etag"], added["etag"]);

    let preview = json!({ "country": "DE", "speed": "SPEED_EXPRESS" });
    let preview = checkout.call("selvage.checkout.v1.Checkout/PreviewOrder", &preview).expect("a preview");
    let intent = json!({
        "idempotency_key": Uuid::new_v4(),
        "cart_etag": preview["cartEtag"],
        "expected_total": preview["amounts"]["total"],
        "email": "ada@example.org",
        "address": {
            "recipient": "Ada Muster", "lines": ["Ringstraße 1"], "postal_code": "04109", "city": "Leipzig", "country": "DE",
        },
        "speed": "SPEED_EXPRESS",
        "payment_token": "tok_succeeds",
    });
    let order = checkout.call("selvage.checkout.v1.Checkout/PlaceOrder", &intent).expect("the order is placed");
    assert_eq!((&order["state"], &order["amounts"]), (&json!("CONFIRMED"), &preview["amounts"]), "{order}");
    let again =
        checkout.call("selvage.checkout.v1.Checkout/PlaceOrder", &intent).expect("the same key, the same order");
    assert_eq!(again["orderId"], order["orderId"]);
    text(&order["orderId"]).to_owned()
}

/// The stream of a parcel, to its end. It may end before, and is then asked for again.
async fn is_delivered(delivery: &Grpcurl<'_>, order_id: &str) {
    let request = json!({ "order_id": order_id });
    eventually(DELIVERY, "the parcel's stream ends with its delivery", async || {
        match delivery.stream("selvage.delivery.v1.Delivery/TrackShipment", &request) {
            Ok(updates) => updates.last().is_some_and(|shipment| {
                let states = list(&shipment["events"]).iter().map(|event| text(&event["state"]));
                let way = ["LABEL_CREATED", "IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED"];
                shipment["state"] == "DELIVERED" && states.eq(way)
            }),
            Err(failure) => {
                assert_eq!(failure.code, "NotFound", "{}", failure.text);
                false
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_buys_a_shirt_from_four_processes() {
    let Some(program) = installed() else { return };
    let engine = *engines().last().expect("SQLite at least");
    let shop = Separate::start(engine, async |_| None).await;
    for service in SERVICES {
        let grpcurl = Grpcurl::new(&program, shop.address(service.0));
        assert_eq!(grpcurl.lists(), [HEALTH, service.1, OPERATIONS], "each process serves itself alone");
        is_introduced(&grpcurl, service);
    }
    let tokens = shop.tokens();
    let anybody = Grpcurl::new(&program, shop.address("catalogue"));
    let guest = anybody.as_caller(&tokens, Role::Guest, "g-ada");
    let sku = finds_a_shirt(&guest);
    is_stocked(&anybody, &tokens, &sku);
    let order_id = buys(&guest, shop.address("cart"), shop.address("checkout"), &sku);

    let (checkout, request) = (shop.address("checkout"), json!({ "order_id": order_id }));
    let order = guest.at(checkout).call("selvage.checkout.v1.Checkout/GetOrder", &request).expect("their own");
    assert_eq!((&order["orderId"], &order["lines"][0]["quantity"]), (&json!(order_id), &json!(2)), "{order}");
    let stranger = anybody.as_caller(&tokens, Role::Guest, "g-eve");
    stranger.at(checkout).fails("selvage.checkout.v1.Checkout/GetOrder", &request, "NotFound");
    is_delivered(&guest.at(shop.address("delivery")), &order_id).await;
}

#[test]
fn a_foreign_client_finds_all_services_at_one_port() {
    let Some(program) = installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let shop = OneProcess::start(folder.path(), &[]);
    let grpcurl = Grpcurl::new(&program, &shop.grpc);
    let mut known: Vec<_> = SERVICES.iter().map(|service| service.1).chain([HEALTH, OPERATIONS]).collect();
    known.sort_unstable();
    assert_eq!(grpcurl.lists(), known);
    for service in SERVICES {
        is_introduced(&grpcurl, service);
    }
    browses(&grpcurl.as_caller(&shop.tokens(), Role::Guest, "g-ada"));
}
