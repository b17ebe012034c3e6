//! The channel against real servers that come, go, hang and refuse.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod servers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use selvage_context::{deadline, lease};
use selvage_proto::cart::v1::cart_client::CartClient;
use selvage_proto::cart::v1::{AddItemRequest, GetCartRequest};
use selvage_rpc::{Channel, InProcess, Target};
use selvage_testkit::eventually;
use servers::{BlackHole, Instance};
use tokio::sync::watch;
use tonic::{Code, Request};

const LONG: Duration = Duration::from_secs(20);

fn known(instances: &[&Instance]) -> (watch::Sender<Vec<SocketAddr>>, CartClient<Channel>) {
    let addresses = instances.iter().map(|instance| instance.address).collect();
    let (change, addresses) = watch::channel(addresses);
    (change, CartClient::new(Channel::to(Target::Addresses(addresses))))
}

async fn spread(client: &CartClient<Channel>, calls: usize) -> BTreeMap<String, usize> {
    let mut spread = BTreeMap::new();
    for _ in 0..calls {
        let cart = client.clone().get_cart(GetCartRequest {}).await.expect("an answer").into_inner();
        *spread.entry(cart.etag).or_default() += 1;
    }
    spread
}

#[tokio::test]
async fn a_list_of_addresses_is_balanced_over_and_outlives_an_instance() {
    let (first, second) = (Instance::start().await, Instance::start().await);
    let list: Target = format!("{},{}", first.address, second.address).parse().unwrap();
    let client = CartClient::new(Channel::to(list));
    let shares = spread(&client, 40).await;
    assert!(shares.len() == 2 && shares.values().all(|calls| *calls >= 8), "{shares:?}");
    first.kill();
    assert_eq!(spread(&client, 200).await.values().sum::<usize>(), 200);
}

#[tokio::test]
async fn new_instances_take_their_share_and_those_that_leave_lose_no_call() {
    let (first, second) = (Instance::start().await, Instance::start().await);
    let (change, client) = known(&[&first]);
    assert_eq!(spread(&client, 20).await.len(), 1);

    change.send(vec![first.address, second.address]).unwrap();
    eventually(Duration::from_secs(5), "the new one takes its share", async || {
        let spread = spread(&client, 40).await;
        spread.len() == 2 && spread.values().all(|calls| *calls >= 8)
    })
    .await;

    // Calls all the while; the first leaves the set and then drains, as a pod does.
    let load = tokio::spawn({
        let client = client.clone();
        async move {
            for _ in 0..300 {
                client.clone().get_cart(GetCartRequest {}).await?;
            }
            Ok::<_, tonic::Status>(())
        }
    });
    change.send(vec![second.address]).unwrap();
    first.drain().await;
    load.await.unwrap().expect("no call fails");
    assert_eq!(spread(&client, 20).await.len(), 1);
}

#[tokio::test]
async fn an_instance_that_is_killed_costs_no_idempotent_call() {
    let (first, second) = (Instance::start().await, Instance::start().await);
    let (_change, client) = known(&[&first, &second]);
    assert_eq!(spread(&client, 40).await.len(), 2);
    first.kill();
    assert_eq!(spread(&client, 200).await.values().sum::<usize>(), 200);
}

#[tokio::test]
async fn a_peer_that_swallows_everything_is_left_within_five_seconds() {
    let (sound, swallowing) = (Instance::start().await, Instance::start().await);
    let hole = BlackHole::before(swallowing.address).await;
    let (change, client) = known(&[&sound]);
    change.send(vec![sound.address, hole.address]).unwrap();
    eventually(LONG, "both are in use", async || spread(&client, 20).await.len() == 2).await;
    hole.swallow();
    let began = Instant::now();
    // A call that is caught in it ends at its own deadline at the latest; soon none is caught any more.
    eventually(Duration::from_secs(6), "twenty calls in a row are answered at once", async || {
        for _ in 0..20 {
            let mut request = Request::new(GetCartRequest {});
            request.set_timeout(Duration::from_millis(500));
            if client.clone().get_cart(request).await.is_err() {
                return false;
            }
        }
        true
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn no_caller_waits_for_a_peer_that_is_still_dead() {
    let (sound, swallowing) = (Instance::start().await, Instance::start().await);
    let hole = BlackHole::before(swallowing.address).await;
    let (change, client) = known(&[&sound]);
    change.send(vec![sound.address, hole.address]).unwrap();
    eventually(LONG, "both are in use", async || spread(&client, 20).await.len() == 2).await;
    hole.swallow();
    // It answers one call late, after which its connection is given up.
    eventually(LONG, "it is ejected", async || {
        let mut request = Request::new(AddItemRequest::default());
        request.set_timeout(LONG);
        client.clone().add_item(request).await.is_err()
    })
    .await;
    // Longer than the first pauses before it is asked, and the questions, take together.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        let mut request = Request::new(AddItemRequest::default());
        request.set_timeout(Duration::from_millis(900));
        client.clone().add_item(request).await.expect("the other one answers");
    }
}

#[tokio::test]
async fn a_peer_that_is_back_is_called_again() {
    let (first, second) = (Instance::start().await, Instance::start().await);
    let (_change, client) = known(&[&first, &second]);
    assert_eq!(spread(&client, 40).await.len(), 2);
    let address = second.address;
    second.kill();
    eventually(LONG, "it is left", async || spread(&client, 20).await.len() == 1).await;
    let _second = Instance::start_at(address).await;
    eventually(LONG, "it is called", async || spread(&client, 20).await.len() == 2).await;
}

#[tokio::test]
async fn what_was_sent_and_is_not_idempotent_is_not_repeated() {
    let instance = Instance::start().await;
    let (_change, client) = known(&[&instance]);
    instance.refuse(Some(Code::Unavailable));
    let added = client.clone().add_item(AddItemRequest::default()).await.expect_err("it is unavailable");
    assert_eq!((added.code(), instance.calls.load(Ordering::SeqCst)), (Code::Unavailable, 1));
    let read = client.clone().get_cart(GetCartRequest {}).await.expect_err("it is unavailable");
    assert_eq!((read.code(), instance.calls.load(Ordering::SeqCst)), (Code::Unavailable, 1 + 3));

    // Overload is not for trying again blindly.
    instance.refuse(Some(Code::ResourceExhausted));
    client.clone().get_cart(GetCartRequest {}).await.expect_err("it is overloaded");
    assert_eq!(instance.calls.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_service_that_is_down_is_not_buried_in_retries() {
    let instance = Instance::start().await;
    let (_change, client) = known(&[&instance]);
    instance.refuse(Some(Code::Unavailable));
    for _ in 0..300 {
        client.clone().get_cart(GetCartRequest {}).await.expect_err("it is unavailable");
    }
    let calls = instance.calls.load(Ordering::SeqCst);
    assert!((300..=300 + 30 + 10).contains(&calls), "{calls} calls reached it for 300 that were made");
}

#[tokio::test]
async fn the_callers_time_is_passed_on_and_kept() {
    let instance = Instance::start().await;
    let (_change, client) = known(&[&instance]);
    let soon = tokio::time::Instant::now() + Duration::from_millis(900);
    deadline::scope(soon, client.clone().get_cart(GetCartRequest {})).await.unwrap();
    let left = instance.last_timeout().expect("a grpc-timeout was sent");
    assert!(left <= Duration::from_millis(900) && left > Duration::ZERO, "{left:?}");

    instance.hang();
    let soon = tokio::time::Instant::now() + Duration::from_millis(100);
    let late = deadline::scope(soon, client.clone().get_cart(GetCartRequest {})).await.expect_err("it hangs");
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let calls = instance.calls.load(Ordering::SeqCst);
    deadline::scope(soon, client.clone().get_cart(GetCartRequest {})).await.expect_err("there is no time left");
    assert_eq!(instance.calls.load(Ordering::SeqCst), calls, "it wasn't even sent");
}

#[tokio::test]
async fn a_server_in_this_process_is_reached_through_memory() {
    let (way_in, incoming) = InProcess::pair();
    let _server = servers::serve_in_process(incoming);
    let client = CartClient::new(Channel::to(Target::InProcess(way_in)));
    assert_eq!(spread(&client, 10).await.values().sum::<usize>(), 10);
}

#[cfg(debug_assertions)]
#[tokio::test]
#[should_panic(expected = "while a database connection is held")]
async fn no_call_is_made_while_a_connection_is_held() {
    let instance = Instance::start().await;
    let (_change, client) = known(&[&instance]);
    let _ = lease::holding(client.clone().get_cart(GetCartRequest {})).await;
}
