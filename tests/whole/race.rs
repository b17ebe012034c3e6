//! Sixty-four buyers want the last ten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use selvage_proto::checkout::v1::{Order, PlaceOrderRequest};
use selvage_status::{precondition_subjects, reason};
use selvage_testkit::{Engine, engines, eventually};
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::ledger::Ledger;
use selvage_tests::shop::{OneProcess, Separate, Tokens};
use tonic::{Code, Status};

const BUYERS: usize = 64;
const PIECES: i64 = 10;
/// The sweep takes up an order that nobody places any more after 24 s; the rest is for a busy machine.
const LONG: Duration = Duration::from_secs(120);
/// Why an order comes to nothing. The last two are a busy machine's: stock couldn't be set aside, or not for long enough.
const REFUSALS: [&str; 4] = ["OUT_OF_STOCK", "PAYMENT_DECLINED", "ORDER_UNDONE", "RESERVATION_LAPSED"];

/// What became of an order: its id, or why it came to nothing. `None` if the answer is that the shop is too busy to tell,
/// and that the same key may be sent again.
fn fate(answer: Result<Order, Status>) -> Option<Result<String, String>> {
    let status = match answer {
        Ok(order) => return Some(Ok(order.order_id)),
        Err(status) => status,
    };
    match status.code() {
        Code::Aborted | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Unavailable => None,
        Code::FailedPrecondition => {
            let reason = reason(&status).expect("a reason");
            assert!(REFUSALS.contains(&reason.as_str()), "{status:?}");
            if reason == "OUT_OF_STOCK" {
                assert_eq!(precondition_subjects(&status)[0].0, "LAST-TEN", "{status:?}");
            }
            Some(Err(reason))
        }
        _ => panic!("{status:?}"),
    }
}

/// Places an order with the same key until its buyer is told what became of it.
async fn place_until_told(buyer: &Buyer, intent: &PlaceOrderRequest) -> Result<String, String> {
    let mut known = None;
    eventually(LONG, "the buyer is told what became of the order", async || {
        known = fate(buyer.place(intent.clone()).await);
        known.is_some()
    })
    .await;
    known.expect("it was waited for")
}

async fn race(clients: &Clients, tokens: &Tokens, ledger: &Ledger) {
    clients.stock(tokens, "LAST-TEN", i32::try_from(PIECES).unwrap()).await;
    // All bags are packed and all intents made before the first order: then everybody wants the same pieces.
    let mut ready = Vec::new();
    for number in 0..BUYERS {
        let buyer = Buyer::new(clients, tokens);
        buyer.add("LAST-TEN", 1).await.expect("the bag takes it");
        // Every fourth would be declined, and gives its piece back to the others.
        let card = if number % 4 == 3 { "tok_declines" } else { "tok_succeeds" };
        let intent = buyer.intent(&format!("race-{number:016}"), card).await.expect("a preview");
        ready.push((buyer, intent));
    }
    let placing = ready.iter().map(|(buyer, intent)| buyer.place(intent.clone()));
    let answers = futures::future::join_all(placing).await;
    ledger.settled(LONG).await;
    // Whoever was told that the shop is too busy asks again once the crowd is gone. The order may have been placed all the
    // same, and then it is that order which is told of.
    let (mut placed, mut outcomes) = (BTreeSet::new(), BTreeMap::<String, i64>::new());
    for ((buyer, intent), answer) in ready.iter().zip(answers) {
        let fate = match fate(answer) {
            Some(fate) => fate,
            None => place_until_told(buyer, intent).await,
        };
        let outcome = match fate {
            Ok(id) => {
                assert_eq!(intent.payment_token, "tok_succeeds", "{id} was confirmed though its payment was declined");
                assert!(placed.insert(id.clone()), "two buyers were told of {id}");
                assert_eq!(place_until_told(buyer, intent).await, Ok(id), "a key means one order");
                "confirmed".to_owned()
            }
            Err(reason) => reason,
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    ledger.settled(LONG).await;
    let confirmed = i64::try_from(placed.len()).unwrap();
    assert!(confirmed <= PIECES, "{outcomes:?}");
    assert_eq!(ledger.orders("confirmed").await, confirmed, "as many as were told so: {outcomes:?}");
    assert_eq!(ledger.stock("LAST-TEN").await, (PIECES - confirmed, 0), "{outcomes:?}");
    // Those who were declined held pieces for a moment; whoever comes after them gets what is left.
    for number in confirmed..PIECES {
        let buyer = Buyer::new(clients, tokens);
        buyer.add("LAST-TEN", 1).await.expect("the bag takes it");
        let intent = buyer.intent(&format!("late-{number:016}"), "tok_succeeds").await.expect("a preview");
        place_until_told(&buyer, &intent).await.expect("a piece that was given back can be bought");
    }
    ledger.settled(LONG).await;
    assert_eq!(ledger.orders("confirmed").await, PIECES, "{outcomes:?}");
    assert_eq!(ledger.stock("LAST-TEN").await, (0, 0));
    ledger.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_ten_get_one_in_the_one_process_shop() {
    let folder = tempfile::tempdir().unwrap();
    let shop = OneProcess::start(folder.path(), &[]);
    let channel = shop.channel();
    let clients = Clients::new(|_| channel.clone());
    let ledger =
        Ledger::open(&shop.database("catalogue"), &shop.database("checkout"), &shop.database("delivery")).await;
    race(&clients, &shop.tokens(), &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_ten_get_one_between_four_processes_on_postgres() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let shop = Separate::start(Engine::Postgres, async |_| None).await;
    let clients = Clients::new(|name| shop.channel(name));
    let [catalogue, _, checkout, delivery] = &shop.databases;
    let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;
    race(&clients, &shop.tokens(), &ledger).await;
}
