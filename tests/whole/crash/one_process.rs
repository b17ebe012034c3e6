//! The shop in one process is killed in the middle of a crowd that buys and cancels, when its relay, which had no connection for
//! a while, has begun to do what that crowd wanted.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use selvage_identity::Role;
use selvage_proto::operations::v1::StartFaultRequest;
use selvage_proto::operations::v1::fault::Kind;
use selvage_testkit::{eventually, free_port};
use selvage_tests::buyer::Clients;
use selvage_tests::ledger::Ledger;
use selvage_tests::operations;
use selvage_tests::process::{Process, binary};
use selvage_tests::shop::OneProcess;
use tokio::task::JoinSet;

use super::mix::{Ready, SKU, Wish, audit};
use super::{LONG, by_form, tell};

/// Buyers at the same time: more than the relay's pool has connections, so that orders wait for it.
const AT_ONCE: u64 = 12;
const STOCKED: i32 = 10_000;
/// All that the relay's pool has here.
const RELAY_CONNECTIONS: u32 = 3;

/// The shop at a port that stays the same, for buyers who go on asking. No parcel is picked up.
fn start(folder: &Path, port: u16) -> OneProcess {
    let mut command = Command::new(binary("selvage"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--carrier-step", "1h"]);
    command.arg("--grpc").arg(format!("127.0.0.1:{port}"));
    OneProcess::of(Process::start(command.arg("--data").arg(folder)), folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_cancels_loses_nothing_when_the_one_process_shop_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut shop = start(folder.path(), port);
    let tokens = shop.tokens();
    let channel = shop.channel();
    let clients = Clients::new(|_| channel.clone());
    clients.stock(&tokens, SKU, STOCKED).await;

    // Each round is killed a little later in the relay's work than the one before.
    let (orders, rounds) = (by_form(84, 252, 252), by_form(1, 1, 6));
    let ledger =
        Ledger::open(&shop.database("catalogue"), &shop.database("checkout"), &shop.database("delivery")).await;
    let admin = tokens.of(Role::Admin, "tests");
    let mut told = Vec::new();
    for round in 0..rounds {
        let mut ready = Vec::new();
        for number in round * orders..(round + 1) * orders {
            ready.push(Ready::pack(&clients, &tokens, "crowd", number, Wish::of(number).without_parcel()).await);
        }
        let keeps = StartFaultRequest {
            kind: Kind::LeakedConnection.into(),
            target: "checkout-relay".to_owned(),
            count: RELAY_CONNECTIONS,
            ..operations::lasting(LONG)
        };
        let keeps = operations::ask(&channel, &admin, keeps).await.expect("who is at this machine may").fault_id;
        let before = ledger.orders("cancelled").await;
        let placed = Arc::new(AtomicU64::new(0));
        let mut buying = JoinSet::new();
        let shares = ready.chunks(ready.len().div_ceil(usize::try_from(AT_ONCE).unwrap()));
        for share in shares.map(<[Ready]>::to_vec) {
            let placed = placed.clone();
            buying.spawn(async move {
                let mut told = Vec::new();
                for ready in share {
                    told.push(ready.live(&placed).await);
                }
                told
            });
        }
        eventually(LONG, "a third is placed", async || placed.load(Ordering::SeqCst) >= orders / 3).await;
        operations::end_fault(&channel, &admin, &keeps).await.expect("it is there");
        let moment = before + 1 + 3 * i64::try_from(round).unwrap();
        eventually(LONG, "the relay cancels", async || ledger.orders("cancelled").await >= moment).await;
        shop.process.kill();
        shop = start(folder.path(), port);
        while let Some(share) = buying.join_next().await {
            told.extend(share.expect("everybody gets an answer"));
        }
    }
    let ends = audit(&ledger, &told, i64::from(STOCKED)).await;
    let done = format!("killed, with {AT_ONCE} who buy and cancel at once and a relay that is behind");
    tell("the shop in one process", &[(done, rounds)], &ends);
    assert!(ends.of("cancelled") > 0 && ends.of("refunded") > 0 && ends.of("confirmed") > 0, "{ends}");
}
