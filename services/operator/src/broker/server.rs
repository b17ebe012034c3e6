//! The rpc.

use std::sync::Arc;
use std::time::Duration;

use selvage_proto::pool::v1;
use selvage_proto::pool::v1::attach_request::Message;
use selvage_proto::pool::v1::attach_response::Message as Answer;
use selvage_proto::pool::v1::pool_broker_server::{PoolBroker, PoolBrokerServer};
use selvage_proto::pool::v1::{AttachRequest, AttachResponse};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::session::{Session, answer};
use super::streams::Streams;
use super::{Event, Happening, Holder, Identity, Offer, Outbox, ReviewError, Reviewer, parse};

/// The largest message: 16 pools with 65 uses of at most 100 bytes each are 104 KB.
const MAX_REQUEST_BYTES: usize = 128 * 1024;
/// How long a client takes to say hello, and an API server to check a token.
const HELLO: Duration = Duration::from_secs(2);
const REVIEW: Duration = Duration::from_secs(2);
/// Tokens that are checked at the same time: after a leader's end all processes come at once, and an API server that answers in
/// 5 ms then checks 6,400 a second.
const REVIEWS_AT_ONCE: usize = 32;
/// Events that wait for whoever decides: a report of each of 1,000 processes.
const MAX_EVENTS: usize = 1024;

/// Which replica leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// This one.
    Leading {
        /// Grows with each change of the leader: the number of the Lease's transitions.
        epoch: u64,
    },
    /// Another one, at this address (HOST:PORT); nobody, as far as is known, if there is none.
    Following(Option<String>),
}

impl Leadership {
    /// What a process is told by one that doesn't lead.
    pub(super) fn answer(&self) -> AttachResponse {
        let address = match self {
            Self::Following(Some(address)) => address.clone(),
            _ => String::new(),
        };
        answer(Answer::Leader(v1::Leader { address }))
    }
}

/// How much is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams at the same time; 4,096: each takes some 30 KB, so 120 MB at the most.
    pub streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { streams: 4096 }
    }
}

/// The broker's server.
pub struct Server<R> {
    reviewer: R,
    reviews: Arc<Semaphore>,
    streams: Streams,
    leadership: watch::Receiver<Leadership>,
    events: mpsc::Sender<Event>,
}

impl<R: Reviewer> Server<R> {
    /// With what happens at it, in the order in which it happens to each holder. Whoever reads that decides; if it is slow,
    /// processes report less often.
    pub fn new(
        reviewer: R,
        leadership: watch::Receiver<Leadership>,
        limits: Limits,
    ) -> (PoolBrokerServer<Self>, mpsc::Receiver<Event>) {
        let (events, happening) = mpsc::channel(MAX_EVENTS);
        let reviews = Arc::new(Semaphore::new(REVIEWS_AT_ONCE));
        let server = Self { reviewer, reviews, streams: Streams::new(limits.streams), leadership, events };
        (PoolBrokerServer::new(server).max_decoding_message_size(MAX_REQUEST_BYTES), happening)
    }

    /// The pod whose token the request bears.
    async fn identify<T>(&self, request: &Request<T>) -> Result<Identity, Status> {
        let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| header.strip_prefix("Bearer ")).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| Status::unauthenticated("a pod's token is needed: authorization: Bearer …"))?;
        let reviewing = async {
            let _turn = self.reviews.acquire().await;
            self.reviewer.review(token).await
        };
        match timeout(REVIEW, reviewing).await {
            Ok(Ok(identity)) => Ok(identity),
            Ok(Err(ReviewError::Refused(why))) => {
                tracing::warn!(why, "a token was refused");
                Err(Status::unauthenticated("the token isn't one of a pod's for this broker"))
            }
            Ok(Err(ReviewError::Unavailable(why))) => {
                tracing::warn!(why, "a token can't be checked");
                Err(Status::unavailable("tokens can't be checked now, come again"))
            }
            Err(_) => Err(Status::unavailable("tokens can't be checked in time now, come again")),
        }
    }
}

#[tonic::async_trait]
impl<R: Reviewer> PoolBroker for Server<R> {
    type AttachStream = ReceiverStream<Result<AttachResponse, Status>>;

    async fn attach(&self, request: Request<Streaming<AttachRequest>>) -> Result<Response<Self::AttachStream>, Status> {
        let mut leadership = self.leadership.clone();
        let now = leadership.borrow_and_update().clone();
        // One answer waits for its reader at the most; what is newer replaces what wasn't put there yet.
        let (answers, answered) = mpsc::channel(1);
        let response = Response::new(ReceiverStream::new(answered));
        let Leadership::Leading { epoch } = now else {
            // Where the leader is, is no secret; whose token it is, it asks itself.
            let _ = answers.send(Ok(now.answer())).await;
            return Ok(response);
        };
        let identity = self.identify(&request).await?;
        let mut incoming = request.into_inner();
        let first = timeout(HELLO, incoming.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came in time"))??;
        let Some(AttachRequest { message: Some(Message::Hello(hello)) }) = first else {
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        let hello = parse::hello(hello).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (claimed, boot_id, hello) = hello;
        if claimed != identity {
            tracing::warn!(
                token_pod = format!("{}/{}", identity.namespace, identity.pod),
                said_pod = format!("{}/{}", claimed.namespace, claimed.pod),
                "a process says that it is another pod than its token"
            );
            return Err(Status::permission_denied("the hello names another pod than the token"));
        }
        let holder = Holder { pod_uid: identity.uid.clone(), boot_id };
        let attached = self.streams.attach(&holder);
        let attached = attached.ok_or_else(|| Status::resource_exhausted("there are too many streams, come again"))?;
        let (outbox, offers) = Outbox::new(Offer::Pending("the operator has just heard of the process".into()));
        let what = Happening::Attached { epoch, identity: identity.clone(), hello: hello.clone(), outbox };
        let event = Event { holder, stream: attached.number, what };
        self.events.send(event).await.map_err(|_| Status::unavailable("the operator is about to end"))?;
        // There is room for one.
        let _ = answers.send(Ok(answer(Answer::Welcome(v1::Welcome { epoch })))).await;
        let events = self.events.clone();
        let session = Session { attached, identity, hello, incoming, offers, leadership, events, answers };
        tokio::spawn(session.run());
        Ok(response)
    }
}
