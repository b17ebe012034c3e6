//! What a port gives to callers without a token.

use bytes::Bytes;
use http::Request;
use selvage_testkit::eventually;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use super::{Attacked, LONG};

const REFLECTION: &str = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// A client of HTTP/2 that sends what it likes.
async fn client(address: &str) -> h2::client::SendRequest<Bytes> {
    let (client, connection) = h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn request(address: &str, method: &str) -> Request<()> {
    let request = Request::post(format!("http://{address}/{method}"));
    request.header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap()
}

/// A message that isn't whole: it announces `length` bytes, and has half of them, and 16 KiB at the most.
fn unfinished(length: u32) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.resize((length as usize / 2).min(16 * 1024), 0);
    bytes.into()
}

/// They cost 370 MB once, for as long as the connection lasted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_with_messages_that_are_never_whole_cost_little() {
    let attacked = Attacked::start(&["--reflection", "on"]).await;
    let address = attacked.service.grpc.clone();
    let (before, _) = attacked.service.process.memory_kib();
    let mut client = client(&address).await;
    let (mut held, mut refused) = (Vec::new(), 0);
    for (length, method) in
        [(4 * 1024 * 1024, REFLECTION), (4 * 1024, REFLECTION), (4 * 1024 * 1024, "grpc.health.v1.Health/Check")]
    {
        for _ in 0..100 {
            client = client.ready().await.unwrap();
            let (answer, mut stream) = client.send_request(request(&address, method), false).unwrap();
            // Err: it is refused already.
            let _ = stream.send_data(unfinished(length), false);
            held.push(stream);
            if method == REFLECTION && length == 4 * 1024 {
                refused += u32::from(answer.await.unwrap().headers().contains_key("grpc-status"));
            }
        }
    }
    assert!(refused >= 84, "{refused} of 100: 16 may ask at once");
    let (after, _) = attacked.service.process.memory_kib();
    println!("300 streams with unfinished messages took {} KiB", after.saturating_sub(before));
    assert!(after < before + 32 * 1024, "{before} KiB before, {after} KiB after");
    assert!(attacked.serves().await);
    // 30 s later they are over, and others may ask.
    eventually(LONG, "the streams have ended", async || lists(&attacked).await.is_ok()).await;
    drop(held);
}

async fn lists(attacked: &Attacked) -> Result<Vec<String>, Code> {
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(attacked.service.connect().await);
    let message_request = Some(v1::server_reflection_request::MessageRequest::ListServices(String::new()));
    let asked = v1::ServerReflectionRequest { host: String::new(), message_request };
    let mut answers = client.server_reflection_info(tokio_stream::once(asked)).await.map_err(|status| status.code())?;
    let answer = answers.get_mut().message().await.map_err(|status| status.code())?.ok_or(Code::Unknown)?;
    match answer.message_response {
        Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_is_off_unless_it_is_asked_for_and_then_speaks_to_older_tools_too() {
    let attacked = Attacked::start(&[]).await;
    assert_eq!(lists(&attacked).await, Err(Code::Unimplemented));
    let attacked = Attacked::start(&["--reflection", "on"]).await;
    assert!(lists(&attacked).await.unwrap().contains(&selvage_tests::alone::SERVICE.to_owned()));
    let mut older = v1alpha::server_reflection_client::ServerReflectionClient::new(attacked.service.connect().await);
    let message_request = Some(v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()));
    let asked = v1alpha::ServerReflectionRequest { host: String::new(), message_request };
    let answers = older.server_reflection_info(tokio_stream::once(asked)).await.unwrap();
    assert!(answers.into_inner().message().await.unwrap().unwrap().message_response.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_watch_health_are_bounded_and_checks_go_on() {
    let attacked = Attacked::start(&[]).await;
    let client = HealthClient::new(attacked.service.connect().await);
    let mut watched = Vec::new();
    for _ in 0..256 {
        watched.push(client.clone().watch(HealthCheckRequest::default()).await.unwrap());
    }
    let refused = client.clone().watch(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(attacked.serves().await);
    drop(watched);
    let watches = async || client.clone().watch(HealthCheckRequest::default()).await.is_ok();
    eventually(LONG, "places are given back", watches).await;
}

/// Each made-up name became series of metrics once, and took the real ones' places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_methods_leave_no_trace_in_metrics_and_real_ones_keep_their_names() {
    let attacked = Attacked::start(&[]).await;
    let address = attacked.service.grpc.clone();
    assert!(attacked.serves().await);
    let before = attacked.metrics().text.len();
    let mut client = client(&address).await;
    for number in 0..2_000 {
        client = client.ready().await.unwrap();
        let method = format!("selvage.delivery.v1.Delivery/MadeUp{number}");
        let (answer, _) = client.send_request(request(&address, &method), true).unwrap();
        assert!(answer.await.unwrap().headers().contains_key("grpc-status"));
    }
    assert!(attacked.serves().await);
    let after = attacked.metrics();
    assert!(!after.text.contains("MadeUp"), "strangers name no series");
    assert!(after.text.len() < before + 16 * 1024, "{before} bytes before, {} after", after.text.len());
    let count = |method: &str| after.sum("rpc_server_call_duration_seconds_count", &[("rpc_method", method)]);
    assert_eq!((count("selvage.delivery.v1.Delivery/GetShipment"), count("_OTHER")), (2.0, 2_000.0));
}
