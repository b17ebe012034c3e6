use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use selvage_context::{deadline, lease};
use selvage_identity::ServiceToken;
use selvage_telemetry::calls::{self, Call};
use selvage_telemetry::observed::{self, Observed};
use selvage_telemetry::propagation;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use crate::peers::{Peer, Peers, choose};
use crate::resolve::{self, Found};
use crate::retry::{self, Budget, MAX_ATTEMPTS};
use crate::{MAX_MESSAGE_BYTES, Target, idempotency};

/// How long a call may take whose caller has no deadline.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// A channel to all instances of a service, for tonic's generated clients. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Channel {
    found: Found,
    budget: Arc<Budget>,
    token: Option<ServiceToken>,
}

impl Channel {
    /// A channel to `target`, which need not be there yet. To be called within a tokio runtime.
    pub fn to(target: Target) -> Self {
        Self { found: resolve::watch(target), budget: Arc::new(Budget::new()), token: None }
    }

    /// The same channel, with a service's own token where a request bears none.
    #[must_use]
    pub fn with_service_token(self, token: ServiceToken) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The instances that there are now, each with its address and a channel to it alone; in the order of their addresses.
    /// Their connections are this channel's. One in this process has an empty address. While the target's name has no address
    /// this waits, without a bound of its own.
    pub async fn instances(&self) -> Vec<(String, Self)> {
        let mut peers = self.found.peers.clone();
        let Ok(peers) = peers.wait_for(|peers| !peers.is_empty()).await.map(|peers| peers.clone()) else {
            return Vec::new();
        };
        let alone = |peer: &Arc<Peer>| {
            // Nobody changes it: its sender goes at once, and the instance stays.
            let (_, peers) = watch::channel(Peers::from([peer.clone()]));
            (peer.name().to_owned(), Self { found: Found::always(peers), ..self.clone() })
        };
        peers.iter().map(alone).collect()
    }

    /// Waits until it is known of each which instances there are, be it none: a call before that would wait for it. While no
    /// name server answers this has no bound of its own.
    pub async fn are_known<const N: usize>(channels: [&Self; N]) {
        for channel in channels {
            // Err: nobody looks it up any more, as the process ends.
            let _ = channel.found.is_known.clone().wait_for(|is_known| *is_known).await;
        }
    }

    async fn send(self, request: Request<Body>) -> Result<Response<Observed<Body>>, Status> {
        let (mut parts, body) = request.into_parts();
        lease::refuse_network_call(parts.uri.path());
        tracing::trace!(path = parts.uri.path(), "a call");
        let ends = ends(&parts)?;
        self.authorise(&mut parts)?;
        let body = Limited::new(body, MAX_MESSAGE_BYTES).collect().await;
        let body = body.map_err(|_| Status::invalid_argument("the request is larger than 4 MiB"))?.to_bytes();
        let call = Call::made(parts.uri.path());
        propagation::inject(call.span(), &mut parts.headers);
        let late = |_| Status::deadline_exceeded("the call took longer than its caller has");
        let work = async {
            timeout_at(ends, self.attempts(parts, body, ends)).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
        };
        observed::call(call, work, |status: &Status| calls::name_of(status.code().into())).await
    }

    fn authorise(&self, parts: &mut Parts) -> Result<(), Status> {
        if let Some(token) = &self.token
            && !parts.headers.contains_key(http::header::AUTHORIZATION)
        {
            let value = HeaderValue::try_from(format!("Bearer {}", token.get()));
            let mut value = value.map_err(|_| Status::internal("a token that can't stand in a header"))?;
            value.set_sensitive(true);
            parts.headers.insert(http::header::AUTHORIZATION, value);
        }
        Ok(())
    }

    async fn attempts(mut self, parts: Parts, body: Bytes, ends: Instant) -> Result<Response<Body>, Status> {
        self.budget.earn();
        let idempotent = idempotency::is_idempotent(parts.uri.path());
        let mut tried = None;
        for attempt in 1.. {
            let peer = self.peer(tried.as_ref()).await?;
            let outcome = once(&peer, &parts, &body, ends).await;
            let pause = match outcome.retry_pause(idempotent, attempt) {
                Some(pause) if attempt < MAX_ATTEMPTS && Instant::now() + pause < ends && self.budget.spend() => pause,
                _ => return outcome.result,
            };
            calls::retried(attempt);
            tracing::debug!(path = parts.uri.path(), attempt, "a call is tried again");
            tokio::time::sleep(pause).await;
            tried = Some(peer);
        }
        unreachable!("the last attempt returns")
    }

    /// The instance for a call. While a name has no address yet this waits; the deadline bounds it.
    async fn peer(&mut self, tried: Option<&Arc<Peer>>) -> Result<Arc<Peer>, Status> {
        let gone = |_| Status::unavailable("the service has no address");
        let peers = self.found.peers.wait_for(|peers| !peers.is_empty()).await.map_err(gone)?;
        choose(&peers, tried).ok_or_else(|| Status::unavailable("the service has no instance"))
    }
}

/// When the call must have ended: the request's own time-out, the caller's deadline, or ours.
fn ends(parts: &Parts) -> Result<Instant, Status> {
    let own = parts.headers.get("grpc-timeout").and_then(|value| deadline::from_grpc(value.to_str().ok()?));
    let own = own.unwrap_or(DEFAULT_DEADLINE);
    let left = deadline::remaining().map_or(own, |left| left.min(own));
    if left.is_zero() {
        return Err(Status::deadline_exceeded("the caller's time was over before the call"));
    }
    Ok(Instant::now() + left)
}

struct Outcome {
    result: Result<Response<Body>, Status>,
    never_sent: bool,
}

impl Outcome {
    /// After which pause the call may be tried again, if it may at all.
    fn retry_pause(&self, idempotent: bool, attempt: u32) -> Option<Duration> {
        if self.never_sent {
            return Some(retry::pause(attempt + 1));
        }
        if !idempotent {
            return None;
        }
        let status = match &self.result {
            Ok(response) => &Status::from_header_map(response.headers())?,
            Err(status) => status,
        };
        match status.code() {
            Code::Unavailable => Some(retry::pause(attempt + 1)),
            // Overload: once, when the callee said, with the crowd spread out. Never blindly.
            Code::ResourceExhausted if attempt == 1 => {
                selvage_status::retry_after(status).map(|delay| delay + retry::pause(4))
            }
            _ => None,
        }
    }
}

async fn once(peer: &Arc<Peer>, parts: &Parts, body: &Bytes, ends: Instant) -> Outcome {
    let _in_flight = peer.begin_call();
    let mut request = Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
    let left = ends.saturating_duration_since(Instant::now());
    let timeout = HeaderValue::try_from(deadline::to_grpc(left)).expect("digits and a letter");
    request.headers_mut().insert("grpc-timeout", timeout);
    match peer.channel().oneshot(request).await {
        Ok(response) => {
            peer.answered();
            Outcome { result: Ok(response), never_sent: false }
        }
        Err(error) if retry::timed_out(&error) => {
            Outcome { result: Err(Status::deadline_exceeded("the service didn't answer in time")), never_sent: false }
        }
        Err(error) => {
            peer.failed();
            let never_sent = retry::was_never_sent(&error);
            let status = Status::from_error(Box::new(error));
            // Whatever broke the wire, to the caller the service isn't there; a retry may find another instance.
            let result = Err(Status::unavailable(format!("the service can't be reached: {}", status.message())));
            Outcome { result, never_sent }
        }
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Observed<Body>>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("instances", &self.found.peers.borrow().len()).finish_non_exhaustive()
    }
}
