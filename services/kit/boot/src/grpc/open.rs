//! Services that are open to everybody, health and reflection: without a token, so with little for each caller. Their messages
//! are small, few of their streams are open at once, and none outlives the process.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::Life;

/// The largest request about health: a service's name.
pub(super) const HEALTH_BYTES: usize = 1024;
/// Streams that watch health at once: each client that balances keeps one for each server.
pub(super) const HEALTH_STREAMS: usize = 256;
/// The largest question to reflection: a symbol's or a file's name.
pub(super) const REFLECTION_BYTES: usize = 4 * 1024;
/// Streams of reflection at once, each a person with a tool: 16 × 4 KiB of what isn't whole yet, and an answer of up to 64 KiB.
pub(super) const REFLECTION_STREAMS: usize = 16;
/// How long a stream of reflection may ask. Tools ask all they need in a second, and open another stream if they need one.
pub(super) const REFLECTION_LASTS: Duration = Duration::from_secs(30);

/// What ends one call among several, and needs no stream: its deadline bounds it.
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// A service of tonic's with a bound on its streams.
#[derive(Clone)]
pub(super) struct Open<S> {
    service: S,
    streams: Arc<Semaphore>,
    lasts: Option<Duration>,
    life: Life,
}

impl<S> Open<S> {
    /// `service`, with as many streams as `streams` has places, of which none asks for longer than `lasts`, or than `life`.
    pub(super) fn new(service: S, streams: &Arc<Semaphore>, lasts: Option<Duration>, life: &Life) -> Self {
        Self { service, streams: streams.clone(), lasts, life: life.clone() }
    }
}

impl<S: NamedService> NamedService for Open<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Open<S>
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<'static, Result<Response<Body>, Infallible>>,
        >,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() == CHECK {
            return self.service.call(request);
        }
        let Ok(place) = self.streams.clone().try_acquire_owned() else {
            let busy = Status::resource_exhausted("as many streams are open as there may be at once; come again later");
            return Box::pin(ready(Ok(busy.into_http())));
        };
        let (stopping, lasts) = (self.life.stopping(), self.lasts);
        let end = async move {
            match lasts {
                Some(lasts) => drop(tokio::time::timeout(lasts, stopping).await),
                None => stopping.await,
            }
        };
        let answer = self.service.call(request.map(|body| Body::new(Asking { body, end: Some(Box::pin(end)) })));
        Box::pin(async move { Ok(answer.await?.map(|body| Body::new(Answering { body, _place: place }))) })
    }
}

/// What a caller says, which is over at `end`, as if the caller had said so.
struct Asking {
    body: Body,
    /// `None` when it has come.
    end: Option<BoxFuture<'static, ()>>,
}

impl HttpBody for Asking {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        if end.as_mut().poll(context).is_ready() {
            self.end = None;
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer, which keeps its stream's place until it is over.
struct Answering {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
