//! Sixty-four buyers want the last ten.

use std::collections::BTreeMap;
use std::time::Duration;

use selvage_status::{precondition_subjects, reason};
use selvage_testkit::{Engine, engines};
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::ledger::Ledger;
use selvage_tests::shop::{OneProcess, Separate, Tokens};
use tonic::Code;

const BUYERS: usize = 64;
const PIECES: i64 = 10;

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
    let mut outcomes: BTreeMap<String, i64> = BTreeMap::new();
    for result in futures::future::join_all(placing).await {
        let outcome = match result {
            Ok(_) => "confirmed".to_owned(),
            Err(status) => {
                assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
                let reason = reason(&status).expect("a reason");
                if reason == "OUT_OF_STOCK" {
                    assert_eq!(precondition_subjects(&status)[0].0, "LAST-TEN", "{status:?}");
                }
                reason
            }
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    ledger.settled(Duration::from_secs(60)).await;
    // Those who were declined held pieces for a moment; whoever comes after them gets what is left.
    let (mut confirmed, mut late) = (outcomes.get("confirmed").copied().unwrap_or_default(), 0);
    while confirmed < PIECES {
        let buyer = Buyer::new(clients, tokens);
        buyer.add("LAST-TEN", 1).await.expect("the bag takes it");
        let intent = buyer.intent(&format!("late-{late:016}"), "tok_succeeds").await.expect("a preview");
        buyer.place(intent).await.expect("a piece that was given back can be bought");
        (confirmed, late) = (confirmed + 1, late + 1);
    }
    ledger.settled(Duration::from_secs(60)).await;
    assert_eq!(confirmed, PIECES, "{outcomes:?}");
    assert_eq!(ledger.orders("confirmed").await, PIECES);
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
