//! A key is rotated while the shop sells, as README.md describes it: nothing is started again, and nobody notices.

use std::fs;
use std::path::Path;
use std::time::Duration;

use selvage_identity::{IssuerKey, Role, TrustedKeys};
use selvage_proto::delivery::v1::{CreateShipmentRequest, delivery_client::DeliveryClient};
use selvage_rpc::with_token;
use selvage_testkit::{Engine, eventually};
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::http::Client;
use selvage_tests::ledger::Ledger;
use selvage_tests::metrics::Metrics;
use selvage_tests::shop::{NAMES, Separate};
use tonic::Code;

use crate::pages::put_into_bag;

const LONG: Duration = Duration::from_secs(60);

/// As people replace a file that others read.
fn replace(path: &Path, text: &str) {
    let part = path.with_extension("new");
    fs::write(&part, text).unwrap();
    fs::rename(part, path).unwrap();
}

impl Rotation {
    async fn buy(&self, buyer: &Buyer, key: &str) {
        buyer.add("ROTATED", 1).await.expect("the bag takes it");
        let intent = buyer.intent(key, "tok_succeeds").await.expect("a preview");
        let order = buyer.place(intent).await.expect("placed");
        // Which takes checkout's own token to all three of the others.
        eventually(LONG, "its shipment", async || buyer.shipment(&order.order_id).await.is_ok()).await;
    }

    /// Waits until every service has read the list again so often.
    async fn in_force(&self, times: f64) {
        let read = |name: &&str| {
            let metrics = Metrics::of(self.shop.metrics(name));
            metrics.sum("selvage_keys_reloads_total", &[("outcome", "ok")]) >= times
        };
        eventually(LONG, "the keys are in force", async || NAMES.iter().all(read)).await;
    }

    async fn refused(&self, token: &str) -> Code {
        let delivery = DeliveryClient::new(self.shop.channel("delivery"));
        let shipment = CreateShipmentRequest::default();
        let answer = delivery.clone().create_shipment(with_token(token, shipment)).await;
        answer.expect_err("it says nothing that could be shipped").code()
    }
}

struct Rotation {
    shop: Separate,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_services_key_is_rotated_while_the_shop_sells() {
    let shop = Separate::start(Engine::Sqlite, async |_| None).await;
    let clients = Clients::new(|name| shop.channel(name));
    clients.stock(&shop.tokens(), "ROTATED", 100).await;
    let [catalogue, _, checkout, delivery] = &shop.databases;
    let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;
    let tokens = shop.tokens();
    let buyer = Buyer::new(&clients, &tokens);
    let rotation = Rotation { shop };
    rotation.buy(&buyer, "rotation-0000000001").await;

    let (list, key_file) = (tokens.trusted_file(), tokens.key_file("checkout"));
    let before = fs::read_to_string(&list).unwrap();
    let old_key = IssuerKey::parse(&fs::read_to_string(&key_file).unwrap()).unwrap();
    let old_line = before.lines().find(|line| line.contains(&old_key.public_text())).expect("its line").to_owned();
    let old_token = tokens.of(Role::Service, "checkout");
    assert_eq!(rotation.refused(&old_token).await, Code::InvalidArgument, "it is let in");

    // The new key is trusted beside the old one, with the same rpcs; then it signs; then the old one is trusted no more.
    let new_key = IssuerKey::generate().unwrap();
    let new_line = old_line.replace(&old_key.public_text(), &new_key.public_text());
    replace(&list, &format!("{before}{new_line}\n"));
    rotation.in_force(1.0).await;
    replace(&key_file, &new_key.secret_text());
    eventually(LONG, "checkout signs with the new key", async || {
        let metrics = Metrics::of(rotation.shop.metrics("checkout"));
        metrics.sum("selvage_keys_reloads_total", &[("outcome", "ok")]) >= 2.0
    })
    .await;
    replace(&list, &before.replace(&old_line, &new_line));
    eventually(LONG, "the old key is refused", async || rotation.refused(&old_token).await == Code::Unauthenticated)
        .await;
    rotation.in_force(2.0).await;
    rotation.buy(&buyer, "rotation-0000000002").await;

    // A list that is wrong changes nothing, and is said once.
    fs::write(&list, "service k4.public.torn").unwrap();
    eventually(LONG, "it is said", async || {
        let stale = |name: &&str| Metrics::of(rotation.shop.metrics(name)).sum("selvage_keys_stale", &[]) > 0.0;
        NAMES.iter().all(stale)
    })
    .await;
    rotation.buy(&buyer, "rotation-0000000003").await;
    for (name, process) in rotation.shop.running() {
        let said = process.output().matches("a key file has changed and can't be used").count();
        assert_eq!(said, 1, "{name}");
    }
    // A key that names rpcs that don't exist is refused at the start, by its line.
    let wrong = TrustedKeys::line(&[Role::Service], &new_key, &["selvage.delivery.v1.Delivery/ShipIt"]);
    replace(&list, &format!("{before}{wrong}"));
    let refused = rotation.shop.refuses_to_start("cart");
    let line = before.lines().count() + 1;
    assert!(
        refused.contains(&format!("line {line}: there is no rpc 'selvage.delivery.v1.Delivery/ShipIt'")),
        "{refused}"
    );
    ledger.settled(LONG).await;
    ledger.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_keep_their_bags_while_the_key_of_the_pages_is_rotated() {
    let shop = Separate::start(Engine::Sqlite, async |_| None).await;
    let (clients, tokens) = (Clients::new(|name| shop.channel(name)), shop.tokens());
    clients.stock(&tokens, "ROTATED", 100).await;
    let pages = shop.pages(&[]);
    let mut guest = Client::new(&pages.url);
    let is_listed = async || guest.get("/c/shirts").text().contains("Test shirt ROTATED");
    eventually(LONG, "listings have the new shirt", is_listed).await;
    put_into_bag(&mut guest, "/c/shirts");
    let rotation = Rotation { shop };

    let (list, key_file) = (tokens.trusted_file(), tokens.key_file("web"));
    let (before, old) = (fs::read_to_string(&list).unwrap(), fs::read_to_string(&key_file).unwrap());
    let new = IssuerKey::generate().unwrap();
    replace(&list, &format!("{before}{}", TrustedKeys::line(&[Role::Guest, Role::Customer], &new, &[])));
    rotation.in_force(1.0).await;
    let has_bag = |guest: &mut Client| guest.get("/bag").text().contains("Test shirt ROTATED");
    // The new key seals and the old one opens; then the new one is alone.
    for (times, keys) in [(1.0, format!("{}\n{old}", new.secret_text())), (2.0, new.secret_text())] {
        replace(&key_file, &keys);
        eventually(LONG, "the pages have the new key", async || {
            Metrics::of(&pages.metrics).sum("selvage_keys_reloads_total", &[("outcome", "ok")]) >= times
        })
        .await;
        assert!(has_bag(&mut guest), "after {times} changes");
    }
    drop(pages);
    let pages = rotation.shop.pages(&[]);
    assert!(has_bag(&mut guest.at(&pages.url)), "after the next start");
}
