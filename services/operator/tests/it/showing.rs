//! The rpcs that show what was decided: their bounds, and who answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use selvage_operator::broker::Leadership;
use selvage_operator::decisions::{Access, AccessError, Limits, Picture, Server};
use selvage_proto::pool::v1::decisions_client::DecisionsClient;
use selvage_proto::pool::v1::{Budget, ListBudgetsRequest, WatchBudgetsRequest, WatchBudgetsResponse};
use selvage_rpc::with_token;
use selvage_testkit::free_port;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status, Streaming};

const LONG: Duration = Duration::from_secs(10);

/// Lets everybody in whose token is right.
struct OneToken;

#[tonic::async_trait]
impl Access for OneToken {
    async fn may_read(&self, token: &str, _: &str) -> Result<(), AccessError> {
        if token == "right" { Ok(()) } else { Err(AccessError::Stranger("it is another one".into())) }
    }
}

/// A replica, as far as it shows something.
struct Replica {
    address: String,
    leadership: watch::Sender<Leadership>,
    picture: watch::Sender<Arc<Picture>>,
    task: JoinHandle<()>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn picture(epoch: u64, charged: u32) -> Arc<Picture> {
    let budget = Budget { namespace: "shop".into(), name: "main".into(), epoch, charged, ..Budget::default() };
    Arc::new(Picture { epoch: Some(epoch), budgets: vec![budget] })
}

impl Replica {
    async fn start(leadership: Leadership, limits: Limits) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let listener = TcpListener::bind(address.parse::<SocketAddr>().unwrap()).await.unwrap();
        let (leadership, picture) = (watch::Sender::new(leadership), watch::Sender::new(picture(1, 0)));
        let server = Server::new(OneToken, leadership.subscribe(), picture.subscribe(), limits);
        let router = tonic::transport::Server::builder().add_service(server);
        let task = tokio::spawn(async move { router.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap() });
        Self { address, leadership, picture, task }
    }

    async fn leader() -> Self {
        Self::start(Leadership::Leading { epoch: 1 }, Limits::default()).await
    }

    async fn client(&self) -> DecisionsClient<Channel> {
        let endpoint = selvage_rpc::endpoint(format!("http://{}", self.address)).unwrap();
        DecisionsClient::new(endpoint.connect().await.unwrap())
    }

    async fn list(&self, request: ListBudgetsRequest) -> Result<Vec<Budget>, Status> {
        Ok(self.client().await.list_budgets(with_token("right", request)).await?.into_inner().budgets)
    }

    async fn code(&self, request: ListBudgetsRequest) -> Code {
        self.list(request).await.err().map_or(Code::Ok, |status| status.code())
    }

    async fn watch(&self) -> Result<Streaming<WatchBudgetsResponse>, Status> {
        let request = with_token("right", WatchBudgetsRequest::default());
        Ok(self.client().await.watch_budgets(request).await?.into_inner())
    }
}

async fn next(stream: &mut Streaming<WatchBudgetsResponse>) -> Option<WatchBudgetsResponse> {
    timeout(LONG, stream.message()).await.expect("it goes on").expect("no error")
}

#[tokio::test]
async fn calls_and_streams_are_bounded() {
    let replica = Replica::start(Leadership::Leading { epoch: 1 }, Limits { streams: 1, calls: 1_000 }).await;
    let mut first = replica.watch().await.unwrap();
    assert!(next(&mut first).await.is_some());
    assert_eq!(replica.watch().await.unwrap_err().code(), Code::ResourceExhausted);
    drop(first);
    let is_free = async || replica.watch().await.is_ok();
    selvage_testkit::eventually(LONG, "its place is free", is_free).await;

    let replica = Replica::start(Leadership::Leading { epoch: 1 }, Limits { streams: 1, calls: 2 }).await;
    let mut codes = Vec::new();
    for _ in 0..100 {
        codes.push(replica.code(ListBudgetsRequest::default()).await);
        if codes.last() == Some(&Code::ResourceExhausted) {
            return;
        }
    }
    panic!("100 calls in less than 50 seconds are too many: {codes:?}");
}

#[tokio::test]
async fn a_request_that_cant_be_is_refused_with_the_field() {
    let replica = Replica::leader().await;
    for (request, field) in [
        (ListBudgetsRequest { namespace: "x".repeat(64), ..Default::default() }, "namespace"),
        (ListBudgetsRequest { page_size: 51, ..Default::default() }, "page_size"),
        (ListBudgetsRequest { page_token: "x".into(), ..Default::default() }, "page_token"),
    ] {
        let refused = replica.list(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{refused:?}");
    }
    let huge = ListBudgetsRequest { page_token: "x".repeat(8 * 1024), ..Default::default() };
    assert_eq!(replica.code(huge).await, Code::OutOfRange);
}

#[tokio::test]
async fn who_doesnt_lead_asks_the_leader_and_nobody_asks_in_a_circle() {
    let leader = Replica::leader().await;
    let follower = Replica::start(Leadership::Following(Some(leader.address.clone())), Limits::default()).await;
    leader.picture.send_replace(picture(1, 7));
    let listed = follower.list(ListBudgetsRequest::default()).await.unwrap();
    assert_eq!(listed[0].charged, 7);
    let mut watched = follower.watch().await.unwrap();
    assert_eq!(next(&mut watched).await.unwrap().budgets[0].charged, 7);
    leader.picture.send_replace(picture(1, 9));
    assert_eq!(next(&mut watched).await.unwrap().budgets[0].charged, 9);
    let refused = follower.client().await.list_budgets(with_token("wrong", ListBudgetsRequest::default())).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);

    // Each takes the other for the leader.
    leader.leadership.send_replace(Leadership::Following(Some(follower.address.clone())));
    assert_eq!(follower.code(ListBudgetsRequest::default()).await, Code::Unavailable);
    leader.leadership.send_replace(Leadership::Following(None));
    assert_eq!(leader.code(ListBudgetsRequest::default()).await, Code::Unavailable, "nobody leads");
}

#[tokio::test]
async fn what_was_decided_in_another_epoch_isnt_shown() {
    let replica = Replica::leader().await;
    let mut watched = replica.watch().await.unwrap();
    assert!(next(&mut watched).await.is_some());
    replica.leadership.send_replace(Leadership::Leading { epoch: 2 });
    assert_eq!(replica.code(ListBudgetsRequest::default()).await, Code::Unavailable, "nothing is decided in it yet");
    replica.picture.send_replace(picture(2, 3));
    assert_eq!(next(&mut watched).await, None, "the stream is over with its epoch");
    assert_eq!(replica.list(ListBudgetsRequest::default()).await.unwrap()[0].charged, 3);
}
