//! Passes a call on to the replica that leads.

use std::time::Duration;

use selvage_proto::pool::v1::decisions_client::DecisionsClient;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Says that a replica has passed a call on: who isn't the leader either passes it on no further.
const PASSED_ON: &str = "selvage-passed-on";
const CONNECT: Duration = Duration::from_secs(1);
/// How often a connection that carries a stream is asked whether the leader lives, and how long that may take.
const ALIVE: Duration = Duration::from_secs(5);

/// Whether the call was passed on.
pub(super) fn is_passed_on(metadata: &MetadataMap) -> bool {
    metadata.contains_key(PASSED_ON)
}

/// A client of the leader at `address`, HOST:PORT as its Lease says.
pub(super) async fn client(address: &str) -> Result<DecisionsClient<Channel>, Status> {
    let away = |error: tonic::transport::Error| {
        tracing::warn!(address, error = format!("{:#}", anyhow::Error::from(error)), "the leader can't be reached");
        Status::unavailable("the replica that leads can't be reached, come again")
    };
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(away)?;
    let endpoint = endpoint.connect_timeout(CONNECT).http2_keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE);
    Ok(DecisionsClient::new(endpoint.connect().await.map_err(away)?))
}

/// The same request, with the token of whoever sent it.
pub(super) fn passed_on<T>(metadata: &MetadataMap, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = metadata.get("authorization") {
        request.metadata_mut().insert("authorization", token.clone());
    }
    request.metadata_mut().insert(PASSED_ON, MetadataValue::from_static("1"));
    request
}
