//! Failures that repeat, as in an outage.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use selvage_identity::Role;
use selvage_proto::delivery::v1::GetShipmentRequest;
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_rpc::with_token;
use selvage_testkit::eventually;
use tokio::time::Instant;
use tonic::Code;

use super::{Attacked, LONG};

/// Far more than lines that may be written meanwhile.
const REFUSALS: u32 = 1_000;

/// Each refused call logged a line once: 6,000 a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_callers_on_a_pool_of_two_cost_some_lines_a_second_and_not_one_each() {
    let few = ["--pool-limit", "2", "--pool-max-wait-ms", "1"];
    let attacked = Attacked::start(&few).await;
    let client = DeliveryClient::new(attacked.service.connect().await);
    let token = attacked.tokens.of(Role::Customer, "somebody");
    let (begun, refused) = (Instant::now(), AtomicU32::new(0));
    let calls: FuturesUnordered<_> = (0..50)
        .map(|_| async {
            let mut client = client.clone();
            while refused.load(Ordering::Relaxed) < REFUSALS {
                assert!(begun.elapsed() < LONG, "in vain");
                let asked = GetShipmentRequest { order_id: uuid::Uuid::now_v7().to_string() };
                let answer = client.get_shipment(with_token(&token, asked)).await.unwrap_err();
                refused.fetch_add(u32::from(answer.code() == Code::ResourceExhausted), Ordering::Relaxed);
            }
        })
        .collect();
    calls.collect::<()>().await;
    let output = || attacked.service.process.output();
    eventually(LONG, "it says how many were held back", async || output().contains("lines that repeat were held back"))
        .await;
    let (lines, seconds) =
        (output().lines().filter(|line| line.contains("rpc failed")).count(), begun.elapsed().as_secs());
    println!("{REFUSALS} calls were refused within {seconds} s, and cost {lines} lines");
    // 20 a second, and the sum of each.
    assert!(lines as u64 <= 25 * (seconds + 2), "{lines} lines in {seconds} s");
    let written = attacked.metrics().sum("selvage_telemetry_lines_total", &[("outcome", "held_back")]);
    assert!(written > 0.0);
}
