//! Who is refused, and how.

use selvage_proto::pool::v1::attach_request::Message;
use selvage_proto::pool::v1::pool_broker_client::PoolBrokerClient;
use selvage_proto::pool::v1::{AttachRequest, AttachResponse, Hello, Pool, Report};
use tonic::{Code, Request, Status, Streaming};

use super::fixture::Script;

fn hello() -> Hello {
    Hello {
        namespace: "shop".into(),
        pod: "stars-1".into(),
        pod_uid: "5f6c".into(),
        boot_id: "0123abcd".into(),
        budget: "main".into(),
        pools: vec![Pool { name: "main".into(), floor: 2, ceiling: 8 }],
    }
}

/// Attaches with these messages, and says what is answered first.
async fn attach(script: &Script, token: &str, messages: Vec<Message>) -> Result<Streaming<AttachResponse>, Status> {
    let endpoint = selvage_rpc::endpoint(format!("http://{}", script.address)).unwrap();
    let mut client = PoolBrokerClient::new(endpoint.connect().await.unwrap());
    let messages: Vec<_> = messages.into_iter().map(|message| AttachRequest { message: Some(message) }).collect();
    // A stream that stays open.
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    for message in messages {
        sender.send(message).await.unwrap();
    }
    let mut request = Request::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let stream = client.attach(request).await?.into_inner();
    tokio::spawn(async move {
        sender.closed().await;
    });
    Ok(stream)
}

async fn code(script: &Script, token: &str, messages: Vec<Message>) -> Code {
    let outcome = async {
        let mut stream = attach(script, token, messages).await?;
        while stream.message().await?.is_some() {}
        Ok::<_, Status>(())
    };
    let outcome = tokio::time::timeout(super::fixture::LONG, outcome).await.expect("it is answered in time");
    outcome.err().map_or(Code::Ok, |status| status.code())
}

const RIGHT: &str = "shop/stars-1/5f6c";

#[tokio::test]
async fn a_pod_that_lies_about_itself_gets_nothing() {
    let script = Script::start().await;
    for lie in [
        Hello { pod: "stars-2".into(), ..hello() },
        Hello { pod_uid: "5f6d".into(), ..hello() },
        Hello { namespace: "bank".into(), ..hello() },
    ] {
        let at_once = Hello { boot_id: "feed0001".into(), ..lie.clone() };
        assert_eq!(code(&script, RIGHT, vec![Message::Hello(at_once)]).await, Code::PermissionDenied, "{lie:?}");
        assert!(script.with("feed0001", |_| ()).is_none(), "nobody hears of it");
        // Nor later, when it is trusted already.
        let later = vec![Message::Hello(hello()), Message::Hello(lie.clone())];
        assert_eq!(code(&script, RIGHT, later).await, Code::PermissionDenied, "{lie:?}");
    }
    let other_run = Hello { boot_id: "0123abce".into(), ..hello() };
    let later = vec![Message::Hello(hello()), Message::Hello(other_run)];
    assert_eq!(code(&script, RIGHT, later).await, Code::PermissionDenied);
}

#[tokio::test]
async fn a_stranger_and_a_message_that_cant_be_are_refused() {
    let script = Script::start().await;
    for token in ["", "forged"] {
        assert_eq!(code(&script, token, vec![Message::Hello(hello())]).await, Code::Unauthenticated, "{token}");
    }
    let report = || Message::Report(Report::default());
    assert_eq!(code(&script, RIGHT, vec![report()]).await, Code::InvalidArgument, "a hello comes first");
    let boundless = Hello { pools: vec![Pool { name: "main".into(), floor: 2, ceiling: 1 }], ..hello() };
    assert_eq!(code(&script, RIGHT, vec![Message::Hello(boundless)]).await, Code::InvalidArgument);
    let huge = Hello { pod: "x".repeat(200 * 1024), ..hello() };
    assert_eq!(code(&script, RIGHT, vec![Message::Hello(huge)]).await, Code::OutOfRange, "beyond 128 KiB");
    let other_budget = Hello { budget: "other".into(), ..hello() };
    let later = vec![Message::Hello(hello()), Message::Hello(other_budget)];
    assert_eq!(code(&script, RIGHT, later).await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_second_stream_of_a_run_ends_the_first_with_aborted() {
    let script = Script::start().await;
    let mut first = attach(&script, RIGHT, vec![Message::Hello(hello())]).await.unwrap();
    assert!(first.message().await.unwrap().is_some(), "it is answered");
    let _second = attach(&script, RIGHT, vec![Message::Hello(hello())]).await.unwrap();
    let ended = async {
        while first.message().await?.is_some() {}
        Ok::<_, Status>(())
    };
    let ended = tokio::time::timeout(super::fixture::LONG, ended).await.expect("it ends").unwrap_err();
    assert_eq!(ended.code(), Code::Aborted);
}

#[tokio::test]
async fn streams_of_one_pod_are_bounded() {
    let script = Script::start().await;
    let mut streams = Vec::new();
    for run in 0..4 {
        let hello = Hello { boot_id: format!("0000000{run}"), ..hello() };
        streams.push(attach(&script, RIGHT, vec![Message::Hello(hello)]).await.unwrap());
    }
    assert_eq!(code(&script, RIGHT, vec![Message::Hello(hello())]).await, Code::ResourceExhausted);
}
