//! The rpcs.

use std::sync::Arc;
use std::time::Duration;

use selvage_proto::pool::v1::decisions_server::{Decisions, DecisionsServer};
use selvage_proto::pool::v1::{ListBudgetsRequest, ListBudgetsResponse, WatchBudgetsRequest, WatchBudgetsResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::access::{Access, AccessError};
use super::pages::Picture;
use super::relay;
use super::turns::Turns;
use crate::broker::Leadership;

/// The largest request: a namespace and a page token of 320 bytes.
const MAX_REQUEST_BYTES: usize = 4 * 1024;
/// A name of a namespace.
const MAX_NAMESPACE: usize = 63;
/// How long an API server may take to say who may read.
const REVIEW: Duration = Duration::from_secs(2);
/// Tokens that are checked at the same time: apart from those of pods, so that strangers here don't hold up pods there.
const REVIEWS_AT_ONCE: usize = 8;
/// How long a leader that has just begun may take to its first decision, and a leader to its answer to another replica.
const FIRST: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);
/// How often a stream is sent something at the most.
const EVERY: Duration = Duration::from_secs(1);
/// The longest that a stream lasts: a right that was taken is found out when the next one begins.
const LONGEST: Duration = Duration::from_secs(600);

/// How much is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams at the same time; 32: an answer of 1,000 pods is some 300 KB, so 10 MB at the most.
    pub streams: usize,
    /// Calls a second, of streams their beginning; 32.
    pub calls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { streams: 32, calls: 32 }
    }
}

/// Answers to whoever may read.
pub struct Server<A> {
    access: A,
    reviews: Semaphore,
    turns: Turns,
    streams: Arc<Semaphore>,
    leadership: watch::Receiver<Leadership>,
    picture: watch::Receiver<Arc<Picture>>,
}

type Answers = mpsc::Sender<Result<WatchBudgetsResponse, Status>>;

/// Who answers a call.
enum Answering {
    /// This replica, in this epoch.
    Here(u64),
    /// The one at this address.
    There(String),
}

impl<A: Access> Server<A> {
    /// Which replica leads is in `leadership`, and what it decided in `picture`.
    pub fn new(
        access: A,
        leadership: watch::Receiver<Leadership>,
        picture: watch::Receiver<Arc<Picture>>,
        limits: Limits,
    ) -> DecisionsServer<Self> {
        let server = Self {
            access,
            reviews: Semaphore::new(REVIEWS_AT_ONCE),
            turns: Turns::new(limits.calls),
            streams: Arc::new(Semaphore::new(limits.streams)),
            leadership,
            picture,
        };
        DecisionsServer::new(server).max_decoding_message_size(MAX_REQUEST_BYTES)
    }

    /// Who answers, once it is known that the caller may read what is in `namespace`.
    async fn admit(&self, metadata: &MetadataMap, namespace: &str) -> Result<Answering, Status> {
        let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| header.strip_prefix("Bearer ")).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| {
            Status::unauthenticated(
                "a token is needed, as authorization: Bearer …: kubectl create token NAME --audience selvage-operator",
            )
        })?;
        if namespace.len() > MAX_NAMESPACE || namespace.chars().any(char::is_control) {
            return Err(Status::invalid_argument("namespace must be a name of at most 63 bytes, or empty"));
        }
        self.review(token, namespace).await?;
        if !self.turns.take() {
            return Err(Status::resource_exhausted("there are too many calls, come again in a second"));
        }
        match self.leadership.borrow().clone() {
            Leadership::Leading { epoch } => Ok(Answering::Here(epoch)),
            Leadership::Following(Some(address)) if !relay::is_passed_on(metadata) => Ok(Answering::There(address)),
            Leadership::Following(_) => Err(Status::unavailable("no replica leads just now, come again")),
        }
    }

    async fn review(&self, token: &str, namespace: &str) -> Result<(), Status> {
        let reviewing = async {
            let _turn = self.reviews.acquire().await;
            self.access.may_read(token, namespace).await
        };
        match timeout(REVIEW, reviewing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(AccessError::Stranger(why))) => {
                tracing::warn!(why, "a token was refused");
                Err(Status::unauthenticated("the token isn't valid, or isn't for the audience selvage-operator"))
            }
            Ok(Err(AccessError::Forbidden(who))) => {
                let place = match namespace {
                    "" => "in all namespaces: name one in which it may".to_owned(),
                    namespace => format!("in the namespace {namespace}: a Role that lets it is needed there"),
                };
                Err(Status::permission_denied(format!("{who} may not list poolscalers.selvage.dev {place}")))
            }
            Ok(Err(AccessError::Unavailable(why))) => {
                tracing::warn!(why, "a token can't be checked");
                Err(Status::unavailable("tokens can't be checked now, come again"))
            }
            Err(_) => Err(Status::unavailable("tokens can't be checked in time now, come again")),
        }
    }

    /// What was decided in this epoch: a leader that has just begun decides within a second.
    async fn decided(&self, epoch: u64) -> Result<Arc<Picture>, Status> {
        let mut picture = self.picture.clone();
        let decided = timeout(FIRST, picture.wait_for(|picture| picture.epoch == Some(epoch))).await;
        match decided {
            Ok(Ok(picture)) => Ok(picture.clone()),
            _ => Err(Status::unavailable("the replica that leads has decided nothing yet, come again")),
        }
    }
}

#[tonic::async_trait]
impl<A: Access> Decisions for Server<A> {
    type WatchBudgetsStream = ReceiverStream<Result<WatchBudgetsResponse, Status>>;

    async fn list_budgets(
        &self,
        request: Request<ListBudgetsRequest>,
    ) -> Result<Response<ListBudgetsResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        match self.admit(&metadata, &request.namespace).await? {
            Answering::Here(epoch) => {
                let page = self.decided(epoch).await?.page(&request).map_err(Status::invalid_argument)?;
                Ok(Response::new(page))
            }
            Answering::There(address) => {
                let asked =
                    async { relay::client(&address).await?.list_budgets(relay::passed_on(&metadata, request)).await };
                let answer = timeout(ANSWER, asked).await.map_err(|_| late())??;
                Ok(Response::new(answer.into_inner()))
            }
        }
    }

    async fn watch_budgets(
        &self,
        request: Request<WatchBudgetsRequest>,
    ) -> Result<Response<Self::WatchBudgetsStream>, Status> {
        let (metadata, _, request) = request.into_parts();
        let answering = self.admit(&metadata, &request.namespace).await?;
        let stream = self.streams.clone().try_acquire_owned();
        let stream = stream.map_err(|_| Status::resource_exhausted("there are too many streams, come again"))?;
        // One answer waits for its reader at the most; what is newer replaces what wasn't put there yet.
        let (answers, answered) = mpsc::channel(1);
        let leadership = self.leadership.clone();
        match answering {
            Answering::Here(epoch) => {
                self.decided(epoch).await?;
                let picture = self.picture.clone();
                tokio::spawn(show(picture, epoch, request.namespace, answers, stream));
            }
            Answering::There(address) => {
                let asked =
                    async { relay::client(&address).await?.watch_budgets(relay::passed_on(&metadata, request)).await };
                let said = timeout(ANSWER, asked).await.map_err(|_| late())??;
                tokio::spawn(pass_on(said.into_inner(), leadership, answers, stream));
            }
        }
        Ok(Response::new(ReceiverStream::new(answered)))
    }
}

fn late() -> Status {
    Status::unavailable("the replica that leads doesn't answer in time, come again")
}

/// Sends what is decided in this epoch, the newest alone, until it is over or nobody reads.
async fn show(
    mut picture: watch::Receiver<Arc<Picture>>,
    epoch: u64,
    namespace: String,
    answers: Answers,
    _stream: OwnedSemaphorePermit,
) {
    let until = Instant::now() + LONGEST;
    loop {
        // A place for it first: what is newest is looked up then.
        let place = tokio::select! {
            place = answers.reserve() => place,
            () = sleep_until(until) => return,
        };
        let Ok(place) = place else { return };
        let newest = picture.borrow_and_update().clone();
        if newest.epoch != Some(epoch) {
            return;
        }
        place.send(Ok(newest.watched(&namespace)));
        let next = Instant::now() + EVERY;
        tokio::select! {
            changed = async { sleep_until(next).await; picture.changed().await } => {
                // An error: nobody decides here any more.
                if changed.is_err() { return; }
            }
            () = answers.closed() => return,
            () = sleep_until(until) => return,
        }
    }
}

/// Passes on what the leader sends, until it ends that, this replica has another standing, or nobody reads.
async fn pass_on(
    mut said: Streaming<WatchBudgetsResponse>,
    mut leadership: watch::Receiver<Leadership>,
    answers: Answers,
    _stream: OwnedSemaphorePermit,
) {
    leadership.mark_unchanged();
    loop {
        let message = tokio::select! {
            message = said.message() => message,
            _ = leadership.changed() => return,
            () = answers.closed() => return,
        };
        let answer = match message {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => return,
            Err(status) => Err(status),
        };
        let is_last = answer.is_err();
        if answers.send(answer).await.is_err() || is_last {
            return;
        }
    }
}
