//! One stream to a broker.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::unfold;
use selvage_proto::pool::v1::attach_request::Message;
use selvage_proto::pool::v1::pool_broker_client::PoolBrokerClient;
use selvage_proto::pool::v1::{AttachRequest, AttachResponse, Hello, Report};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status, Streaming};

use crate::wire::{self, Said};

/// How long a broker may take from a connection that is asked for to the first word of its answer. It lets an API server
/// check the token meanwhile.
const FIRST_ANSWER: Duration = Duration::from_secs(3);
/// The largest answer: a reason, below 1 KiB.
const MAX_ANSWER_BYTES: usize = 4 * 1024;
/// The largest token: those of service accounts have some 1 KiB.
const MAX_TOKEN_BYTES: u64 = 16 * 1024;

/// What the process says next: of each kind the newest only, so that a broker that is slow finds no queue.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) hello: watch::Receiver<Hello>,
    pub(crate) report: watch::Receiver<Report>,
}

impl Outgoing {
    /// The messages of one stream: the hello first, and again when it has changed.
    fn messages(mut self) -> impl Stream<Item = AttachRequest> + Send + 'static {
        self.hello.mark_changed();
        unfold(self, |mut outgoing| async move {
            let message = tokio::select! {
                biased;
                changed = outgoing.hello.changed() => {
                    changed.ok()?;
                    Message::Hello(outgoing.hello.borrow_and_update().clone())
                }
                changed = outgoing.report.changed() => {
                    changed.ok()?;
                    Message::Report(outgoing.report.borrow_and_update().clone())
                }
            };
            Some((wire::request(message), outgoing))
        })
    }
}

type Opened = (Said, Streaming<AttachResponse>);

/// A stream, or the way to one.
pub(crate) enum Link {
    /// It is tried again then.
    Apart(Pin<Box<Sleep>>),
    /// It is being tried.
    Opening(BoxFuture<'static, Result<Opened, Status>>),
    /// The broker has answered.
    Open(Box<Streaming<AttachResponse>>),
}

/// What has become of a link.
pub(crate) enum Event {
    /// It is time to try.
    Due,
    /// The first answer, or another one.
    Said(Said),
    /// The stream is over, or there is none.
    Ended(Result<(), Status>),
}

impl Link {
    pub(crate) fn apart(until: Instant) -> Self {
        Self::Apart(Box::pin(sleep_until(until)))
    }

    /// Tries to open a stream to the broker at `address` (HOST:PORT).
    pub(crate) fn opening(address: String, token_file: &Path, outgoing: Outgoing) -> Self {
        let token_file = token_file.to_owned();
        Self::Opening(Box::pin(async move {
            timeout(FIRST_ANSWER, open(address, &token_file, outgoing))
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded("it didn't answer in time")))
        }))
    }

    /// Waits for what happens next. May be dropped meanwhile, and loses nothing by it. After [`Event::Ended`] another link is
    /// needed.
    pub(crate) async fn next(&mut self) -> Event {
        match self {
            Self::Apart(until) => {
                until.await;
                Event::Due
            }
            Self::Opening(opening) => match opening.await {
                Ok((first, stream)) => {
                    *self = Self::Open(Box::new(stream));
                    Event::Said(first)
                }
                Err(status) => Event::Ended(Err(status)),
            },
            Self::Open(stream) => loop {
                match stream.message().await {
                    // What a newer broker says, and this process doesn't know, changes nothing.
                    Ok(Some(response)) => match wire::said(response) {
                        Some(said) => return Event::Said(said),
                        None => continue,
                    },
                    Ok(None) => return Event::Ended(Ok(())),
                    Err(status) => return Event::Ended(Err(status)),
                }
            },
        }
    }
}

async fn open(address: String, token_file: &Path, outgoing: Outgoing) -> Result<Opened, Status> {
    let token = read_token(token_file).await?;
    let endpoint = selvage_rpc::endpoint(format!("http://{address}"));
    let endpoint = endpoint.map_err(|_| Status::invalid_argument("that is no address"))?;
    let channel = endpoint.connect().await.map_err(|error| Status::unavailable(in_full(&error)))?;
    let mut client = PoolBrokerClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    let mut request = Request::new(outgoing.messages());
    request.metadata_mut().insert("authorization", token);
    let mut stream = client.attach(request).await?.into_inner();
    loop {
        let response = stream.message().await?.ok_or_else(|| Status::unavailable("it said nothing"))?;
        if let Some(said) = wire::said(response) {
            return Ok((said, stream));
        }
    }
}

/// An error with what caused it: tonic's own says "transport error" alone.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}

/// The token, as a header. The kubelet renews the file while the process runs.
async fn read_token(file: &Path) -> Result<MetadataValue<Ascii>, Status> {
    let failed = |why: &dyn std::fmt::Display| {
        Status::failed_precondition(format!("the token file {} can't be used: {why}", file.display()))
    };
    let opened = tokio::fs::File::open(file).await.map_err(|error| failed(&error))?;
    let mut text = String::new();
    opened.take(MAX_TOKEN_BYTES + 1).read_to_string(&mut text).await.map_err(|error| failed(&error))?;
    let token = text.trim();
    if token.is_empty() || text.len() as u64 > MAX_TOKEN_BYTES {
        return Err(failed(&"it must have a token of at most 16 KiB"));
    }
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {token}").parse().map_err(|_| failed(&"what is in it can't stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_token_is_read_from_its_file_and_what_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let missing = read_token(&file).await.unwrap_err();
        assert!(missing.message().contains("token"), "{missing}");
        std::fs::write(&file, "first.token\n").unwrap();
        assert_eq!(read_token(&file).await.unwrap(), "Bearer first.token");
        std::fs::write(&file, "second.token").unwrap();
        assert_eq!(read_token(&file).await.unwrap(), "Bearer second.token", "the kubelet has renewed it");
        for wrong in [" \n".to_owned(), "x".repeat(17 * 1024), "two\nlines".to_owned()] {
            std::fs::write(&file, wrong).unwrap();
            assert!(read_token(&file).await.is_err());
        }
    }
}
