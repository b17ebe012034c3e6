//! The codes and the tokens of calls that aren't quite as ours make them.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use selvage_identity::Role;
use selvage_proto::delivery::v1::GetShipmentRequest;
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_rpc::with_token;
use tokio::net::TcpStream;
use tonic::Code;

use super::{Attacked, LONG};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_takes_too_long_and_one_that_is_too_large_end_with_grpcs_own_codes() {
    let attacked = Attacked::start(&[]).await;
    let address = &attacked.service.grpc;
    let (client, connection) = h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    let token = attacked.tokens.of(Role::Customer, "somebody");
    // Its message never comes, so it takes as long as it may.
    let request = Request::post(format!("http://{address}/selvage.delivery.v1.Delivery/GetShipment"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "300m")
        // The scheme's name may be in any case.
        .header("authorization", format!("bearer {token}"));
    let mut client = client.ready().await.unwrap();
    let (answer, _open): (_, h2::SendStream<Bytes>) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let answer = tokio::time::timeout(LONG, answer).await.unwrap().unwrap();
    let code: i32 = answer.headers()["grpc-status"].to_str().unwrap().parse().unwrap();
    assert_eq!(Code::from(code), Code::DeadlineExceeded, "{:?}", answer.headers());

    let mut client = DeliveryClient::new(attacked.service.connect().await);
    let large = GetShipmentRequest { order_id: "x".repeat(20 * 1024) };
    let mut large = with_token(&token, large);
    large.set_timeout(Duration::from_secs(10));
    let refused = client.get_shipment(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("too large") && refused.message().contains("16384"), "{refused}");
}
