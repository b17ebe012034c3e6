//! Failures that repeat, as in an outage.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use selvage_identity::Role;
use selvage_proto::delivery::v1::GetShipmentRequest;
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_rpc::with_token;
use selvage_testkit::eventually;
use tokio::time::Instant;

use super::{Attacked, LONG};

/// Each refused call logged a line once: 6,000 a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_callers_on_a_pool_of_two_cost_some_lines_a_second_and_not_one_each() {
    let few = ["--pool-limit", "2", "--pool-max-wait-ms", "1"];
    let attacked = Attacked::start(&few).await;
    let client = DeliveryClient::new(attacked.service.connect().await);
    let token = attacked.tokens.of(Role::Customer, "somebody");
    let begun = Instant::now();
    let calls: FuturesUnordered<_> = (0..50)
        .map(|_| async {
            let (mut client, mut refused) = (client.clone(), 0);
            while begun.elapsed() < Duration::from_secs(3) {
                let asked = GetShipmentRequest { order_id: uuid::Uuid::now_v7().to_string() };
                let answer = client.get_shipment(with_token(&token, asked)).await;
                refused += u32::from(answer.unwrap_err().code() == tonic::Code::ResourceExhausted);
            }
            refused
        })
        .collect();
    let refused: u32 = calls.fold(0, async |sum, refused| sum + refused).await;
    let output = || attacked.service.process.output();
    eventually(LONG, "it says how many were held back", async || output().contains("lines that repeat were held back"))
        .await;
    let (lines, seconds) =
        (output().lines().filter(|line| line.contains("rpc failed")).count(), begun.elapsed().as_secs());
    println!("{refused} calls were refused within 3 s, and cost {lines} lines");
    assert!(refused > 500, "a machine too slow for this: {refused} refusals");
    // 20 a second, and the sum of each.
    assert!(lines as u64 <= 25 * (seconds + 2), "{lines} lines in {seconds} s");
    let written = attacked.metrics().sum("selvage_telemetry_lines_total", &[("outcome", "held_back")]);
    assert!(written > 0.0);
}
